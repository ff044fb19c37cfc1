"""A bug, or an attacker, sends a million of something: memory stays bounded, and the cap that was met is said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from monitor.engine.partition import PartitionEngine, Place
from monitor.metrics.quality.caps import past_caps
from monitor.profiles.layout import CATEGORY_CAP, CELL_CAP, OTHER, Column, Kind, Layout, cell_cap
from monitor.profiles.profile import Profile
from monitor.profiles.sketch import CategorySketch
from monitor.reports import Finding, Report
from tests.unit.engine_world import POLICY, START, Message, engine, messages, people, value

ROWS = 2_000


def judged(change: Callable[[pd.DataFrame], pd.DataFrame], *, learn: bool = True):
    """One window of people, changed; the engine, and its report."""
    made = engine(learn=learn)
    frame = change(people(ROWS))
    times = (START + np.linspace(0, 9, ROWS)).tolist()
    fold(made, messages(frame, times))
    made.idle(60.0)
    (report,) = made.take().reports
    return made, report


def fold(made: PartitionEngine, records: list[Message]) -> None:
    for version in made.versions(records) - made.watermarks.keys():
        made.learn(version, None)
    made.fold(records)


def capped(report: Report) -> dict[str, Finding]:
    return {finding.feature: finding for finding in report.quality if finding.check == "capped"}


def numbered(prefix: str):
    return [f"{prefix} {number}" for number in range(ROWS)]


def kept(made: PartitionEngine) -> Profile:
    (version,) = made._versions.values()
    (content,) = version.contents.values()
    return content.profile


def test_a_category_for_each_event_is_one_capped_column_and_a_finding():
    made, report = judged(lambda frame: frame.assign(town=numbered("town")))
    assert report.n == ROWS
    finding = capped(report)["town"]
    assert finding.share == pytest.approx(1 - CATEGORY_CAP / ROWS, abs=0.01)
    assert "feature town has more than 1,0" in finding.sentence
    for cell in kept(made).cells.values():
        assert len(cell.categories["town"]) <= CATEGORY_CAP + 1


def test_a_group_for_each_event_is_one_capped_table_and_a_finding():
    made, report = judged(lambda frame: frame.assign(sex=numbered("group")))
    assert report.n == ROWS
    assert len(kept(made).cells) <= CELL_CAP + 1
    assert "share one group" in capped(report)["sex"].sentence
    assert sum(cell.n for cell in kept(made).cells.values()) == ROWS


def test_groups_and_categories_together_do_not_multiply():
    def change(frame):
        number = np.arange(ROWS)
        return frame.assign(sex=[f"g{i % 1000}" for i in number], town=numbered("town"))

    made, report = judged(change)
    labels = sum(len(cell.categories["town"]) for cell in kept(made).cells.values())
    assert labels <= ROWS + len(kept(made).cells)
    more = people(ROWS).assign(
        sex=[f"g{i % 1000}" for i in range(ROWS)], town=[f"another {i}" for i in range(ROWS)]
    )
    made.fold(messages(more, (START + np.linspace(0, 9, ROWS)).tolist(), first=ROWS))
    assert sum(len(cell.categories["town"]) for cell in kept(made).cells.values()) <= 3 * ROWS
    assert cell_cap(CELL_CAP) * CELL_CAP == 50_000
    assert capped(report)


def test_an_answer_for_each_event_is_capped_too():
    made, report = judged(lambda frame: frame.assign(prediction=numbered("answer")))
    for cell in kept(made).cells.values():
        assert len(cell.outcomes) <= CATEGORY_CAP + 1
    assert sum(cell.n for cell in kept(made).cells.values()) == report.n == ROWS
    assert "the prediction has more than" in capped(report)["prediction"].sentence


def test_a_version_without_a_baseline_says_so_too():
    _, report = judged(lambda frame: frame.assign(town=numbered("town")), learn=False)
    assert report.status == "no_baseline"
    assert "town" in capped(report)


def test_what_is_within_its_caps_is_no_finding():
    _, report = judged(lambda frame: frame.assign(town=[f"t{i % 900}" for i in range(ROWS)]))
    assert capped(report) == {}


def test_a_million_categories_are_a_thousand_and_the_rest():
    layout = Layout(
        features=(Column(name="id", kind=Kind.CATEGORICAL),),
        prediction=Column(name="prediction", kind=Kind.CATEGORICAL),
        groups=("who",),
    )
    profile = Profile.empty(layout)
    sketch = profile.sketches[0]
    assert isinstance(sketch, CategorySketch)
    for start in range(0, 1_000_000, 10_000):
        sketch.add({f"id {number}": 1 for number in range(start, start + 10_000)})
        for number in range(start, start + 10_000):
            profile.cell((f"who {number}",))
    profile.n = 1_000_000
    assert (len(sketch.counts), sketch.n) == (CATEGORY_CAP + 1, 1_000_000)
    assert sketch.counts[OTHER] == 999_000
    assert len(profile.cells) == CELL_CAP + 1
    assert {finding.feature for finding in past_caps(profile)} == {"id", "who"}


def test_versions_beyond_the_setting_are_dead_letters_that_name_the_cap():
    made = PartitionEngine(Place("predictions", 0, lambda _: 0), POLICY, unregistered=5)
    (row,) = people(1).to_dict("records")
    records = [
        Message(
            number,
            int(START * 1000),
            f"credit/{number}".encode(),
            value(row, START, f"e{number}", model_version=str(number)),
        )
        for number in range(300)
    ]
    fold(made, records)
    letters = made.take().dead_letters
    assert len(made._versions) == 5
    assert len(letters) == 295
    assert {letter.reason for letter in letters} == {"more than 5 versions without a baseline"}
