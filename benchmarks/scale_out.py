"""What a second worker adds, by the clock: the same backlog of four versions in four partitions, read by one and by two.

The broker, the workers and whoever else is on the machine share its cores. So with two cores the second worker can
add what one worker and the broker leave idle, and no more; the rate of each worker's own core time says what it would be
with a core each.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.deployed import (
    SUBJECT,
    events,
    fill,
    make_site,
    people,
    read_reports,
)
from benchmarks.figures import Figure, figure, say
from monitor.events import ModelVersion
from monitor.servers import KafkaServer
from monitor.stream.partitioner import partition_of

PARTITIONS = 4
START = 1_767_225_600.0
PER_WINDOW = 25_000
_POLICY = """
defaults:
  windows: {length: 60s, grace: 1s, allowed_lateness: 60s, min_events: 200, max_length: 10m}
"""


def main(*, quick: bool) -> list[Figure]:
    """Measure one worker, then two."""
    windows = 4 if quick else 12
    with KafkaServer() as kafka:
        one, one_core = _rate(kafka, 1, windows)
        say(f"scale_out: {one:,.0f}; two workers ...")
        two, two_cores = _rate(kafka, 2, windows)
    return [
        figure("scale_out_one_worker", one, "events/s"),
        figure("scale_out_two_workers", two, "events/s"),
        figure("scale_out_gain", two / one, "times"),
        figure("scale_out_one_worker_a_core", one_core, "events/s"),
        figure("scale_out_two_workers_a_core", two_cores, "events/s"),
    ]


def _rate(kafka: KafkaServer, workers: int, windows: int) -> tuple[float, float]:
    """Return events a second, by the clock, and by the processor time of the workers together."""
    registered = _subjects()
    # One of each partition, the last that was registered.
    used = {partition_of(subject.key, PARTITIONS): subject for subject in registered}.values()
    step = 60 / PER_WINDOW / len(used)
    times = (START + event * step for event in range(windows * PER_WINDOW * len(used)))
    frame = people(20_000)
    with make_site(
        kafka, f"of-{workers}", _POLICY, frame, subjects=registered, partitions=PARTITIONS
    ) as site:
        fill(site, events(frame, times, used))
        with ExitStack() as stack:
            pids = [stack.enter_context(site.worker()).pid for _ in range(workers)]
            site.await_workers(workers)
            # The last window of each stays open: nothing comes after it.
            wanted = len(used) * (windows - 1)
            reports = read_reports(site, lambda found: len(found) >= wanted, *pids)
    # From when each partition is at work.
    first = max(min(one for one in reports if one.report.subject == subject) for subject in used)
    last = max(reports)
    counted = sum(one.report.n for one in reports if one.written > first.written)
    return counted / (last.written - first.written), counted / (last.spent - first.spent)


def _subjects() -> list[ModelVersion]:
    """Return as many versions as it takes to have one in each partition."""
    subjects: list[ModelVersion] = []
    while len({partition_of(subject.key, PARTITIONS) for subject in subjects}) < PARTITIONS:
        subjects.append(ModelVersion(SUBJECT.model, str(len(subjects) + 1)))
    return subjects
