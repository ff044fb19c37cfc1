"""At the desk: the same measures and verdicts for files, without Kafka."""
