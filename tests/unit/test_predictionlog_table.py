"""The table itself: other releases, a full disk, an object store."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pytest

from monitor.errors import StoreError
from monitor.predictionlog.query import Query, ask
from monitor.predictionlog.schema import PREDICTIONS, SCHEMA
from monitor.predictionlog.table import Place, PredictionTable
from monitor.settings import load_settings
from tests.archive import SOURCE, TOPIC, World, event, gather, message
from tests.conftest import REPOSITORY


def table_of(place, schema) -> PredictionTable:
    """A table as another release would have made it."""
    layout = replace(PREDICTIONS, schema=schema)
    made = PredictionTable(str(place), layout=layout)
    made.create()
    return made


def test_a_table_of_an_earlier_release_gets_the_columns_it_lacks_and_keeps_its_rows(tmp_path):
    later = World(tmp_path / "later")
    later.write(event(1))
    rows = later.table.dataset().to_table()
    earlier = pa.schema([field for field in SCHEMA if field.name != "deployment"])
    old = table_of(tmp_path / "log", earlier)
    old.append(rows.select(earlier.names).cast(earlier), {SOURCE: 0}, {SOURCE: None})

    table = PredictionTable(old.uri)
    table.create()
    assert table.positions([SOURCE]) == {SOURCE: 0}
    gather(later.rows, message(event(2, deployment="canary"), 1))
    table.append(later.rows.take(), {SOURCE: 1}, {SOURCE: 0})
    found = ask(table, Query()).to_pylist()
    assert [(row["event_id"], row["deployment"]) for row in found] == [
        ("event-2", "canary"),
        ("event-1", None),
    ]


def test_a_table_whose_column_has_another_type_is_refused_with_both_types_named(tmp_path):
    other = pa.schema(
        [pa.field("score", pa.string()) if field.name == "score" else field for field in SCHEMA]
    )
    table_of(tmp_path / "log", other)
    with pytest.raises(StoreError, match=r"its column score holds string.*writes double"):
        PredictionTable(str(tmp_path / "log")).create()


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.archive import World, event
world = World(Path(sys.argv[1]))
world.write(event(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
try:
    world.write(*(event(i) for i in range(1, 400)))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_disk_that_takes_no_more_is_told_in_a_sentence_and_loses_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("StoreError"), done
    assert "Look at its disk" in done.stdout
    table = PredictionTable(str(tmp_path / "log"))
    assert table.positions([SOURCE]) == {SOURCE: 0}
    assert ask(table, Query())["event_id"].to_pylist() == ["event-0"]


def test_a_deletion_that_a_writer_came_between_is_begun_anew(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.write(event(0), event(1))
    writers = [PredictionTable(world.table.uri) for _ in range(2)]
    fresh = PredictionTable._fresh

    def overtaken(table: PredictionTable):
        delta = fresh(table)
        if table is world.table and writers:
            writer = writers.pop()
            partition = f"predictions-{7 + len(writers)}"
            beside = event(
                1, event_id=partition
            )  # in the same file as what is deleted, for all that Delta knows
            gather(world.rows, message(beside, 0), message(beside, 2))
            writer.append(world.rows.take(), {partition: 0}, writer.positions([partition]))
        return delta

    monkeypatch.setattr(PredictionTable, "_fresh", overtaken)
    assert world.table.delete_rows([Place(TOPIC, 0, 1, 0)]) == 1
    assert not writers
    rows = PredictionTable(world.table.uri).dataset().to_table()
    left = rows["event_id"].to_pylist()
    assert sorted(left) == ["event-0", *["predictions-7"] * 2, *["predictions-8"] * 2]


def test_the_settings_of_an_object_store_reach_it(monkeypatch):
    said = '{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "eu-west-1"}'
    log = load_settings(
        {"MONITOR_LOG__PATH": "s3://bucket/predictions", "MONITOR_LOG__STORAGE": said}
    ).log
    given = {}

    def delta_table(uri, storage_options):
        given[uri] = storage_options
        raise OSError("the bucket is away")

    monkeypatch.setattr("monitor.predictionlog.table.DeltaTable", delta_table)
    with pytest.raises(StoreError, match=r"s3://bucket/predictions: .*the bucket is away"):
        PredictionTable(log.path, log.storage).exists()
    assert given == {"s3://bucket/predictions": log.storage}
    assert log.storage["AWS_REGION"] == "eu-west-1"
