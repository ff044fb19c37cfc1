"""Judging windows by what turned out to be true: labels come, windows are measured again, verdicts follow.

``judge`` is the cycle from labels to reports and verdicts, ``said`` puts them on Kafka.
"""
