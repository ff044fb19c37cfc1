"""InfluxDB 2, one process, set up over HTTP."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from monitor.errors import MonitorError
from monitor.servers.local import LocalServer
from monitor.servers.ports import free_ports, responds
from monitor.servers.process import Process

VERSION = "2.7.12"
IMAGE = f"influxdb:{VERSION}"


class InfluxServer(LocalServer):
    """A real influxd on the loopback interface, with one organisation, bucket and token.

    Parameters
    ----------
    program
        The influxd binary; :func:`find_influxd` looks for one.
    directory
        Where data and log go; a temporary one by default, gone with the server.
    """

    org = "monitor"
    bucket = "monitor"

    def __init__(self, program: Path, directory: Path | None = None) -> None:
        super().__init__(directory)
        self._program = program
        self.token = secrets.token_urlsafe(32)
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self._set_up = False

    def _launch(self) -> Process:
        options = {
            "--bolt-path": str(self.directory / "influxd.bolt"),
            "--engine-path": str(self.directory / "engine"),
            "--sqlite-path": str(self.directory / "influxd.sqlite"),
            "--http-bind-address": f"127.0.0.1:{self._port}",
        }
        words = [word for option in options.items() for word in option]
        process = Process(
            "InfluxDB",
            [self._program, *words, "--reporting-disabled"],
            log=self.directory / "influxd.log",
        )
        process.start()
        process.wait_until(lambda: responds(f"{self.url}/health"), seconds=180)
        if not self._set_up:
            self._post_setup()
            self._set_up = True
        return process

    def _post_setup(self) -> None:
        body = {
            "username": "monitor",
            "password": secrets.token_urlsafe(16),
            "org": self.org,
            "bucket": self.bucket,
            "token": self.token,
        }
        request = urllib.request.Request(
            f"{self.url}/api/v2/setup",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30):
            return


def find_influxd(environ: Mapping[str, str], unpack_into: Path) -> Path | None:
    """An influxd of this machine, or None.

    Looked for in this order: ``$INFLUXD``, the PATH, the packed copy that ``$INFLUXD_ARCHIVE``
    names (``.zst``), the Docker image of :data:`VERSION`.

    Parameters
    ----------
    environ
        The environment variables.
    unpack_into
        Directory for a binary that has to be unpacked first.

    Raises
    ------
    MonitorError
        When a variable names a file that is not there.
    """
    for name in ("INFLUXD", "INFLUXD_ARCHIVE"):
        path = environ.get(name)
        if path and not Path(path).is_file():
            raise MonitorError(
                "no such file", where=f"{name}={path}", fix="Correct it or unset it."
            )
    if named := environ.get("INFLUXD"):
        return Path(named)
    search = environ.get("PATH")
    if on_path := shutil.which("influxd", path=search):
        return Path(on_path)
    if archive := environ.get("INFLUXD_ARCHIVE"):
        return _unpack(Path(archive), unpack_into)
    if docker := shutil.which("docker", path=search):
        return _copy_from_image(docker, unpack_into)
    return None


def _unpack(archive: Path, into: Path) -> Path:
    import zstandard

    program = into / "influxd"
    with archive.open("rb") as packed, program.open("wb") as binary:
        zstandard.ZstdDecompressor().copy_stream(packed, binary)
    program.chmod(0o755)
    return program


def _copy_from_image(docker: str, into: Path) -> Path | None:
    """Take the binary out of the image: the server then runs like any other. None without Docker."""
    created = subprocess.run([docker, "create", IMAGE], capture_output=True, text=True, check=False)
    if created.returncode != 0:
        return None
    container = created.stdout.strip()
    program = into / "influxd"
    copied = subprocess.run(
        [docker, "cp", f"{container}:/usr/local/bin/influxd", program],
        capture_output=True,
        check=False,
    )
    subprocess.run([docker, "rm", container], capture_output=True, check=False)
    return program if copied.returncode == 0 else None
