"""The page that `monitor compare --html` writes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from monitor.desk.compare import compare_frames
from monitor.desk.html import render_page
from monitor.desk.tables import Roles
from monitor.metrics.distributions import distribution_of
from monitor.policy.model import ModelPolicy
from monitor.profiles.sketch import CategorySketch, NumericSketch

EVIL = "<script>alert(1)</script>"
ROLES = Roles(prediction="answer", score="p", label="truth", groups=("sex", "origin"))
POLICY = ModelPolicy()


def people(n: int, seed: int, *, unfair: bool = False) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sex = draw.choice(["man", EVIL], n)
    income = draw.normal(3 if unfair else 0, 1, n)
    p = 1 / (1 + np.exp(-draw.normal(0, 1, n)))
    if unfair:
        p = np.clip(p - np.where(sex == EVIL, 0.4, 0.0), 0, 1)
    return pd.DataFrame(
        {
            EVIL: income,
            "town": draw.choice([f"{EVIL} & co", "--ink", "Kiel"], n),
            "rooms": draw.integers(1, 5, n),
            "p": p,
            "answer": np.where(p > 0.5, "yes", EVIL),
            "truth": np.where(p > draw.random(n), "yes", EVIL),
            "sex": sex,
            "origin": draw.choice(["here", "there", "else"], n, p=[0.6, 0.395, 0.005]),
        }
    )


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, and the text that people read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        elif not self._open or self._open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    compared = compare_frames(people(4000, 1), people(900, 2, unfair=True), ROLES, POLICY)
    return render_page(compared, POLICY, reference="then.parquet", current=f"{EVIL}.parquet")


@pytest.fixture(scope="module")
def read(page: str) -> Reader:
    return Reader(page)


@pytest.fixture(scope="module")
def figures(read: Reader) -> dict:
    return json.loads(read.scripts[0])


def test_names_and_labels_from_the_data_are_text_and_never_run(page, read):
    # The data block, plotly, and the page's own: none has come in with the data.
    assert len(read.scripts) == 3
    assert not any(script.startswith("alert(1)") for script in read.scripts)
    assert EVIL in read.text
    assert f"{EVIL} & co" in read.text
    assert EVIL not in page.replace("&lt;", "?")


def test_a_script_runs_only_if_the_page_names_its_hash(read):
    policy = next(e["content"] for t, e in read.elements if t == "meta" and "http-equiv" in e)
    assert policy is not None
    assert "default-src 'none'" in policy
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    found = {
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in read.scripts[1:]
    }
    assert found == allowed
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_the_page_fetches_nothing(read):
    for tag, attributes in read.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed"}
        assert not {"src", "href", "onclick", "onload"} & attributes.keys()


def test_the_verdict_comes_first_and_each_broken_rule_has_advice(read):
    assert read.text.index("rules are broken") < read.text.index("What is broken")
    assert "Groups are treated differently" in read.text
    assert "do not serve this version to these people" in read.text
    assert "People or their data have changed" in read.text


def test_sections_stand_in_the_order_in_which_people_ask(page):
    assert re.findall(r"<section aria-labelledby=\"(\w+)\"", page) == [
        "broken", "suspected", "features", "answers", "groups", "quality", "reading",
    ]  # fmt: skip


def test_what_would_happen_in_production_is_what_the_policy_says(read):
    assert "after 3 such windows in a row, if together they prove it, the monitor goes" in read.text
    # Both sides' people changed with the answers: that holds a rollback back.
    assert f"what people bring changed too ({EVIL})" in read.text


def test_the_feature_that_matters_most_stands_first(page):
    ranked = re.search(r"Drift of each feature.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert ranked is not None
    rows = re.findall(r'<th scope="row">(.*?)</th>', ranked[1])
    assert rows[0] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert set(rows[1:]) == {"town", "rooms"}


def test_each_chart_has_a_figure_a_name_and_a_table(read, figures):
    charts = [e for tag, e in read.elements if e.get("class") == "chart"]
    assert {e["data-figure"] for e in charts} == set(figures)
    assert all(e["role"] == "img" and e["aria-label"] for e in charts)
    tables = [tag for tag, _ in read.elements if tag == "table"]
    captions = [tag for tag, _ in read.elements if tag == "caption"]
    assert len(tables) == len(captions) > len(charts) / 2


def test_plotly_accepts_each_figure(figures):
    assert figures
    for figure in figures.values():
        plain = json.loads(re.sub(r'"(color)": "--\w+"', r'"\1": "red"', json.dumps(figure)))
        go.Figure(plain["data"], plain["layout"])


def test_plotly_is_given_labels_without_markup(figures):
    assert "<" not in re.sub(r"<extra>\w*( level %\{x\})?</extra>", "", json.dumps(figures))


def test_a_group_too_small_to_judge_is_shown_as_such(read):
    assert "too few" in read.text


def test_without_groups_and_answers_there_is_drift_only():
    columns = ["town", "rooms"]
    compared = compare_frames(people(900, 1)[columns], people(900, 2)[columns], Roles(), POLICY)
    text = Reader(render_page(compared, POLICY, reference="a", current="b")).text
    assert "Nothing is past its level." in text
    assert "What the model answered" not in text
    assert "Nothing found" in text


def test_a_regression_has_means_by_group():
    def priced(seed: int) -> pd.DataFrame:
        frame = people(900, seed)
        return frame[["rooms", "sex"]].assign(price=np.random.default_rng(seed).normal(9, 2, 900))

    roles = Roles(prediction="price", groups=("sex",))
    compared = compare_frames(priced(1), priced(2), roles, POLICY)
    text = Reader(render_page(compared, POLICY, reference="a", current="b")).text
    assert "Mean answer, in standard deviations of the reference" in text


def test_several_classes_each_have_their_rates():
    def answered(seed: int) -> pd.DataFrame:
        frame = people(900, seed)
        draw = np.random.default_rng(seed)
        return frame[["rooms", "sex"]].assign(answer=draw.choice(["a", "b", "c"], 900))

    roles = Roles(prediction="answer", groups=("sex",))
    compared = compare_frames(answered(1), answered(2), roles, POLICY)
    text = Reader(render_page(compared, POLICY, reference="a", current="b")).text
    assert all(f"Answered {answer}, by sex" in text for answer in "abc")


def numeric(edges: list[float], values: list[float]) -> NumericSketch:
    sketch = NumericSketch.empty(edges)
    sketch.add(np.array(values, np.float64))
    return sketch


def test_each_side_of_a_distribution_adds_up_to_1():
    draw = np.random.default_rng(0)
    reference = draw.lognormal(0, 1, 5000)
    edges = [*np.unique(np.quantile(reference, np.linspace(0, 1, 513))).tolist(), 1e9]
    then = numeric(edges, reference.tolist())
    now = numeric(edges, [*draw.normal(0, 3, 400).tolist(), np.inf, -np.inf, np.nan, 1e12])
    shown = distribution_of("x", then, now)
    assert shown is not None
    assert shown.is_scale
    assert sum(cell.then for cell in shown.cells) == pytest.approx(1)
    assert sum(cell.now for cell in shown.cells) == pytest.approx(1)
    assert {"missing", "infinity", "-infinity"} <= {cell.name for cell in shown.cells}


def test_few_values_are_named_one_by_one_with_what_lies_outside():
    edges = [0.0, 1.0, 2.0, np.nextafter(2.0, 3.0)]
    shown = distribution_of("x", numeric(edges, [0, 1, 2, 2]), numeric(edges, [-1, 2, 7, 7]))
    assert shown is not None
    assert [cell.name for cell in shown.cells] == ["below 0", "0", "1", "2", "above 2"]
    assert [cell.now for cell in shown.cells] == [0.25, 0, 0, 0.25, 0.5]


def test_rare_labels_share_a_cell_and_new_ones_are_marked():
    old = {f"l{i}": 100 - i for i in range(40)}
    shown = distribution_of(
        "x", CategorySketch(tuple(old), old), CategorySketch(tuple(old), {"new": 1, "l39": 1})
    )
    assert shown is not None
    names = [cell.name for cell in shown.cells]
    assert {"new (new)", "l39", "26 others"} <= set(names)
    assert sum(cell.then for cell in shown.cells) == pytest.approx(1)


def test_a_column_without_rows_has_no_distribution():
    assert distribution_of("x", CategorySketch(("a",)), CategorySketch(("a",), {"a": 1})) is None


def test_an_empty_column_is_shown_as_missing():
    shown = distribution_of("x", numeric([], [np.nan]), numeric([], [np.nan, 3.0]))
    assert shown is not None
    assert [cell.name for cell in shown.cells] == ["all values", "missing"]
