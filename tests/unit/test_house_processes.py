from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.errors import MonitorError
from monitor.servers import Process, free_ports
from monitor.servers.influx import find_influxd
from monitor.servers.ports import accepts, is_free
from monitor.testing import until

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    server.accept()
"""
OWNER = """
import sys
from pathlib import Path
from monitor.servers import Process
from monitor.servers.ports import accepts
port = int(sys.argv[1])
server = Process("server", [sys.executable, "-c", sys.argv[2], str(port)], log=Path(sys.argv[3]))
server.start()
server.wait_until(lambda: accepts(port), seconds=30)
print("up", flush=True)
sys.stdin.read()
"""


def listener(tmp_path, port):
    return Process("server", [sys.executable, "-c", LISTEN, port], log=tmp_path / "log")


def test_free_ports_are_free_and_distinct():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(map(is_free, ports))


def test_a_process_is_gone_and_its_port_free_when_the_block_is_left(tmp_path):
    (port,) = free_ports(1)
    with listener(tmp_path, str(port)) as process:
        process.wait_until(lambda: accepts(port), seconds=30)
        assert process.running
    assert not process.running
    assert is_free(port)
    assert "listening" in process.tail()


def test_a_killed_process_starts_again_on_the_same_port(tmp_path):
    (port,) = free_ports(1)
    with listener(tmp_path, str(port)) as process:
        process.wait_until(lambda: accepts(port), seconds=30)
        process.kill()
        assert not accepts(port)
        process.start()
        process.wait_until(lambda: accepts(port), seconds=30)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_goes_when_its_owner_goes_whatever_the_way(tmp_path, end):
    (port,) = free_ports(1)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(port), LISTEN, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with owner:
        assert owner.stdout.readline() == b"up\n"
        owner.send_signal(end)
    until(lambda: not accepts(port))


def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path):
    script = "import sys; sys.exit('the disk is full')"
    with (
        Process("Kafka", [sys.executable, "-c", script], log=tmp_path / "log") as process,
        pytest.raises(MonitorError, match=r"(?s)Kafka: ended with exit code 1.*the disk is full"),
    ):
        process.wait_until(lambda: False, seconds=30)


def test_a_server_that_does_not_answer_is_stopped_and_told(tmp_path):
    (port,) = free_ports(1)
    with (
        listener(tmp_path, str(port)) as process,
        pytest.raises(MonitorError, match=r"server: did not answer within 0 s"),
    ):
        process.wait_until(lambda: False, seconds=0)
    assert not process.running


def test_a_process_that_ends_by_itself_says_how(tmp_path):
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with Process("worker", [sys.executable, "-c", script], log=tmp_path / "log") as process:
        assert process.wait(seconds=120) == 128 + signal.SIGKILL


def test_a_frozen_process_can_be_killed(tmp_path):
    (port,) = free_ports(1)
    with listener(tmp_path, str(port)) as process:
        process.wait_until(lambda: accepts(port), seconds=30)
        process.send(signal.SIGSTOP)
        process.kill()
        assert is_free(port)


def test_a_process_is_not_started_twice(tmp_path):
    (port,) = free_ports(1)
    with (
        listener(tmp_path, str(port)) as process,
        pytest.raises(MonitorError, match="runs already"),
    ):
        process.start()


def test_no_file_stays_open_over_many_starts(tmp_path):
    process = Process("short", [sys.executable, "-S", "-c", "pass"], log=tmp_path / "log")
    opened = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        process.start()
        process.wait(seconds=120)
        process.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_influxd_is_looked_for_in_the_named_places_in_order(tmp_path):
    import zstandard

    named, archive = tmp_path / "named", tmp_path / "packed.zst"
    named.write_text("named")
    archive.write_bytes(zstandard.ZstdCompressor().compress(b"packed"))
    on_path = tmp_path / "bin" / "influxd"
    on_path.parent.mkdir()
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    environ = {
        "INFLUXD": str(named),
        "PATH": str(on_path.parent),
        "INFLUXD_ARCHIVE": str(archive),
    }
    assert find_influxd(environ, tmp_path) == named
    del environ["INFLUXD"]
    assert find_influxd(environ, tmp_path) == on_path
    environ["PATH"] = "/nowhere"
    found = find_influxd(environ, tmp_path)
    assert found.read_bytes() == b"packed"
    assert os.access(found, os.X_OK)
    del environ["INFLUXD_ARCHIVE"]
    assert find_influxd(environ, tmp_path) is None


def test_an_influxd_that_is_named_and_not_there_is_an_error(tmp_path):
    with pytest.raises(MonitorError, match="INFLUXD=/nowhere: no such file"):
        find_influxd({"INFLUXD": "/nowhere"}, tmp_path)


@pytest.mark.parametrize("daemon_runs", [True, False])
def test_influxd_is_taken_out_of_the_docker_image_where_docker_runs(tmp_path, daemon_runs):
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/bin/sh\n"
        f"{'' if daemon_runs else 'exit 1'}\n"
        'case "$1" in\n'
        'create) test "$2" = influxdb:2.7.12 && echo 4f2a ;;\n'
        'cp) test "$2" = 4f2a:/usr/local/bin/influxd && echo binary > "$3" ;;\n'
        "esac\n"
    )
    docker.chmod(0o755)
    found = find_influxd({"PATH": str(docker.parent)}, tmp_path)
    assert (found.read_text() if found else None) == ("binary\n" if daemon_runs else None)
