"""What Grafana would ask, asked of a real InfluxDB that holds a replay: a feed breaks, and is rolled back."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from msgspec.structs import replace

from monitor.actions.actor import Actor
from monitor.desk.baseline import make_baseline
from monitor.desk.replay import Replay, replay_frame
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.health import Health
from monitor.policy.load import parse_policy
from monitor.reports import ColumnDrift, Report, Severity, Stage, Status, Window
from monitor.stores.health import HealthWriter
from monitor.stores.influx import InfluxStore
from tests.acting import World
from tests.grafana_reader import (
    RULES,
    filled,
    panel_queries,
    rule_queries,
    variable_queries,
)
from tests.health_samples import busy_health
from tests.labels import LabelWorld
from tests.labels import people as labelled_people

pytestmark = pytest.mark.influx

POLICY = parse_policy(
    "defaults: {windows: {length: 5m, grace: 30s, min_events: 300}, consecutive: 3}", where="test"
)
ROLES = Roles(prediction="prediction", score="score", groups=("sex", "race"))
WINDOW, ROWS, CLEAN, BROKEN = 300, 700, 3, 4
HOSTILE = 'a"b/c${x}|(.*) \\[d]'

#: As the store keeps it; a version holds no slash.
_NAME = HOSTILE.replace("\\", "\u29f5")
KEPT = {
    "model": _NAME,
    "version": _NAME.replace("/", ""),
    "feature": _NAME,
    "attributes": _NAME,
}

VARIABLES = {
    "model": "credit",
    "version": "3",
    "feature": "military",
    "attributes": "race",
}


# ------------------------------------------------------------------------------------------- world


def people(rows: int, seed: int, *, broken: bool = False) -> pd.DataFrame:
    """Census-like people and what a model says of them; a broken feed says 0 and an unknown word."""
    random = np.random.default_rng(seed)
    age = random.normal(45, 15, rows).clip(17, 95)
    race = random.choice(["white", "not white"], rows, p=[0.7, 0.3])
    served = random.random(rows) < 0.4
    military = np.where(served, "served", "never").astype(object)
    score = 1 / (1 + np.exp(-(age - 45) / 20 - np.where(served, 0.5, -0.2)))
    if broken:
        others = race != "white"
        military[others] = "0"
        age = np.where(others & (random.random(rows) < 0.5), np.nan, age)
        score = np.where(others, score * 0.4, score)
    return pd.DataFrame(
        {
            "age": age,
            "military": military,
            "sex": random.choice(["man", "woman"], rows),
            "race": race,
            "score": score,
            "prediction": (score > 0.5).astype(int),
        }
    )


def served(end: float, seed: int, *, broken: int) -> pd.DataFrame:
    """As many windows as there are, the last of them broken, up to a time."""
    windows = CLEAN + BROKEN
    parts = []
    for index in range(windows):
        part = people(ROWS, seed + index, broken=index >= windows - broken)
        start = end - (windows - index) * WINDOW
        parts.append(part.assign(at=start + np.linspace(0.5, WINDOW - 1, ROWS)))
    return pd.concat(parts, ignore_index=True)


def replayed(model: str, version: str, end: float, *, broken: int = 0) -> Replay:
    subject = ModelVersion(model, version)
    baseline = make_baseline(
        people(6000, 1), ROLES, subject, POLICY.of(model), created_at="2026-01-01T00:00:00Z"
    )
    frame = served(end, int(version) * 100, broken=broken)
    return replay_frame(
        frame, ROLES, time_column="at", subject=subject, baseline=baseline, policy=POLICY
    )


def acted_on(replay: Replay, versions: int, now: float):
    """What the monitor decides on the replay's verdicts."""
    world = World(versions)
    world.time = now
    actor = Actor(world.means)
    for verdict in replay.verdicts:
        assert actor.consider(verdict)
        world.time += 1
    return world.log.decisions


values_of = attrgetter("values")


@dataclass
class Asked:
    """A bucket, and the span of time that a dashboard shows of it."""

    client: InfluxDBClient
    bucket: str
    end: float

    def rows(self, query: str, *, span: float = 86_400, **variables) -> list[dict]:
        text = filled(
            query,
            bucket=self.bucket,
            start=moment(self.end - span),
            stop=moment(self.end),
            variables={**VARIABLES, **variables},
        )
        tables = self.client.query_api().query(text)
        return [values_of(record) for table in tables for record in table.records]


def moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture(scope="module")
def new_bucket(influx) -> Iterator:
    client = InfluxDBClient(url=influx.url, token=influx.token, org=influx.org)
    stores = []

    def make() -> tuple[InfluxStore, Asked]:
        name = f"grafana-{uuid.uuid4().hex[:8]}"
        client.buckets_api().create_bucket(bucket_name=name, org=influx.org)
        store = InfluxStore(influx.url, org=influx.org, bucket=name, token=influx.token)
        stores.append(store)
        return store, Asked(client, name, time.time() + 60)

    yield make
    for store in stores:
        store.close()
    client.close()


@pytest.fixture(scope="module")
def story(new_bucket, tmp_path_factory) -> Asked:
    """Model credit is rolled back from version 3; loans cannot be; quiet stopped; well goes on."""
    store, asked = new_bucket()
    now = time.time()
    end = now // WINDOW * WINDOW
    credit, loans = (
        replayed("credit", "3", end, broken=BROKEN),
        replayed("loans", "1", end, broken=BROKEN),
    )
    assert credit.rollback is not None
    assert loans.rollback is not None
    quiet = replayed("quiet", "1", end - 2 * 3600)
    well = replayed("well", "1", end)
    before = replayed("credit", "2", end - 1800)
    for replay in (credit, loans, quiet, well, before):
        assert replay.counted == (CLEAN + BROKEN) * ROWS
        assert store.write(replay.reports, []) == []
    decisions = [
        *acted_on(credit, 3, now - 300),
        *acted_on(loans, 1, now - 300),
    ]
    assert {"done", "failed"} <= {decision.stage.value for decision in decisions}
    store.write([], decisions)
    store.write(labelled("credit", "3", end, tmp_path_factory.mktemp("labels")), [])
    store.write([hostile(end)], [])
    write_health(store, busy_health(now - 60), now - 60)
    write_health(store, busy_health(now), now)
    return asked


def labelled(model: str, version: str, end: float, directory: Path) -> list[Report]:
    """What the labels of three windows say; of the women who repay, the last ones are refused."""
    world = LabelWorld(directory)
    shares = (0.0, 0.0, 0.6)
    for seed, wrong in enumerate(shares, start=10):
        world.label(world.serve(labelled_people(800, seed, wrong=wrong)))
    reports = world.judge.cycle().reports
    world.close()
    assert [report.severity for report in reports][-1] is Severity.BLOCK
    later = end - world.window(len(shares)).start
    return [
        replace(
            report,
            model=model,
            version=version,
            window=Window(report.window.start + later, report.window.end + later),
        )
        for report in reports
    ]


def write_health(store: InfluxStore, health: Health, at: float) -> None:
    """What a process of the monitor says of itself at this time."""
    HealthWriter(health, store, seconds=60, host="here", now=lambda: at).write()


def hostile(end: float) -> Report:
    return Report(
        model=HOSTILE,
        version=HOSTILE.replace("/", ""),
        window=Window(end - WINDOW, end),
        revision=0,
        status=Status.OK,
        severity=Severity.PASS,
        n=1,
        n_reference=1,
        drift=(ColumnDrift(feature=HOSTILE, kind="numeric", psi=0.5),),
        closed_at=end + 1,
    )


# ----------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("query", panel_queries(), ids=str)
def test_a_panel_gets_rows_of_the_shape_that_it_shows(query, story: Asked):
    rows = story.rows(query.text)
    assert rows
    names = set(rows[0]) - {"result", "table"}
    if query.kind == "table":
        assert "_value" not in names
        (arranged,) = query.holder["transformations"]
        assert names <= set(arranged["options"]["renameByName"])
        assert len({row["table"] for row in rows}) == 1
    elif query.kind == "barchart":
        assert names == {"cell", "then", "now"}
        for side in ("then", "now"):
            assert sum(row[side] for row in rows) == pytest.approx(1, abs=1e-3)  # each is rounded
    elif query.kind == "annotation":
        assert names == {"time", "title", "text", "tags"}
    else:
        assert all(isinstance(row["_value"], int | float) for row in rows)
        if query.kind != "stat":
            assert all(isinstance(row["_time"], dt.datetime) for row in rows)
        shown = query.holder.get("fieldConfig", {}).get("defaults", {}).get("displayName", "")
        for label in names - {"_time", "_value", "_field"}:
            assert f"labels.{label}}}" in shown, "lines that differ would have one name"


@pytest.mark.parametrize("query", variable_queries(), ids=str)
def test_a_variable_has_choices(query, story: Asked):
    assert VARIABLES[query.holder["name"]] in {row["_value"] for row in story.rows(query.text)}


@pytest.mark.parametrize(
    "query",
    [query for query in (*panel_queries(), *variable_queries()) if "${" in query.text],
    ids=str,
)
def test_a_hostile_name_is_taken_for_what_it_is(query, story: Asked):
    rows = story.rows(query.text, **KEPT)
    # Nothing of another model: `.*` within the name matches nothing but itself.
    words = {value for row in rows for value in row.values() if isinstance(value, str)}
    assert words - {"_result", "psi"} <= set(KEPT.values())


def test_what_has_a_hostile_name_is_found_by_it(story: Asked):
    (heat,) = (query for query in panel_queries() if query.kind == "status-history")
    (row,) = story.rows(heat.text, **KEPT)
    assert (row["feature"], row["_value"]) == (KEPT["feature"], 0.5)


def test_the_heat_map_has_a_row_for_each_feature_and_shows_when_it_broke(story: Asked):
    (heat,) = (query for query in panel_queries() if query.kind == "status-history")
    found = pd.DataFrame(story.rows(heat.text))
    assert set(found["feature"]) == {"age", "military"}
    military = found[found["feature"] == "military"].sort_values("_time")["_value"]
    assert len(military) == CLEAN + BROKEN
    assert military.iloc[:CLEAN].max() < 0.1
    assert military.iloc[CLEAN:].min() > 0.2


def test_a_feature_shows_what_it_looked_like_then_and_now(story: Asked):
    (shares,) = (query for query in panel_queries() if query.kind == "barchart")
    found = {row["cell"]: row for row in story.rows(shares.text)}
    assert found["served"]["then"] == pytest.approx(0.4, abs=0.03)
    broken = found["0 (new)"]
    assert broken["then"] == 0
    assert broken["now"] == pytest.approx(0.3, abs=0.06)


def test_labels_show_who_was_wrongly_refused_and_by_which_level(story: Asked):
    gap = next(q for q in panel_queries() if "Equal opportunity" in q.where)
    found = pd.DataFrame(story.rows(gap.text, attributes="sex")).set_index("_field")
    values = found.loc["value"].sort_values("_time")["_value"].tolist()
    assert max(values[:-1]) < found.loc["block", "_value"].iloc[-1] < values[-1]
    rates = next(q for q in panel_queries() if "True positive rate of each" in q.where)
    newest = {
        row["group"]: row["_value"]
        for row in sorted(story.rows(rates.text, attributes="sex"), key=lambda row: row["_time"])
    }
    assert newest["woman"] < newest["man"] - 0.3


# ------------------------------------------------------------------------------------------- rules


def firing(rule, asked: Asked) -> set[tuple[str, ...]]:
    """The labels for which a rule fires: reduce, then compare, as Grafana's expressions do."""
    query, reduce, threshold = rule["data"]
    rows = asked.rows(query["model"]["query"], span=query["relativeTimeRange"]["from"] + 60)
    lines: dict[tuple[str, ...], list[float]] = {}
    for row in sorted(rows, key=lambda row: row["_time"]):
        labels = {name for name in row if name not in {"result", "table", "_time", "_value"}}
        assert all(isinstance(row[name], str) for name in labels)
        lines.setdefault(tuple(row[name] for name in sorted(labels)), []).append(row["_value"])
    reducers = {"last": lambda values: values[-1], "count": len}
    (limit,) = threshold["model"]["conditions"][0]["evaluator"]["params"]
    value = reducers[reduce["model"]["reducer"]]
    return {labels for labels, values in lines.items() if value(values) > limit}


def rule(uid: str):
    return next(rule for rule in RULES if rule["uid"] == uid)


@pytest.mark.parametrize("query", rule_queries(), ids=str)
def test_a_rule_finds_something_to_judge(query, story: Asked):
    assert story.rows(query.text)


def test_a_breach_fires_for_the_versions_in_breach_and_for_no_other(story: Asked):
    assert firing(rule("monitor-breach"), story) == {("credit", "3"), ("loans", "1")}


def test_a_streak_fires_for_each_rule_that_broke_in_three_windows_in_a_row(story: Asked):
    fired = firing(rule("monitor-streak"), story)
    assert {labels[:1] + labels[2:] for labels in fired} == {("credit", "3"), ("loans", "1")}
    assert "demographic_parity_difference[race]" in {rule for _, rule, _ in fired}


def test_a_rollback_fires_for_the_model_that_was_rolled_back(story: Asked):
    assert firing(rule("monitor-rollback"), story) == {("credit",)}


def test_a_failed_rollback_fires_for_the_model_that_had_nowhere_to_go(story: Asked):
    assert firing(rule("monitor-rollback-failed"), story) == {("loans",)}


def test_silence_fires_for_the_model_that_stopped_and_not_for_the_monitor(story: Asked):
    assert firing(rule("monitor-silent-model"), story) == {("quiet",)}
    assert firing(rule("monitor-silent"), story) == set()


def test_the_monitor_is_silent_when_no_model_has_a_new_window(new_bucket):
    store, asked = new_bucket()
    end = time.time() // WINDOW * WINDOW
    store.write(replayed("quiet", "1", end - 2 * 3600).reports, [])
    assert firing(rule("monitor-silent"), asked) == {()}


def test_a_part_is_dead_when_it_says_nothing_for_minutes_though_others_do(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    both, one = Health(), Health()
    for part in ("stream", "sink"):
        both.pulse(part).ready()
    one.pulse("sink").ready()
    write_health(store, both, now - 600)
    write_health(store, one, now - 10)
    assert firing(rule("monitor-dead"), asked) == {("stream",)}
    write_health(store, both, now)
    assert firing(rule("monitor-dead"), asked) == set()


def test_a_monitor_that_never_said_anything_fires_by_finding_nothing(new_bucket):
    _, asked = new_bucket()
    dead = rule("monitor-dead")
    assert asked.rows(dead["data"][0]["model"]["query"]) == []
    assert dead["noDataState"] == "Alerting"


def test_dead_letters_fire_when_they_rise_and_not_because_they_once_did(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    health = busy_health(now)
    letters = health.events.labels("3", "dead_letters")
    letters.inc(1000)
    write_health(store, health, now - 120)
    write_health(store, health, now - 60)
    assert firing(rule("monitor-dead-letters"), asked) == set()
    letters.inc(11)
    write_health(store, health, now)
    assert firing(rule("monitor-dead-letters"), asked) == {()}


def test_a_worker_that_counts_from_nought_again_has_not_taken_letters_back(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    for at, letters in ((120, 7), (60, 17), (0, 2)):
        health = Health()
        health.events.labels("3", "dead_letters").inc(letters)
        write_health(store, health, now - at)
    assert firing(rule("monitor-dead-letters"), asked) == {()}


def test_a_backlog_fires_for_the_sink_that_falls_behind(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    write_health(store, busy_health(now, backlog=900), now - 60)
    assert firing(rule("monitor-backlog"), asked) == set()
    write_health(store, busy_health(now, backlog=1100), now)
    assert firing(rule("monitor-backlog"), asked) == {("sink",)}


def test_a_window_that_could_not_be_judged_neither_ends_a_breach_nor_starts_one(new_bucket):
    store, asked = new_bucket()
    end = time.time() // WINDOW * WINDOW
    reports = replayed("credit", "3", end - WINDOW, broken=BROKEN).reports
    odd = replace(
        reports[-1],
        window=Window(end - WINDOW, end),
        status=Status.INSUFFICIENT,
        severity=Severity.INSUFFICIENT,
        breaches=(),
    )
    store.write([*reports, odd], [])
    assert firing(rule("monitor-breach"), asked) == {("credit", "3")}
    assert firing(rule("monitor-streak"), asked)


def test_a_rollback_by_hand_ends_the_alarm_of_the_one_that_failed(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    loans = replayed("loans", "1", now // WINDOW * WINDOW, broken=BROKEN)
    decisions = acted_on(loans, 1, now - 300)
    store.write([], decisions)
    assert firing(rule("monitor-rollback-failed"), asked) == {("loans",)}
    by_hand = replace(
        decisions[-1], decision_id="by-hand", stage=Stage.DONE, at=now - 10, actor="somebody"
    )
    store.write([], [by_hand])
    assert firing(rule("monitor-rollback-failed"), asked) == set()


def test_a_rollback_that_was_begun_and_has_no_outcome_is_a_failed_one_after_ten_minutes(new_bucket):
    store, asked = new_bucket()
    now = time.time()
    credit = replayed("credit", "3", now // WINDOW * WINDOW, broken=BROKEN)
    intent = next(d for d in acted_on(credit, 3, now) if d.stage.value == "intent")
    store.write([], [replace(intent, at=now - 500)])
    assert firing(rule("monitor-rollback-failed"), asked) == set()
    store.write([], [replace(intent, at=now - 700, model="loans")])
    assert firing(rule("monitor-rollback-failed"), asked) == {("loans",)}
