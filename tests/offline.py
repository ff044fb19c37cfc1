"""What reports must say, computed from the events themselves: plain pandas for counts, `judge` for measures."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pandas as pd

from monitor.baselines import Baseline
from monitor.metrics.quality.events import DUPLICATES, TYPE_CHANGE
from monitor.policy.judge import judge
from monitor.policy.model import ModelPolicy
from monitor.profiles.frames import profile_frame
from monitor.reports import FairnessMeasure, Report, Status

PARITY = "demographic_parity_difference"


def check_counts(report: Report, rows: pd.DataFrame, attributes: tuple[str, ...]) -> None:
    """The report counts these events, and each group's, and no others."""
    assert report.n == len(rows), report.id
    for attribute in attributes:
        (measure,) = [
            m for m in report.fairness if m.metric == PARITY and m.attributes == (attribute,)
        ]
        _check_groups(measure, rows, attribute)


def check_measures(
    report: Report, rows: pd.DataFrame, baseline: Baseline, policy: ModelPolicy
) -> None:
    """The report's measures are those of these events, to floating-point precision."""
    profile = profile_frame(rows, baseline.layout, prediction="prediction", score="score")
    # That events came twice, or were set aside, rows do not know.
    unknown = {DUPLICATES, TYPE_CHANGE}
    kept = tuple(finding for finding in report.quality if finding.check not in unknown)
    report = msgspec.structs.replace(report, quality=kept)
    if report.status is Status.OK and len(rows) < policy.windows.min_events:
        # Those set aside came too, and a few of them make a window large enough.
        assert len(rows) > 0.8 * policy.windows.min_events, report.id
        enough = policy.windows.model_copy(update={"min_events": len(rows)})
        policy = policy.model_copy(update={"windows": enough})
    expected = judge(
        report.subject, report.window, 0, profile, baseline, policy=policy, policy_sha256=""
    )
    for field in ("status", "n", "n_reference", "drift", "prediction_drift", "fairness", "quality"):
        said, meant = (msgspec.to_builtins(getattr(r, field)) for r in (report, expected))
        found = differences(said, meant, f"{report.id} {field}")
        assert not found, found[:3]


def differences(a: Any, b: Any, at: str) -> list[str]:
    """Where two plain values differ by more than floating-point error."""
    if isinstance(a, float) and isinstance(b, float):
        return [] if math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) else [f"{at}: {a} is not {b}"]
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [found for key in a for found in differences(a[key], b[key], f"{at}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return [found for i, (x, y) in pairs for found in differences(x, y, f"{at}[{i}]")]
    return [] if a == b else [f"{at}: {a!r} is not {b!r}"]


def _check_groups(measure: FairnessMeasure, rows: pd.DataFrame, attribute: str) -> None:
    sizes = rows.groupby(attribute).size().to_dict()
    said = {name: rate.n for name, rate in measure.groups.items()}
    assert said == sizes, f"{attribute}: {said} is not {sizes}"
    rates = rows.groupby(attribute)["prediction"].mean()
    for name, rate in measure.groups.items():
        assert rate.selection_rate is not None, f"{attribute} {name}: no rate"
        close = math.isclose(rate.selection_rate, rates[name], abs_tol=1e-12)
        assert close, f"{attribute} {name}: {rate.selection_rate} is not {rates[name]}"
    large = [rate for name, rate in rates.items() if measure.groups[str(name)].judged]
    if len(large) > 1:
        gap = max(large) - min(large)
        assert measure.value is not None, f"{attribute}: no value; {gap} is meant"
        assert math.isclose(measure.value, gap, abs_tol=1e-12), (
            f"{attribute}: {measure.value} is not {gap}"
        )
