"""How long a worker takes to catch up after an outage of an hour, and in how much memory.

An hour of one version, 300 JSON events a second in windows of five minutes, lies on the broker when the worker starts;
taken is the time from its start, imports and all, until the last window that can close is reported.
"""

from __future__ import annotations

import time

from benchmarks.deployed import events, fill, make_site, memory, people, read_reports
from benchmarks.figures import Figure, figure, say
from monitor.servers import KafkaServer

RATE = 300
WINDOW = 300
START = 1_767_225_600.0
_POLICY = f"""
defaults:
  windows: {{length: {WINDOW}s, grace: 10s, allowed_lateness: 10m, min_events: 200, max_length: 1h}}
"""


def main(*, quick: bool) -> list[Figure]:
    """Fill the topic, start a worker, and wait for the hour's reports."""
    outage = 600 if quick else 3_600
    times = (START + event / RATE for event in range(outage * RATE))
    with KafkaServer() as kafka, make_site(kafka, "backlog", _POLICY, people(20_000)) as site:
        say("catch_up: an hour is published ...")
        fill(site, events(people(20_000), times))
        began = time.time()
        with site.worker() as worker:
            site.await_workers(1)
            ready = time.time()
            # The last window stays open: nothing comes after it.
            reports = read_reports(site, lambda found: len(found) >= outage // WINDOW - 1)
            peak = memory(worker.pid, "VmHWM")
    took = max(one.written for one in reports) - began
    counted = sum(one.report.n for one in reports)
    assert counted == (outage - WINDOW) * RATE, counted
    return [
        figure("catch_up_events", counted, "events"),
        figure("catch_up_start_seconds", ready - began, "s"),
        figure("catch_up_seconds", took, "s"),
        figure("catch_up_over_real_time", (outage - WINDOW) / took, "times"),
        figure("catch_up_peak_memory", peak, "MiB"),
    ]
