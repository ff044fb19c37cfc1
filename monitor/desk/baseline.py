"""Making a baseline from reference data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from monitor.baselines import Baseline
from monitor.desk.tables import Roles, check_labels, feature_names
from monitor.errors import InputError
from monitor.metrics.associations import measure_associations
from monitor.metrics.estimate import fit_calibrator, note_of
from monitor.metrics.fairness import classes_of
from monitor.metrics.labelled import outcome_of, performance_note
from monitor.policy.estimated import NOTE as CALIBRATOR
from monitor.policy.labelled import NOTE
from monitor.profiles.frames import infer_layout, profile_frame
from monitor.profiles.layout import Kind
from monitor.reports import as_dict

if TYPE_CHECKING:
    import pandas as pd

    from monitor.events import ModelVersion
    from monitor.policy.model import ModelPolicy
    from monitor.profiles.layout import Layout
    from monitor.profiles.profile import Profile

Signature = Sequence[tuple[str, str]]


def make_baseline(
    frame: pd.DataFrame,
    roles: Roles,
    subject: ModelVersion,
    policy: ModelPolicy,
    *,
    created_at: str,
    signature: Signature | None = None,
) -> Baseline:
    """Freeze what the reference data looks like.

    Parameters
    ----------
    frame
        One row a prediction.
    roles
        Which columns are not features.
    signature
        The model's features with their kinds, where it has a signature; else every column without a role.

    Raises
    ------
    InputError
        If a protected attribute is among the features and the policy does not say why it may be, if the model always
        gives the same answer, or never the one that the policy calls favourable.
    MissingColumn, EmptyData
        If the data cannot serve as a reference.
    """
    features = [name for name, _ in signature] if signature else feature_names(frame, roles)
    _refuse_protected(features, roles, policy)
    columns = [name for name in map(str, frame.columns) if name not in roles.ignored]
    layout = infer_layout(
        frame[columns],
        prediction=roles.prediction,
        score=roles.score,
        label=roles.label,
        groups=roles.groups,
        signature=[(name, Kind(kind)) for name, kind in signature] if signature else None,
    )
    _refuse_one_answer(frame, roles.prediction)
    profile = profile_of(frame, layout, roles)
    if roles.prediction is not None:
        check_favourable(profile, policy)
    kinds = {column.name: column.kind for column in layout.features}
    # A vector may well give an attribute away: which of its directions, no table says.
    told = {name: kind for name, kind in kinds.items() if kind is not Kind.EMBEDDING}
    proxies = measure_associations(frame, kinds=told, attributes=roles.groups)
    notes: dict[str, Any] = {"associations": [as_dict(proxy) for proxy in proxies]}
    if roles.label is not None and roles.prediction is not None:
        classes = classes_of(profile) if layout.is_classifier else ()
        outcome = outcome_of(
            frame,
            prediction=roles.prediction,
            label=roles.label,
            score=roles.score,
            classes=classes,
        )
        notes[NOTE] = performance_note(outcome)
        if outcome.score is not None:
            answers, truths = (part == outcome.positive for part in (outcome.answer, outcome.truth))
            notes[CALIBRATOR] = note_of(fit_calibrator(outcome.score, answers, truths))
    return Baseline(
        subject.model, subject.version, profile, policy.fairness.favourable, created_at, notes
    )


def profile_of(frame: pd.DataFrame, layout: Layout, roles: Roles) -> Profile:
    """Return the profile of a table's rows under a frozen layout."""
    check_labels(frame, roles)
    return profile_frame(
        frame,
        layout,
        prediction=roles.prediction,
        score=roles.score,
        label=roles.label,
    )


def check_favourable(profile: Profile, policy: ModelPolicy) -> None:
    """Check that the answer that the policy calls favourable is one: else all groups are treated alike, at no time.

    Raises
    ------
    InputError
        Naming the answers that there are.
    """
    favourable = policy.fairness.favourable
    if favourable is None or not profile.layout.is_classifier:
        return
    classes = classes_of(profile)
    if favourable not in classes:
        raise InputError(
            f"no answer is {favourable!r}; the reference has {', '.join(classes)}",
            where="policy: fairness.favourable",
            fix="Name one of these.",
        )


def _refuse_one_answer(frame: pd.DataFrame, prediction: str | None) -> None:
    if prediction is None:
        return
    answers = frame[prediction].unique()
    if len(answers) > 1:
        return
    raise InputError(
        f"every answer in the reference data is {answers[0]}: "
        "no change could be measured against that",
        where=prediction,
        fix="Take reference data with more than one answer.",
    )


def _refuse_protected(features: Sequence[str], roles: Roles, policy: ModelPolicy) -> None:
    for name in roles.groups:
        if name in features and name not in policy.protected_features:
            msg = f"the protected attribute {name} is among the model's features"
            raise InputError(
                msg,
                where="--groups",
                fix=f"Train without it, or give the reason in the policy under protected_features: {name}.",
            )
