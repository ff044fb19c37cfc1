"""Measures of drift that other packages bring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from structlog.testing import capture_logs

from monitor.desk.compare import compare_frames
from monitor.desk.html import render_page
from monitor.desk.tables import Roles
from monitor.errors import PluginError
from monitor.plugins import load_metrics, report_fault
from monitor.policy.model import ModelPolicy
from monitor.reports import Report, encode
from monitor.stores.points import report_points

TINY = '''
"""A measure of drift of its own: how far the means are apart."""

import math

from monitor.profiles.layout import Kind


class MeanShift:
    name = "mean_shift"

    def applies(self, kind):
        return kind is Kind.NUMERIC

    def measure(self, column):
        shift = abs(column.observed.mean - column.expected.mean)
        return shift if math.isfinite(shift) else None


METRIC = MeanShift()
'''

#: The same, but for a sign: no distance.
SIGNED = TINY.replace("abs(", "(").replace("mean_shift", "signed_shift")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip installed a small package with one metric into."""
    return install(tmp_path_factory.mktemp("tiny"), "tiny_drift", TINY)


@pytest.fixture(scope="module")
def installed_wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a package whose metric is no distance."""
    return install(tmp_path_factory.mktemp("signed"), "signed_drift", SIGNED)


def install(folder: Path, name: str, code: str) -> Path:
    wheel, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    contents = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[monitor.metrics]\nmean = {name}:METRIC\n",
    }
    record = "".join(f"{name},,\n" for name in (*contents, f"{info}/RECORD"))
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", folder / "site", wheel], check=True, capture_output=True)
    return folder / "site"


def people(shift: float) -> pd.DataFrame:
    draw = np.random.default_rng(1)
    return pd.DataFrame(
        {"age": draw.normal(40 + shift, 5, 900), "town": draw.choice(["Ulm", "Kiel"], 900)}
    )


def report_with(metrics) -> Report:
    return compare_frames(people(0), people(2), Roles(), ModelPolicy(), others=metrics).report


class Metric:
    name = "mine"

    def __init__(self, answer):
        self.answer = answer

    def applies(self, kind):
        return True

    def measure(self, column):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Point(EntryPoint):
    """An entry point that gives an object straight away."""

    def load(self):
        return OFFERED[self.value]


OFFERED: dict[str, object] = {}


def point(offered: object, name: str = "mine") -> EntryPoint:
    OFFERED[f"package:{name}"] = offered
    return Point(name, f"package:{name}", "monitor.metrics")


def test_an_installed_packages_metric_is_measured_where_it_applies(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    metrics = load_metrics()
    assert set(metrics) == {"mean_shift"}
    age, town = report_with(metrics).drift
    assert age.others["mean_shift"] == pytest.approx(2, abs=1e-9)
    assert town.others == {}


def test_the_command_finds_it_without_being_told(installed, tmp_path):
    people(0).to_parquet(tmp_path / "then.parquet")
    people(2).to_parquet(tmp_path / "now.parquet")
    ended = subprocess.run(
        [sys.executable, "-m", "monitor", "compare", "then.parquet", "now.parquet", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{Path(__file__).parents[2]}"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["drift"][0]["others"] == {"mean_shift": pytest.approx(2)}


def test_the_conformance_suite_runs_over_installed_metrics_by_itself(installed, installed_wrong):
    suite = "tests/property/test_metrics_drift_conformance.py"
    words = ["-q", "-rA", "-p", "no:cacheprovider", "-k", "mean_shift or signed_shift"]
    repository = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", suite, *words],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (installed, installed_wrong)))},
        capture_output=True,
        check=False,
        text=True,
    )
    lines = ended.stdout.splitlines()
    passed = {line for line in lines if line.startswith("PASSED") and "[mean_shift]" in line}
    failed = {line for line in lines if line.startswith("FAILED")}
    assert len(passed) >= 5, ended.stdout
    assert any("stay_in_range" in line for line in failed), ended.stdout
    assert all("[signed_shift]" in line for line in failed), ended.stdout


def test_the_page_shows_it_beside_the_column():
    metrics = load_metrics(points=[point(Metric(3))])
    compared = compare_frames(people(0), people(2), Roles(), ModelPolicy(), others=metrics)
    page = render_page(compared, ModelPolicy(), reference="then", current="now")
    assert "mine 3.000" in page


def test_without_such_packages_there_are_no_others():
    assert load_metrics(points=[]) == {}
    assert all(column.others == {} for column in report_with({}).drift)


def test_it_goes_into_the_store_under_a_name_that_none_of_ours_will_have():
    report = report_with(load_metrics(points=[point(Metric(3))]))
    fields = [p["fields"] for p in report_points(report) if p["measurement"] == "drift"]
    assert [field["other_mine"] for field in fields[:2]] == [3.0, 3.0]
    assert all(not isinstance(value, dict) for field in fields for value in field.values())
    assert b'"others":{"mine":3.0}' in encode(report)


def test_what_is_not_finite_is_left_out():
    for answer in (None, float("nan"), float("inf")):
        report = report_with(load_metrics(points=[point(Metric(answer))]))
        assert report.drift[0].others == {}


def test_at_the_desk_a_failing_metric_is_named():
    metrics = load_metrics(points=[point(Metric(ZeroDivisionError("oops")))])
    with pytest.raises(PluginError, match="mine: the metric failed: ZeroDivisionError: oops"):
        report_with(metrics)


@pytest.mark.parametrize("answer", [ZeroDivisionError("oops"), "no number"])
def test_a_failing_metric_does_not_end_the_monitoring_of_a_model(answer):
    metrics = load_metrics(report_fault, points=[point(Metric(answer))])
    with capture_logs() as logs:
        report = report_with(metrics)
    assert report.drift[0].others == {}
    assert report.drift[0].psi is not None
    assert "mine" in logs[0]["fault"]


@pytest.mark.parametrize("taken", ["psi", "feature", "wasserstein"])
def test_a_name_of_ours_is_refused(taken):
    metric = Metric(1)
    metric.name = taken
    with pytest.raises(PluginError, match=f"name {taken} is taken"):
        load_metrics(points=[point(metric)])


def test_two_packages_cannot_have_one_name():
    with pytest.raises(PluginError, match="name mine is taken"):
        load_metrics(points=[point(Metric(1), "one"), point(Metric(2), "two")])


@pytest.mark.parametrize("name", ["", "Mean", "a b", "mean\n", "ü", 5, None])
def test_a_name_that_cannot_stand_in_a_report_is_refused(name):
    metric = Metric(1)
    metric.name = name
    with pytest.raises(PluginError, match="cannot stand in a report"):
        load_metrics(points=[point(metric)])


@pytest.mark.parametrize("offered", [Metric, object(), len, "psi"])
def test_what_is_no_metric_is_refused(offered):
    with pytest.raises(PluginError, match="it is no metric"):
        load_metrics(points=[point(offered)])


def test_a_package_that_cannot_be_imported_is_named():
    broken = EntryPoint("energy", "nowhere_at_all:METRIC", "monitor.metrics")
    with pytest.raises(PluginError, match=r"energy = nowhere_at_all:METRIC.*cannot be imported"):
        load_metrics(points=[broken])
