"""The page: what it shows, put into its template, with all that it needs inside."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from monitor.desk.compare import verdict_of
from monitor.desk.html import charts
from monitor.desk.html.features import Ranked, findings_of, rank_features, why
from monitor.desk.html.groups import AttributeSet, attribute_sets
from monitor.desk.html.words import (
    ADVICE,
    MEANINGS,
    TITLES,
    headline,
    in_production,
    plain,
    split_rule,
)
from monitor.metrics.distributions import distribution_of
from monitor.reports import Family, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.desk.compare import Comparison
    from monitor.policy.model import ModelPolicy
    from monitor.reports import Breach, ColumnDrift, Distribution, Report

#: Stands where there is no number.
_NOTHING = "\N{EN DASH}"

#: Features whose distributions stand open; the others' are a click away.
_OPEN = 8


@dataclass(frozen=True, slots=True)
class _Problem:
    """The broken rules of one family, and what to do about them."""

    title: str
    advice: str
    production: str
    breaches: tuple[Breach, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A column with its distribution, and the key of its chart."""

    drift: ColumnDrift
    severity: Severity
    reasons: tuple[str, ...]
    distribution: Distribution | None
    figure: str


def render_page(compared: Comparison, policy: ModelPolicy, *, reference: str, current: str) -> str:
    """Return the comparison as one HTML file: readable without a network, scripts named by their hashes.

    Parameters
    ----------
    policy
        Whose levels the report was graded by.
    reference, current
        What the two tables are called, such as their files' names.
    """
    report = compared.report
    features, answers = _columns(compared, policy)
    sets = attribute_sets(compared, policy.fairness)
    figures = {
        column.figure: charts.bars(column.distribution)
        for column in (*features, *answers)
        if column.distribution is not None
    }
    figures.update(_group_figures(sets))
    scripts = [Markup(get_plotlyjs()), Markup(_part("page.js"))]  # noqa: S704 - ours and plotly's, no data
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            policy=policy,
            reference=reference,
            current=current,
            verdict=verdict_of(report),
            headline=headline(report, policy),
            problems=list(_problems(report, policy)),
            features=features,
            opened=_OPEN,
            answers=answers,
            findings=findings_of(report),
            sets=sets,
            figures=figures,
            meanings=MEANINGS,
            style=Markup(_part("page.css")),  # noqa: S704 - ours, no data
            scripts=scripts,
            script_hashes=[_hash(script) for script in scripts],
        )
    )


def _columns(compared: Comparison, policy: ModelPolicy) -> tuple[list[_Shown], list[_Shown]]:
    """Return the features, ranked, and what the model answered."""
    report, layout = compared.report, compared.reference.layout
    sides = zip(layout.columns, compared.reference.sketches, compared.current.sketches, strict=True)
    distributions = [distribution_of(column.name, then, now) for column, then, now in sides]
    count = len(layout.features)
    of_feature = {
        column.name: (f"f{number}", distributions[number])
        for number, column in enumerate(layout.features)
    }
    of_answer = {
        column.name: (f"a{number}", distribution)
        for number, (column, distribution) in enumerate(
            zip(layout.columns[count:], distributions[count:], strict=True)
        )
    }
    ranked = rank_features(report, policy.drift)
    answers = [
        Ranked(column, column.severity, (why(column, policy.drift, is_answer=True),))
        for column in report.prediction_drift
    ]
    return (
        [_shown(feature, *of_feature[feature.drift.feature]) for feature in ranked],
        [_shown(answer, *of_answer[answer.drift.feature]) for answer in answers],
    )


def _shown(column: Ranked, figure: str, distribution: Distribution | None) -> _Shown:
    return _Shown(column.drift, column.severity, column.reasons, distribution, figure)


def _group_figures(sets: list[AttributeSet]) -> Iterator[tuple[str, charts.Figure]]:
    for number, one in enumerate(sets):
        for place, rates in enumerate(one.rates):
            yield f"r{number}-{place}", charts.rates(rates)
        if one.gaps:
            names = [plain(gap.measure.metric).removesuffix(" difference") for gap in one.gaps]
            yield f"g{number}", charts.gaps(one.gaps, names)


def _problems(report: Report, policy: ModelPolicy) -> Iterator[_Problem]:
    for family in Family:
        breaches = tuple(breach for breach in report.breaches if breach.family is family)
        if breaches:
            yield _Problem(
                TITLES[family], ADVICE[family], in_production(family, report, policy), breaches
            )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("monitor.desk.html", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, split_rule=split_rule, number=_number, share=_share)
    return environment


def _part(name: str) -> str:
    return files("monitor.desk.html").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _number(value: Any) -> str:
    return _NOTHING if value is None else f"{value:.3f}"


def _share(value: Any) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.1%}" if value else "0%"
