"""Whether a worker's memory stays flat: ten minutes of steady traffic, and what it has of memory meanwhile.

Four versions, 4,000 JSON events a second together in windows of five seconds, event times are the clock's: 480 windows
open, close, are judged, stay for their lateness and their streak, and go. After four minutes nothing should be kept that was
not kept before, but for a few numbers a window that slow trends are seen in.
"""

from __future__ import annotations

import statistics
import threading

from benchmarks.deployed import (
    SUBJECT,
    clock,
    events,
    fill,
    make_site,
    memory,
    people,
    processor_seconds,
    read_reports,
)
from benchmarks.figures import Figure, figure, say
from monitor.events import ModelVersion
from monitor.servers import KafkaServer

RATE = 4_000
WINDOW = 5
SUBJECTS = [ModelVersion(SUBJECT.model, str(number)) for number in range(1, 5)]
_POLICY = f"""
defaults:
  windows: {{length: {WINDOW}s, grace: 1s, allowed_lateness: 10s, min_events: 200, max_length: 1m}}
"""

#: Seconds between two looks, and the share of the time that counts as warming up.
_LOOK, _WARM = 2.0, 0.4


def main(*, quick: bool) -> list[Figure]:
    """Publish, and look at the worker's memory every two seconds."""
    seconds = 60 if quick else 600
    frame, looks = people(5_000), []
    with (
        KafkaServer() as kafka,
        make_site(kafka, "soak", _POLICY, frame, subjects=SUBJECTS, partitions=2) as site,
        site.worker() as worker,
    ):
        site.await_workers(1)
        sent = threading.Thread(
            target=fill,
            args=(site, events(frame, clock(seconds), SUBJECTS)),
            kwargs={"pace": RATE},
        )
        sent.start()
        while sent.is_alive():
            looks.append(memory(worker.pid))
            sent.join(_LOOK)
            if len(looks) % 30 == 0:
                say(f"soak: {looks[-1]:.0f} MiB after {len(looks) * _LOOK:.0f} s")
        spent = processor_seconds(worker.pid)
        # The last windows stay open: nothing comes after them.
        wanted = len(SUBJECTS) * (seconds // WINDOW - 2)
        reports = read_reports(site, lambda found: len(found) >= wanted)
    warm = looks[int(len(looks) * _WARM) :]
    part = max(len(warm) // 4, 1)
    early, late = statistics.median(warm[:part]), statistics.median(warm[-part:])
    return [
        figure("soak_events", sum(one.report.n for one in reports), "events"),
        figure("soak_windows", len(reports), "windows"),
        figure("soak_core_share", spent / seconds, "cores"),
        figure("soak_memory_early", early, "MiB"),
        figure("soak_memory_late", late, "MiB"),
        figure("soak_memory_growth", 100 * (late / early - 1), "%", 5, "at most"),
    ]
