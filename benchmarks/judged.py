"""Windows of a known world, one after another through the very state machine that the worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.world import SUBJECT, Fault, draw, profile
from monitor.baselines import Baseline
from monitor.engine.roads import Road
from monitor.engine.version import Content, Source, Version
from monitor.policy.model import ModelPolicy
from monitor.profiles.profile import Profile
from monitor.reports import Action, Report, Verdict
from monitor.windows.spans import Span

#: Windows of the benchmark; the first is long after 1970.
_FIRST = 5_000_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One window's report, and the verdict if it says something new."""

    report: Report
    verdict: Verdict | None

    def asks_for(self, action: Action) -> bool:
        """Whether this window made the policy ask for the action."""
        return self.verdict is not None and self.verdict.action is action


class Stream:
    """A model version whose windows come as ready profiles."""

    def __init__(self, baseline: Baseline, policy: ModelPolicy | None = None) -> None:
        self._policy = policy or ModelPolicy()
        self._version = Version(SUBJECT, self._policy)
        self._version.baseline = baseline
        self._road = Road(SUBJECT, baseline.layout)
        self._next = _FIRST

    def judge(self, current: Profile) -> Judged:
        """Close a window that holds these events, and judge it and its streaks."""
        version, first, length = self._version, self._next, self._policy.windows.length
        self._next += 1
        span = Span(first, first + 1, current.n, frozen=True)
        version.spans.spans[first] = span
        version.spans.watermark = span.stop * length
        version.contents[first] = Content(
            first, span.window(length), self._road, current, self._road.buffer(current)
        )
        source = Source(0, first, version.spans.watermark, "benchmark")
        (report,), verdicts = version.judge(source)
        version.take_gone()
        return Judged(report, verdicts[0] if verdicts else None)


def judged_windows(
    baseline: Baseline,
    n: int,
    windows: int,
    *,
    seed: int,
    fault: Fault | None = None,
    clean: int = 0,
) -> Iterator[Judged]:
    """Draw and judge so many windows of n events each, all with the fault but the first `clean` ones."""
    random = np.random.default_rng([seed, n])
    stream = Stream(baseline)
    for number in range(clean + windows):
        table = draw(n, random)
        if fault is not None and number >= clean:
            fault(table, random, number - clean)
        judged = stream.judge(profile(table, baseline.layout))
        if number >= clean:
            yield judged
