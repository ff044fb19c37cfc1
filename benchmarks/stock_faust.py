"""A stock Faust agent that does nothing with each message: how fast the framework alone hands them over."""

from __future__ import annotations

import os
import sys
import time

import faust

broker, topic, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = faust.App(
    f"stock-{os.getpid()}",
    broker=f"kafka://{broker}",
    store="memory://",
    web_enabled=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    value_serializer="raw",
    topic_partitions=1,
)
source = app.topic(topic, value_type=bytes, key_type=bytes, partitions=1)


@app.agent(source)
async def ignore(stream: faust.StreamT[bytes]) -> None:
    """Count, and say how long the wanted number took once the first has come."""
    seen, began, spent = 0, 0.0, 0.0
    async for _ in stream:
        seen += 1
        if seen == 1:
            began, spent = time.perf_counter(), time.process_time()
        elif seen == wanted:
            wall, core = time.perf_counter() - began, time.process_time() - spent
            # Faust takes sys.stdout for its own log.
            said = f"rate {(wanted - 1) / wall} {(wanted - 1) / core}"
            print(said, file=sys.__stdout__, flush=True)
            os._exit(0)


if __name__ == "__main__":
    app.finalize()
    worker = faust.Worker(app, loglevel="error")
    worker.execute_from_commandline()
