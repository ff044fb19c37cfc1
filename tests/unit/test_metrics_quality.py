"""Faults of the data, named as what they are."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.metrics.quality import find_quality
from monitor.profiles.layout import Column, Kind
from monitor.profiles.profile import Profile
from tests.metrics_samples import edges_of, layout_of, profile_of

LEVELS = {"missing_surge": 0.02, "zero_surge": 0.1, "unseen": 0.01, "out_of_range": 0.01}

MIL = Column(name="MIL", kind=Kind.NUMERIC, edges=edges_of([0.0, 1.0, 2.0, 3.0, 4.0]))
AGE = Column(name="age", kind=Kind.NUMERIC, edges=edges_of([float(age) for age in range(17, 95)]))
WORK = Column(name="work", kind=Kind.CATEGORICAL, categories=("farm", "office", "shop"))
DEAF = Column(name="deaf", kind=Kind.BOOLEAN, categories=("false", "true"))
LAYOUT = layout_of(MIL, AGE, WORK, DEAF, groups=("race", "sex"))


def people(rng, n):
    """Rows without a fault: nothing depends on the group, but 4 % have MIL = 0."""
    codes = [0.0, 1.0, 2.0, 3.0, 4.0]
    return [
        {
            "MIL": codes[rng.choice(5, p=[0.04, 0.1, 0.1, 0.06, 0.7])],
            "age": float(rng.integers(17, 95)),
            "work": ("farm", "office", "shop")[rng.choice(3, p=[0.1, 0.6, 0.3])],
            "deaf": ("false", "true")[rng.random() < 0.3],
            "race": ("white", "black", "asian", "other")[rng.choice(4, p=[0.6, 0.15, 0.15, 0.1])],
            "sex": ("woman", "man")[rng.random() < 0.5],
            "prediction": "01"[rng.random() < 0.5],
        }
        for _ in range(n)
    ]


@pytest.fixture(scope="module")
def reference():
    return profile_of(LAYOUT, people(np.random.default_rng(1), 5000))


@pytest.fixture
def rows():
    return people(np.random.default_rng(2), 1200)


def found(reference, rows):
    return find_quality(reference, profile_of(reference.layout, rows), **LEVELS)


def test_a_clean_window_has_no_finding(reference, rows):
    assert found(reference, rows) == ()


def test_no_clean_window_of_many_has_a_finding(reference):
    rng = np.random.default_rng(3)
    assert all(found(reference, people(rng, 250)) == () for _ in range(40))


def test_a_null_turned_zero_for_one_group_is_named_as_that(reference, rows):
    for row in rows:
        if row["race"] != "white" and row["MIL"] == 4.0:
            row["MIL"] = 0.0
    (finding,) = found(reference, rows)
    concerned = [row for row in rows if row["race"] != "white"]
    zero = sum(row["MIL"] == 0 for row in concerned) / len(concerned)
    assert (finding.check, finding.feature, finding.group) == (
        "zero_surge",
        "MIL",
        {"race": "not white"},
    )
    assert finding.share == pytest.approx(zero)
    assert finding.baseline_share == pytest.approx(0.04, abs=0.01)
    assert finding.sentence == (
        f"surge of value 0 in feature MIL among race = not white "
        f"({100 * zero:.0f} % of {len(concerned)}, 4 % in the baseline)"
    )


def test_groups_that_differ_in_the_baseline_are_still_told_together(reference, rows):
    for row in rows:
        if row["race"] != "white":
            row["MIL"] = 0.0
    # One group had more zeros before, so its share grew by less.
    settled = people(np.random.default_rng(1), 5000)
    for row in settled:
        if row["race"] == "black" and row["age"] > 80:
            row["MIL"] = 0.0
    (finding,) = found(profile_of(LAYOUT, settled), rows)
    assert finding.group == {"race": "not white"}


def test_infinite_values_are_out_of_range_and_said_so(reference, rows):
    for row in rows[::10]:
        row["age"] = float("inf")
    (finding,) = found(reference, rows)
    assert finding.check == "out_of_range"
    assert finding.sentence.endswith("they reach from 17 to inf")


def test_a_surge_among_one_small_group_is_that_groups(reference, rows):
    for row in rows:
        if row["race"] == "asian":
            row["age"] = None
    (finding,) = found(reference, rows)
    assert (finding.check, finding.feature, finding.group) == (
        "missing_surge",
        "age",
        {"race": "asian"},
    )
    assert finding.share == 1
    assert finding.sentence.startswith("surge of missing values in feature age among race = asian")


def test_a_surge_among_everybody_is_said_once_and_of_no_group(reference, rows):
    for row in rows[::4]:
        row["work"] = None
    (finding,) = found(reference, rows)
    assert (finding.check, finding.group) == ("missing_surge", {})
    assert finding.sentence == (
        "surge of missing values in feature work (25 % of 1,200, 0 % in the baseline)"
    )


def test_a_surge_of_nulls_of_five_percent_is_found(reference, rows):
    for row in rows[::20]:
        row["age"] = None
    assert [(f.check, f.group) for f in found(reference, rows)] == [("missing_surge", {})]


def test_a_surge_of_a_label_names_the_label(reference, rows):
    for row in rows:
        if row["sex"] == "woman" and row["work"] == "office":
            row["work"] = "farm"
    (finding,) = found(reference, rows)
    assert (finding.check, finding.group) == ("category_surge", {"sex": "woman"})
    assert "surge of value farm in feature work among sex = woman" in finding.sentence


def test_false_is_the_zero_of_a_boolean(reference, rows):
    for row in rows:
        if row["sex"] == "man":
            row["deaf"] = "false"
    (finding,) = found(reference, rows)
    assert finding.check == "zero_surge"
    assert finding.sentence.startswith("surge of value false in feature deaf among sex = man")


def test_a_label_never_seen_is_found(reference, rows):
    for row in rows[::10]:
        row["work"] = "mine"
    (finding,) = found(reference, rows)
    assert (finding.check, finding.share, finding.baseline_share) == ("unseen", 0.1, 0.0)
    assert finding.sentence.startswith("values never seen in the baseline in feature work")


def test_values_out_of_range_are_found(reference, rows):
    for row in rows[::10]:
        row["age"] = 999.0
    (finding,) = found(reference, rows)
    assert (finding.check, finding.share) == ("out_of_range", 0.1)
    assert (
        "outside the baseline's range, 17 to 94, in 10 % of 1,200 values: they reach from 17 to 999"
        in finding.sentence
    )


def test_a_column_that_became_constant_is_said_once(reference, rows):
    for row in rows:
        row["MIL"] = 0.0
        row["work"] = "mine"
    assert [(f.check, f.feature) for f in found(reference, rows)] == [
        ("constant", "MIL"),
        ("constant", "work"),
    ]


def test_a_rare_value_may_be_absent_from_a_small_window_by_chance():
    rare = Column(name="rare", kind=Kind.CATEGORICAL, categories=("a", "b"))
    layout = layout_of(rare)
    reference = profile_of(
        layout, [{"rare": "a" if i % 100 else "b", "prediction": "0"} for i in range(2000)]
    )
    short = [{"rare": "a", "prediction": "0"}] * 50
    assert found(reference, short) == ()
    assert [f.check for f in found(reference, short * 40)] == ["constant"]


def test_a_group_of_a_few_is_never_named(reference, rows):
    of_group = [row for row in rows if row["race"] == "asian"][:12]
    others = [row for row in rows if row["race"] != "asian"]
    for row in of_group:
        row["age"] = None
    findings = found(reference, [*others, *of_group])
    assert all(finding.group != {"race": "asian"} for finding in findings)


def test_a_group_that_the_baseline_does_not_have_is_not_compared(reference, rows):
    for row in rows[:200]:
        row["race"], row["MIL"] = "unknown", 0.0
    assert all(f.group.get("race") != "unknown" for f in found(reference, rows))


def test_without_protected_attributes_all_people_are_asked(rows):
    layout = layout_of(MIL, AGE, WORK, DEAF)
    reference = profile_of(layout, people(np.random.default_rng(1), 3000))
    for row in rows[::2]:
        row["MIL"] = 0.0
    (finding,) = found(reference, rows)
    assert (finding.check, finding.group) == ("zero_surge", {})


def test_an_empty_window_has_no_finding(reference):
    assert find_quality(reference, Profile.empty(LAYOUT), **LEVELS) == ()
    assert find_quality(Profile.empty(LAYOUT), Profile.empty(LAYOUT), **LEVELS) == ()


def test_merged_windows_are_found_as_one_window(reference, rows):
    for row in rows[::20]:
        row["age"] = None
    merged = profile_of(LAYOUT, rows[:500]).merge(profile_of(LAYOUT, rows[500:]))
    assert find_quality(reference, merged, **LEVELS) == found(reference, rows)
