"""How long after a window's end its report can be read from Kafka, at half of what this machine carries.

One version in windows of one second, JSON, event times are the clock's. A window is closed by the first event that is
past its end and the grace; so from that moment on until a consumer has the report, all is counted: the publisher's own
linger, the broker, fetching, folding what came before it, judging with fairlearn, the transaction. An event
waits besides for its window to end: for half a window's length and the grace, on average.
"""

from __future__ import annotations

import threading

import numpy as np

from benchmarks.deployed import clock, events, fill, make_site, people, read_reports
from benchmarks.figures import Figure, figure
from monitor.servers import KafkaServer

#: Events a second: half of what the service carries by the clock where this was written, rounded.
HALF_LOAD = 25_000

GRACE = 0.1
_POLICY = f"""
defaults:
  windows: {{length: 1s, grace: {GRACE}s, allowed_lateness: 5s, min_events: 200, max_length: 10s}}
"""

#: The first reports come while the worker still reads what was published before it had started.
_FIRST = 5


def main(*, quick: bool) -> list[Figure]:
    """Publish at a steady pace, and compare the clock with the windows' ends."""
    seconds = 20 if quick else 120
    with (
        KafkaServer() as kafka,
        make_site(kafka, "latency", _POLICY, people(20_000)) as site,
        site.worker(),
    ):
        site.await_workers(1)
        sent = threading.Thread(
            target=fill,
            args=(site, events(people(2_000), clock(seconds))),
            kwargs={"pace": HALF_LOAD},
        )
        sent.start()
        # The last window stays open: nothing comes after it.
        reports = read_reports(site, lambda found: len(found) >= seconds - 2)
        sent.join()
    late = [one.read - one.report.window.end - GRACE for one in reports[_FIRST:]]
    p50, p99 = np.percentile(late, [50, 99])
    counted = sum(one.report.n for one in reports[_FIRST:])
    span = reports[-1].report.window.end - reports[_FIRST - 1].report.window.end
    return [
        figure("latency_events_a_second", counted / span, "events/s"),
        figure("latency_p50_ms", 1e3 * float(p50), "ms"),
        figure("latency_p99_ms", 1e3 * float(p99), "ms"),
    ]
