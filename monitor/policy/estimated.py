"""When a window's accuracy may be estimated, and when it is withheld."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.metrics.estimate import calibrator_of, estimate_accuracy
from monitor.reports import Estimate, Report, Severity

if TYPE_CHECKING:
    from monitor.baselines import Baseline
    from monitor.profiles.profile import Profile

#: Where a baseline keeps its calibrator.
NOTE = "calibrator"


def estimate_of(report: Report, current: Profile, baseline: Baseline) -> Estimate | None:
    """Return the estimate of a graded window's accuracy; None for a model that has no use for one.

    Withheld while the inputs drift: the scores then no longer mean what they meant. It is put beside the measures
    after they were graded, so that no verdict can depend on it.
    """
    calibrator = calibrator_of(baseline.notes.get(NOTE))
    if calibrator is None or current.score is None:
        return None
    if isinstance(calibrator, str):
        return Estimate(withheld=calibrator)
    moved = {c.feature for c in report.drift if c.significant or c.severity is not Severity.PASS}
    moved |= {finding.feature for finding in report.quality}
    if moved:
        names = ", ".join(sorted(moved)[:5])
        return Estimate(reference=calibrator.reference, withheld=f"the inputs drift: {names}")
    accuracy = estimate_accuracy(current.score, calibrator)
    withheld = "some answers have no score" if accuracy is None else None
    return Estimate(accuracy=accuracy, reference=calibrator.reference, withheld=withheld)
