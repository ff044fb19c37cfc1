"""Two files, the same measures and verdict as a window against its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from monitor.desk.baseline import make_baseline, profile_of
from monitor.desk.tables import Roles, feature_names, read_table, require_column
from monitor.events import ModelVersion
from monitor.metrics.protocol import NO_OTHERS
from monitor.policy.judge import judge
from monitor.reports import Report, Severity, Window, as_dict

if TYPE_CHECKING:
    import pandas as pd

    from monitor.metrics.protocol import DriftMetric
    from monitor.policy.model import ModelPolicy
    from monitor.profiles.profile import Profile

SUBJECT = ModelVersion("compare", "1")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tables, counted alike, and what the policy makes of them.

    Attributes
    ----------
    reference, current
        Profiles of one layout.
    """

    report: Report
    reference: Profile
    current: Profile


def compare_files(
    reference: Path,
    current: Path,
    roles: Roles,
    policy: ModelPolicy,
    *,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> Comparison:
    """Read two files and compare them as `compare_frames` does.

    Raises
    ------
    InputError
        Naming the file, if one cannot be read, or lacks a column that it needs.
    """
    then, now = read_table(reference, roles), read_table(current, roles)
    for name in feature_names(then, roles):
        require_column(now, name, str(current))
    return compare_frames(then, now, roles, policy, others=others)


def compare_frames(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    roles: Roles,
    policy: ModelPolicy,
    *,
    others: Mapping[str, DriftMetric] = NO_OTHERS,
) -> Comparison:
    """Measure `current` as if it were a window, and `reference` its baseline.

    Parameters
    ----------
    others
        Third parties' measures of drift, by name.

    Raises
    ------
    InputError
        If the tables cannot be compared: a column is missing, or of another type.
    """
    baseline = make_baseline(reference, roles, SUBJECT, policy, created_at="")
    profile = profile_of(current, baseline.layout, roles)
    _look(profile, reference, current, roles)
    report = judge(
        SUBJECT,
        Window(0.0, 0.0),
        0,
        profile,
        baseline,
        policy=policy,
        policy_sha256="",
        others=others,
    )
    if roles.prediction is None:
        # The layout has a place for answers always; what nobody gave has not drifted.
        report = replace(report, prediction_drift=report.prediction_drift[:-1])
    return Comparison(report, baseline.profile, profile)


def _look(profile: Profile, reference: pd.DataFrame, current: pd.DataFrame, roles: Roles) -> None:
    """Note columns that only the current file has."""
    foreign = set(feature_names(current, roles)) - set(feature_names(reference, roles))
    profile.notes.look((), foreign, len(current))


def verdict_of(report: Report) -> str:
    """Return pass, warn, block or insufficient."""
    blocked = report.severity in {Severity.BLOCK, Severity.SEVERE}
    return Severity.BLOCK.value if blocked else report.severity.value


def comparison(report: Report) -> dict[str, Any]:
    """Return the object that `monitor compare --json` prints; a measure that does not apply is null."""
    plain = as_dict(report)
    predictions = plain["prediction_drift"]
    return {
        "verdict": verdict_of(report),
        "n_reference": report.n_reference,
        "n_current": report.n,
        "drift": plain["drift"],
        "prediction_drift": predictions[0] if predictions else None,
        "class_drift": predictions[1] if len(predictions) > 1 else None,
        "fairness": plain["fairness"],
        "quality": plain["quality"],
        "breaches": plain["breaches"],
    }
