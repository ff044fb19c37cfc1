"""Kafka on the worker's side: a Faust app that owns source partitions, and writes all they change in one transaction.

The way of a record: `transport` hands whole fetches on, `partition` drives the engine of one source partition,
`takeover` brings its state back from Kafka, `transaction` writes what it changed, `owners` keeps who is driven here,
`app` is the Faust app around them, `run` is the process. No other room imports Faust or aiokafka.
"""

from __future__ import annotations

from monitor.stream.app import StreamApp, build_app
from monitor.stream.options import StreamOptions
from monitor.stream.run import run_worker
from monitor.stream.topics import TopicNames, ensure_topics

__all__ = [
    "StreamApp",
    "StreamOptions",
    "TopicNames",
    "build_app",
    "ensure_topics",
    "run_worker",
]
