"""Names come from outside: none of them is ever more than a name, wherever it is written.

What they do in a real InfluxDB, in what Slack is sent, and on the page is in tests/integration/test_stores_conformance.py,
tests/integration/test_actions_channels.py and tests/unit/test_desk_html.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from influxdb_client.client.write.point import Point as Line

from monitor.actions.slack import escape
from monitor.desk.baseline import make_baseline
from monitor.engine.partition import PartitionEngine, Place
from monitor.events import ModelVersion
from monitor.policy.model import Policy
from monitor.predictionlog.query import Query
from monitor.reports import Report
from monitor.stores import flux
from monitor.stores.points import report_points
from monitor.stores.sqlite import SqliteStore
from tests.archive import World, event
from tests.unit.engine_world import POLICY, ROLES, START, Message, people, value

NAMES = ['"; drop', "<script>alert(1)</script>", "../../x", "<!channel>", "' OR 1=1 --", "${x}"]


def hostile_report(name: str) -> Report:
    """The report of a window in which model, group and value are called so, through the very engine."""
    subject = ModelVersion(name, "7")

    def crowd(n, seed):
        frame = people(n, seed)
        return frame.assign(sex=np.where(frame["sex"] == "man", name, "woman"), town=name)

    frozen = make_baseline(crowd(2000, 99), ROLES, subject, POLICY.of(name), created_at="")
    made = PartitionEngine(Place("predictions", 0, lambda _: 0), POLICY)
    made.learn(subject, frozen)
    times = START + np.linspace(0, 9, 300)
    records = [
        Message(
            number,
            int(time * 1000),
            subject.key,
            value(row | {"town": f"{name} {number}"}, time, f"e{number}", model_name=name),
        )
        for number, (row, time) in enumerate(
            zip(crowd(300, 1).to_dict("records"), times, strict=True)
        )
    ]
    made.fold(records)
    made.idle(60.0)
    outbox = made.take()
    assert not outbox.dead_letters
    (report,) = outbox.reports
    assert (report.model, report.n) == (name, 300)
    return report


@pytest.mark.parametrize("name", NAMES)
class TestAName:
    def test_is_data_in_sql(self, name, tmp_path: Path):
        report = hostile_report(name)
        store = SqliteStore(tmp_path / "monitor.db")
        store.write([report], [])
        assert store.reports(name, "7") == [report]
        assert store.reports("another") == []
        store.close()
        assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"monitor.db"}

    def test_is_data_in_line_protocol_and_within_quotes_in_flux(self, name):
        report = hostile_report(name)
        for point in report_points(report):
            line = Line.from_dict(dict(point)).to_line_protocol()
            assert "\n" not in line
        for text in (flux.REPORTS, flux.DECISIONS, flux.REVISIONS):
            assert name not in text
        predicate = flux.of_version("drift", name, "7")
        before, after = '_measurement="drift" AND model="', '" AND version="7"'
        quoted = predicate.removeprefix(before).removesuffix(after)
        assert quoted.replace("\\\\", "").replace('\\"', "").count('"') == 0

    def test_is_text_in_slack(self, name):
        shown = escape(f"{name}: champion went back", 1000)
        assert "<" not in shown
        assert ">" not in shown

    def test_makes_no_path(self, name, tmp_path: Path):
        beside = tmp_path / "beside"
        beside.mkdir()
        world = World(tmp_path / "world" / "deep" / "down")
        hostile = event(
            0,
            model_name=name,
            subject=name,
            session_id=name,
            features={name: name},
            groups={name: name},
            prediction=name,
        )
        world.write(hostile)
        found = world.log.ask(Query(model=name))
        assert found["model"].to_pylist() == [name]
        inside = (tmp_path / "world" / "deep" / "down").resolve()
        outside = [
            path
            for path in tmp_path.rglob("*")
            if path.is_file() and inside not in path.resolve().parents
        ]
        assert outside == []
        assert not (tmp_path.parent / "x").exists()


def test_a_policy_that_names_no_such_model_holds_its_defaults_for_it():
    assert Policy().of("../../x") == Policy().of("credit")
