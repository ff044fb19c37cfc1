"""Quix Streams with JSON decode and nothing else: how fast the framework alone hands messages over.

Runs in a virtual environment of its own: see `benchmarks.rivals`.
"""

from __future__ import annotations

import os
import sys
import time

from quixstreams import Application

broker, topic, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Application(
    broker_address=broker,
    consumer_group=f"quix-{os.getpid()}",
    auto_offset_reset="earliest",
    auto_create_topics=False,
    loglevel="ERROR",
)
seen, began, spent = 0, 0.0, 0.0


def ignore(_: object) -> None:
    """Count, and say how long the wanted number took once the first has come."""
    global seen, began, spent  # noqa: PLW0603 - the framework's callback has no other place
    seen += 1
    if seen == 1:
        began, spent = time.perf_counter(), time.process_time()
    elif seen == wanted:
        wall, core = time.perf_counter() - began, time.process_time() - spent
        print(f"rate {(wanted - 1) / wall} {(wanted - 1) / core}", flush=True)
        os._exit(0)


app.dataframe(app.topic(topic, value_deserializer="json")).update(ignore)
app.run()
