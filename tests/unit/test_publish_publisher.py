from __future__ import annotations

import datetime as dt
import logging
import os
import subprocess
import sys
import uuid

import pyarrow as pa
import pytest

from monitor.errors import SettingsError
from monitor.events import PredictionEvent, new_event_id
from monitor.publish import PredictionPublisher, PublisherSettings
from monitor.publish.courier import Courier
from monitor.publish.table import messages
from monitor.testing import until

NOWHERE = "127.0.0.1:9"  # the discard port: nobody answers
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def event(**fields) -> PredictionEvent:
    known = {
        "event_id": new_event_id(),
        "prediction_id": "p",
        "event_time": NOON,
        "model_name": "credit",
        "model_version": "7",
        "features": {"age": 41},
        "prediction": 1,
    }
    return PredictionEvent(**{**known, **fields})


def test_the_plain_install_imports_nothing_heavy():
    heavy = ("pandas", "numpy", "mlflow", "pydantic", "pyarrow", "structlog", "faust", "aiokafka")
    code = f"import sys, monitor.publish; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_no_event_is_counted_aloud_and_raises_nothing(caplog):
    with PredictionPublisher(NOWHERE) as publisher:
        publisher.publish(event(features={"age": object()}))
        publisher.publish(event(event_time=NOON.replace(tzinfo=None)))
        publisher.publish("not an event")
        assert publisher.counts.invalid == 3
        assert publisher.counts.accepted == 0
    assert "not an event" in caplog.text


@pytest.mark.parametrize("event_id", [uuid.uuid4(), 7, None])
def test_an_id_that_is_no_text_is_refused_and_the_next_event_is_taken(event_id, caplog):
    with PredictionPublisher(NOWHERE) as publisher:
        publisher.publish(event(event_id=event_id))
        publisher.publish(event())
        until(lambda: publisher.counts.accepted == 1)
        assert publisher.counts.invalid == 1
        assert publisher._courier.is_alive()
        publisher.close(0.05)
    assert f"event_id is {type(event_id).__name__}, not str" in caplog.text


def test_whatever_fails_publishing_goes_on_and_says_so(caplog, monkeypatch):
    turn, failures = Courier._turn, [ZeroDivisionError("never thought of")]

    def fail_once(courier):
        if failures:
            raise failures.pop()
        turn(courier)

    monkeypatch.setattr(Courier, "_turn", fail_once)
    publisher = PredictionPublisher(NOWHERE)
    publisher.publish(event())
    until(lambda: publisher._courier._taken == 1)
    publisher.close(0.05)
    assert "publishing failed, and goes on: ZeroDivisionError('never thought of')" in caplog.text


def test_a_full_queue_drops_and_counts_aloud_but_never_blocks(caplog):
    publisher = PredictionPublisher(NOWHERE, queue_events=10, window_events=5)
    for _ in range(100):
        publisher.publish(event())
    counts = publisher.counts
    assert counts.accepted == 100
    assert counts.dropped >= 100 - 10 - 5
    publisher.close(0.05)
    assert publisher.counts.pending == 0
    assert publisher.counts.dropped == 100
    assert "events are lost" in caplog.text


def test_a_full_spool_drops_the_newest_and_counts_them(tmp_path):
    publisher = PredictionPublisher(
        NOWHERE, spool_directory=tmp_path, spool_bytes=20_000, patience_s=0.05
    )
    for _ in range(200):
        publisher.publish(event())
    until(lambda: publisher.counts.spooled, what="patience is over")
    publisher.close(0.05)
    counts = publisher.counts
    assert counts.spooled + counts.dropped == counts.accepted == 200
    assert 0 < sum(path.stat().st_size for path in tmp_path.glob("**/*.spool")) <= 20_000


def test_after_closing_events_are_counted_as_dropped(tmp_path):
    publisher = PredictionPublisher(NOWHERE, spool_directory=tmp_path)
    publisher.close()
    publisher.publish(event())
    assert publisher.counts.dropped == 1


def test_a_warning_of_one_kind_is_not_repeated_for_every_event(caplog):
    with PredictionPublisher(NOWHERE) as publisher:
        for _ in range(50):
            publisher.publish("not an event")
    assert sum(record.kind == "invalid" for record in caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_a_table_without_a_needed_column_is_counted_as_invalid(caplog):
    with PredictionPublisher(NOWHERE) as publisher:
        publisher.publish_batch(pa.table({"model_name": ["credit"] * 3}))
        assert publisher.counts.invalid == 3
    assert "no column model_version" in caplog.text


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("age", [1], "features.age"),
        ("event_time", pa.array([NOON], pa.timestamp("us")), "not a timestamp with a time zone"),
        ("prediction", pa.array([None], pa.int64()), "missing values"),
    ],
)
def test_a_table_with_a_wrong_column_is_refused_by_name(column, values, reason, caplog):
    good = {
        "model_name": ["credit"],
        "model_version": ["7"],
        "event_time": pa.array([NOON], pa.timestamp("us", tz="UTC")),
        "prediction": [1],
    }
    with PredictionPublisher(NOWHERE) as publisher:
        publisher.publish_batch(pa.table({**good, column: values}))
        assert publisher.counts.invalid == 1
    assert reason in caplog.text


def test_ids_that_a_table_lacks_are_made_and_times_are_cut_to_the_microsecond():
    """Whatever pandas gives: numbers for ids, nulls among them, nanoseconds."""
    table = pa.table(
        {
            "model_name": ["credit"] * 3,
            "model_version": ["7"] * 3,
            "event_time": pa.array([1_001, 2_002, 3_003], pa.timestamp("ns", tz="UTC")),
            "event_id": pa.array([1, None, 3]),
            "prediction": [1, 0, 1],
        }
    )
    (message,) = messages(table)
    rows = pa.ipc.open_stream(message.value).read_all()
    first, made, last = rows["event_id"].to_pylist()
    assert (first, last, len(made)) == ("1", "3", len(new_event_id()))
    assert rows["prediction_id"].to_pylist() == [first, made, last]
    assert rows["event_time"].cast(pa.int64()).to_pylist() == [1, 2, 3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_publishes_under_a_name_of_its_own(tmp_path):
    code = f"""
import os, sys
from monitor.publish import PredictionPublisher
publisher = PredictionPublisher({NOWHERE!r}, spool_directory={str(tmp_path)!r})
parent = publisher.producer_id
child = os.fork()
if child == 0:
    same = publisher.producer_id == parent
    publisher.publish("no event")
    publisher.close(0.05)
    os._exit(7 if not same and publisher.counts.invalid == 1 else 1)
publisher.close(0.05)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 7, done.stderr


def test_secrets_are_read_from_the_environment_or_a_file_and_never_shown(tmp_path):
    (tmp_path / "secret").write_text("hush\n")
    settings = PublisherSettings.from_environment(
        {
            "MONITOR_KAFKA__BOOTSTRAP": "kafka:9093",
            "MONITOR_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "MONITOR_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "MONITOR_KAFKA__SASL_USERNAME": "shop",
            "MONITOR_KAFKA__SASL_PASSWORD_FILE": str(tmp_path / "secret"),
            "MONITOR_PUBLISH__SPOOL_BYTES": "1000",
        }
    )
    client = settings.client()
    assert client["sasl.password"] == "hush"
    assert client["security.protocol"] == "SASL_SSL"
    assert settings.spool_bytes == 1000
    assert "hush" not in repr(settings)


def test_what_exactly_once_rests_on_cannot_be_configured_away():
    client = PublisherSettings(
        bootstrap=NOWHERE,
        librdkafka={
            "enable.idempotence": False,
            "message.timeout.ms": 5,
            "max.in.flight.requests.per.connection": 5,
        },
    ).client()
    assert client["enable.idempotence"] is True
    assert client["max.in.flight.requests.per.connection"] == 1
    assert client["message.timeout.ms"] == 0
    assert client["partitioner"] == "murmur2_random"


@pytest.mark.parametrize(
    ("given", "environment", "sentence"),
    [
        ({}, {}, "no Kafka broker is named.*MONITOR_KAFKA__BOOTSTRAP"),
        ({"spool_dir": "x"}, {}, "spool_dir: there is no such setting.*spool_directory"),
        ({"bootstrap": NOWHERE, "producer_id": "x"}, {}, "needs a place to keep its sequence"),
        ({"bootstrap": NOWHERE, "queue_events": 0}, {}, "queue_events: 0 is not above 0"),
        ({"bootstrap": NOWHERE}, {"MONITOR_PUBLISH__SPOOL_BYTES": "1G"}, "'1G' is not a number"),
        ({}, {"MONITOR_KAFKA__SASL_PASSWORD_FILE": "/no/such"}, "/no/such cannot be read"),
        (
            {},
            {"MONITOR_PUBLISH__SPOOL_DIR": "x"},
            "no such setting.*MONITOR_PUBLISH__SPOOL_DIRECTORY",
        ),
    ],
)
def test_a_wrong_setting_is_told_with_its_name_and_the_fix(given, environment, sentence):
    with pytest.raises(SettingsError, match=sentence):
        PublisherSettings.from_environment(environment, **given)


def test_a_setting_that_the_client_refuses_is_told_at_the_start():
    with pytest.raises(SettingsError, match="compression"):
        PredictionPublisher(NOWHERE, compression="zip")
