"""Checks of what a window could not tell apart any more: more categories, answers or groups than are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.metrics.quality.sentences import percent
from monitor.profiles.layout import CATEGORY_CAP, CELL_CAP, OTHER
from monitor.profiles.sketch import CategorySketch
from monitor.reports import Finding

if TYPE_CHECKING:
    from monitor.profiles.profile import Profile

#: The name of this check.
CAPPED = "capped"


def past_caps(current: Profile) -> tuple[Finding, ...]:
    """Find columns with more labels, and windows with more combinations of groups, than are told apart.

    An identifier that slipped into a category, a producer gone wrong, or an attack: what is past the cap shares one
    `OTHER`, so that memory stays bounded, and measures of the column say less than they seem to.

    Examples
    --------
    >>> from monitor.profiles.layout import Column, Kind, Layout
    >>> from monitor.profiles.profile import Profile
    >>> layout = Layout(
    ...     features=(Column(name="town", kind=Kind.CATEGORICAL),),
    ...     prediction=Column(name="prediction", kind=Kind.CATEGORICAL))
    >>> profile = Profile.empty(layout)
    >>> profile.sketches[0].add({f"town {number}": 1 for number in range(1500)})
    >>> [finding.sentence for finding in past_caps(profile)]
    ['feature town has more than 1,000 labels: 33 % of its values are told apart no more']
    """
    return (*_columns(current), *_groups(current))


def _columns(current: Profile) -> Iterator[Finding]:
    layout = current.layout
    names = [(column.name, f"feature {column.name}") for column in layout.features]
    if layout.score is not None:
        names.append(("score", "the score"))
    names.append(("prediction", "the prediction"))
    for (name, called), sketch in zip(names, current.sketches, strict=True):
        if isinstance(sketch, CategorySketch) and len(sketch.counts) > CATEGORY_CAP:
            share = sketch.counts.get(OTHER, 0) / max(sketch.n, 1)
            if share:
                kept = len(sketch.counts) - 1
                yield Finding(
                    check=CAPPED,
                    feature=name,
                    share=share,
                    baseline_share=0.0,
                    sentence=f"{called} has more than {kept:,} labels: {percent(share)} of its values "
                    "are told apart no more",
                )


def _groups(current: Profile) -> Iterator[Finding]:
    names = current.layout.groups
    rest = current.cells.get((OTHER,) * len(names))
    if not names or rest is None or len(current.cells) <= CELL_CAP:
        return
    share = rest.n / max(current.n, 1)
    yield Finding(
        check=CAPPED,
        feature=" & ".join(names),
        share=share,
        baseline_share=0.0,
        sentence=f"there are more than {CELL_CAP:,} combinations of {' and '.join(names)}: "
        f"{percent(share)} of the people share one group, and are judged as one",
    )
