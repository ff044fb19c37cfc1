from __future__ import annotations

import os
import shutil
import subprocess
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.errors import SettingsError, StoreError
from monitor.health import Health, HealthServer
from monitor.health.pulse import HANGS_AFTER, Pulse
from monitor.stores.health import HealthWriter, health_points
from tests.health_samples import busy_health

HOSTILE = 'a"b\\c\n{x="1"} 7\n# TYPE y gauge'


@pytest.fixture
def health():
    return busy_health(model=HOSTILE)


def get(url):
    try:
        with urlopen(url, timeout=10) as response:
            return response.status, response.read()
    except HTTPError as error:
        return error.code, error.read()


def samples(text):
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_say_how_partitions_sinks_and_decisions_are(health):
    with HealthServer(health, "127.0.0.1", 0) as server:
        status, text = get(f"{server.address}/metrics")
    assert status == 200
    said = samples(text)
    assert said["monitor_lag_records", "3"] == 7
    assert said["monitor_open_windows", "3"] == 2
    assert said["monitor_snapshot_age_seconds", "3"] == 2
    assert said["monitor_partition_waiting", "3"] == 1
    assert said["monitor_events_total", "dead_letters", "3"] == 5
    assert said["monitor_decision_latency_seconds_bucket", "5.0"] == 1
    assert said["monitor_backlog_records", "sink", "0", "reports"] == 12
    assert said["monitor_ready", "stream"] == 1


def test_a_hostile_name_is_one_label_of_one_series(health):
    with HealthServer(health, "127.0.0.1", 0) as server:
        said = samples(get(f"{server.address}/metrics")[1])
    assert said["monitor_watermark_delay_seconds", HOSTILE, "1"] == 60
    assert all(name.startswith(("monitor_", "y")) and name[0] != "y" for name, *_ in said)


def test_promtool_finds_nothing_to_complain_of(health):
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool found: apt install prometheus, or name it by PROMTOOL=FILE")
    with HealthServer(health, "127.0.0.1", 0) as server:
        _, text = get(f"{server.address}/metrics")
    done = subprocess.run(
        [program, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_partition_that_another_worker_has_is_shown_no_more(health):
    health.forget(3)
    assert health.registry.get_sample_value("monitor_lag_records", {"partition": "3"}) is None


def test_readiness_names_what_each_part_waits_for(health):
    health.pulse("sink").wait("InfluxDB does not answer")
    with HealthServer(health, "127.0.0.1", 0) as server:
        status, text = get(f"{server.address}/readyz")
        assert status == 503
        said = msgspec.json.decode(text)
        assert said == {"ready": False, "waits_for": {"sink": "InfluxDB does not answer"}}
        health.pulse("sink").ready()
        assert get(f"{server.address}/readyz") == (200, b'{"ready":true,"waits_for":{}}')


def test_a_part_whose_loop_stands_still_is_not_alive():
    now = [0.0]
    health = Health()
    pulse = health._pulses["actor"] = Pulse("actor", clock=lambda: now[0])
    pulse.ready()
    with HealthServer(health, "127.0.0.1", 0) as server:
        now[0] = HANGS_AFTER
        assert get(f"{server.address}/livez")[0] == 200
        now[0] += 1
        status, text = get(f"{server.address}/livez")
        assert (status, msgspec.json.decode(text)["alive"]) == (503, False)
        pulse.beat()
        assert get(f"{server.address}/livez")[0] == 200


def test_a_port_that_is_taken_is_left_to_whoever_has_it(health):
    with HealthServer(Health(), "127.0.0.1", 0) as first:
        port = int(first.address.rpartition(":")[2])
        with HealthServer(health, "127.0.0.1", port) as second:
            assert first.address != second.address
            assert get(f"{second.address}/livez")[0] == 200


def test_an_address_of_another_machine_is_refused_with_a_sentence(health):
    with pytest.raises(SettingsError, match=r"nobody can listen on 192\.0\.2\.1:9464"):
        HealthServer(health, "192.0.2.1", 9464)


def test_other_paths_are_not_there(health):
    with HealthServer(health, "127.0.0.1", 0) as server:
        assert get(f"{server.address}/../etc/passwd")[0] == 404


class Store:
    def __init__(self):
        self.points, self.answers, self.asked = [], True, 0

    def write_points(self, points):
        self.asked += 1
        if not self.answers:
            raise StoreError("it is down")
        self.points += points

    def close(self):
        pass


def test_points_hold_the_same_series_with_the_labels_as_tags(health):
    points = health_points(health.registry.collect(), host="here", at=1000.0)
    of = {tuple(sorted(point["tags"].items())): point["fields"] for point in points}
    partition = of[("host", "here"), ("partition", "3")]
    assert (partition["lag_records"], partition["open_windows"]) == (7, 2)
    sink = of[("host", "here"), ("part", "sink"), ("partition", "0"), ("topic", "reports")]
    assert sink == {"backlog_records": 12}
    assert of[(("host", "here"),)]["decision_latency_seconds_sum"] == 3.5


def test_a_store_that_is_away_costs_points_and_nothing_else(health):
    store = Store()
    writer = HealthWriter(health, store, seconds=60, now=lambda: 1000.0)
    store.answers = False
    writer.write()
    store.answers = True
    writer.write()
    assert store.asked == 2
    assert {point["measurement"] for point in store.points} == {"monitor_health"}
