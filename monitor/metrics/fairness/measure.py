"""All fairness measures of a window against its reference, as they stand in a report."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from monitor.metrics.fairness.frame import Question, weighted_means
from monitor.metrics.fairness.gaps import Gap, judged_groups, smallest_ratio
from monitor.metrics.fairness.measures import (
    CALIBRATION,
    CLASS_FREE,
    IMPACT,
    MEAN_ANSWER,
    MEAN_GAPS,
    PARITY,
    SHARE_GAPS,
    Sample,
    compare,
    samples_of,
)
from monitor.metrics.fairness.outcomes import favourable_classes
from monitor.metrics.fairness.statistics import MEANS, SHARES, Means, Shares, count_shares
from monitor.profiles.cells import UNLABELLED
from monitor.reports import FairnessMeasure, GroupRate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from monitor.metrics.fairness.gaps import Side
    from monitor.profiles.profile import Profile


#: A regression's mean answer stands where a classifier's selection rate does.
_RATE_OF = {MEAN_GAPS[MEAN_ANSWER]: "selection_rate"}


@dataclass(frozen=True, slots=True)
class _Rules:
    minimum: int
    confidence: float


@dataclass(frozen=True, slots=True)
class _Case:
    """One set of attributes with one favourable answer."""

    then: Sample | None
    now: Sample
    wanted: str
    suffix: str = ""
    first: bool = True

    @property
    def labelled(self) -> bool:
        outcomes = self.now.outcomes
        return bool((outcomes.label != UNLABELLED).any()) or any(
            cell.errors.n for cell in outcomes.cells
        )


def measure_fairness(
    reference: Profile | None,
    current: Profile,
    *,
    favourable: str | None = None,
    minimum_group_size: int = 30,
    intersections: bool = True,
    confidence: float = 0.95,
    jointly: bool = False,
) -> tuple[FairnessMeasure, ...]:
    """Measure every protected attribute, and the combination of all, against the reference data.

    A classifier's selection rates are always measured; measures that need true labels appear once some are there.
    A regression has the difference of mean answers in standard deviations of the reference's answers, and with labels
    those of mean errors (who is overrated) and of mean absolute errors (who is served worse).
    Numbers per group are fairlearn's; a group of fewer people than the minimum is shown and counted, never compared.

    Parameters
    ----------
    reference
        The baseline's profile. None leaves baseline and excess open.
    favourable
        The answer that people want. None takes the positive one of two (`positive_class`), and each of more in turn,
        with the metric's name then ending in ``[answer]``.
    minimum_group_size
        Fewest people a group's number must be about: for a true positive rate, the group's positives.
    intersections
        Whether to measure the combination of all attributes too, if there are several.
    confidence
        That all limits of one measure hold at once, over all its pairs of groups.
    jointly
        Whether the confidence is that of all measures together, so that one rate of false alarms covers the window.

    Returns
    -------
    tuple of FairnessMeasure
        By attribute set, in the layout's order, then by measure. Empty without protected attributes.
    """
    names = current.layout.groups
    sets: list[tuple[str, ...]] = [(name,) for name in names]
    if intersections and len(names) > 1:
        sets.append(names)
    classes = (
        favourable_classes(reference, current, favourable)
        if current.layout.is_classifier
        else (("", ""),)
    )
    cases = []
    for attributes in sets:
        then, now = samples_of(reference, current, attributes)
        if now is not None:
            cases += [
                _Case(then, now, wanted, suffix, number == 0)
                for number, (wanted, suffix) in enumerate(classes)
            ]
    asked = sum(_asked(case, classifier=current.layout.is_classifier) for case in cases)
    each = 1 - (1 - confidence) / asked if jointly and asked else confidence
    rules = _Rules(minimum_group_size, each)
    measured = _ask_fairlearn(cases, classifier=current.layout.is_classifier)
    measure = _classifier_measures if current.layout.is_classifier else _regression_measures
    return tuple(found for case in measured for found in measure(case, rules))


def _asked(case: _Case, *, classifier: bool) -> int:
    """Return how many measures a case has."""
    if not classifier:
        return len(MEAN_GAPS) if case.labelled else 1
    if not case.labelled:
        return len((PARITY, IMPACT))
    metrics = (*SHARE_GAPS, IMPACT, CALIBRATION)
    return sum(case.first or metric not in CLASS_FREE for metric in metrics)


def _ask_fairlearn(cases: Sequence[_Case], *, classifier: bool) -> list[_Case]:
    """Return the cases with fairlearn's number for each group, asked all at once."""
    asked = [(_share_question if classifier else _mean_question)(case) for case in cases]
    answers = weighted_means([question for question, _ in asked])
    return [
        replace(case, now=replace(case.now, measured=_with_values(counted, answer)))
        for case, (_, counted), answer in zip(cases, asked, answers, strict=True)
    ]


def _with_values(
    counted: Mapping[str, Shares | Means], answer: NDArray[np.float64]
) -> dict[str, Shares | Means]:
    return {
        name: replace(statistic, measured=values)
        if isinstance(statistic, Shares)
        else replace(statistic, values=values)
        for (name, statistic), values in zip(counted.items(), answer, strict=True)
    }


def _share_question(case: _Case) -> tuple[Question, dict[str, Shares | Means]]:
    outcomes = case.now.outcomes
    names = tuple(SHARES) if case.labelled else ("selection_rate",)
    events = [SHARES[name](outcomes, case.wanted) for name in names]
    question = Question(
        len(outcomes.groups),
        outcomes.group,
        np.array([event.rows for event in events], np.float64),
        np.array([np.where(event.among, outcomes.count, 0.0) for event in events]),
    )
    return question, {
        name: count_shares(outcomes, event) for name, event in zip(names, events, strict=True)
    }


def _mean_question(case: _Case) -> tuple[Question, dict[str, Shares | Means]]:
    outcomes = case.now.outcomes
    names = tuple(MEANS) if case.labelled else (MEAN_GAPS[MEAN_ANSWER],)
    moments = [[MEANS[name](cell) for cell in outcomes.cells] for name in names]
    people = np.array([[float(m.n) for m in row] for row in moments])
    totals = np.array([[m.total for m in row] for row in moments])
    question = Question(
        len(outcomes.groups),
        outcomes.cell_group,
        totals / np.maximum(people, 1.0) / case.now.unit,
        people,
    )
    return question, {name: case.now.mean(name) for name in names}


def _classifier_measures(case: _Case, rules: _Rules) -> Iterator[FairnessMeasure]:
    rates = _group_rates(case)
    for metric in (*SHARE_GAPS, CALIBRATION) if case.labelled else (PARITY,):
        if metric in CLASS_FREE and not case.first:
            continue
        now = case.now.sides(metric, case.wanted)
        if not now:
            continue
        then = None if case.then is None else case.then.sides(metric, case.wanted)
        gap = compare(now, then, minimum=rules.minimum, confidence=rules.confidence)
        suffix = "" if metric in CLASS_FREE else case.suffix
        yield _report(case, metric + suffix, gap, _mark(rates, now, rules))
        if metric == PARITY:
            yield _impact(case, now[0], None if then is None else then[0], rates, rules)


def _impact(
    case: _Case, now: Side, then: Side | None, rates: dict[str, GroupRate], rules: _Rules
) -> FairnessMeasure:
    gap = smallest_ratio(now, then, minimum=rules.minimum, confidence=rules.confidence)
    return _report(case, IMPACT + case.suffix, gap, _mark(rates, (now,), rules))


def _regression_measures(case: _Case, rules: _Rules) -> Iterator[FairnessMeasure]:
    sample = case.now
    numbers = {
        _RATE_OF.get(name, name): (statistic.values * sample.unit).tolist()
        for name, statistic in sample.measured.items()
    }
    people = sample.measured[MEAN_GAPS[MEAN_ANSWER]].sizes
    labelled = sample.mean("mean_error").sizes
    rates = {
        group: msgspec.structs.replace(
            GroupRate(n=int(people[number]), labelled=int(labelled[number])),
            **{rate: _known(values[number]) for rate, values in numbers.items()},
        )
        for number, group in enumerate(sample.outcomes.groups)
    }
    for metric, name in MEAN_GAPS.items():
        if name in sample.measured:
            now = sample.sides(metric, "")
            then = None if case.then is None else case.then.sides(metric, "")
            gap = compare(now, then, minimum=rules.minimum, confidence=rules.confidence)
            yield _report(case, metric, gap, _mark(rates, now, rules))


def _report(case: _Case, metric: str, gap: Gap, groups: dict[str, GroupRate]) -> FairnessMeasure:
    return FairnessMeasure(
        attributes=case.now.outcomes.attributes,
        metric=metric,
        value=gap.value,
        lower=gap.lower,
        upper=gap.upper,
        baseline=gap.baseline,
        excess=gap.excess,
        excess_lower=gap.excess_lower,
        highest=gap.highest,
        lowest=gap.lowest,
        groups=groups,
    )


def _group_rates(case: _Case) -> dict[str, GroupRate]:
    sample = case.now
    rates = {name: statistic.values.tolist() for name, statistic in sample.measured.items()}
    people = sample.measured["selection_rate"].sizes
    labelled = sample.measured["accuracy"].sizes if case.labelled else np.zeros_like(people)
    if case.labelled and (sides := sample.sides(CALIBRATION, case.wanted)):
        rates["calibration_error"] = sides[0].statistic.values.tolist()
    rates.pop("false_negative_rate", None)
    return {
        name: msgspec.structs.replace(
            GroupRate(n=int(people[number]), labelled=int(labelled[number])),
            **{rate: _known(values[number]) for rate, values in rates.items()},
        )
        for number, name in enumerate(sample.outcomes.groups)
    }


def _mark(
    rates: Mapping[str, GroupRate], sides: Sequence[Side], rules: _Rules
) -> dict[str, GroupRate]:
    """Return the groups with word of which of them this measure compares."""
    judged = {
        side.groups[index]
        for side in sides
        for index in judged_groups(side.statistic, rules.minimum)
    }
    return {
        name: rate if name in judged else msgspec.structs.replace(rate, judged=False)
        for name, rate in rates.items()
    }


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None
