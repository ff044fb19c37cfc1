"""What an installation brings, and what it must not need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from monitor.cli.extras import NEEDED, NOT_INSTALLED
from monitor.cli.main import BAD_INPUT

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Importing anything outside the standard library, this package and the plain install is an error.
ONLY = """
import importlib.abc, importlib.util, sys
allowed = set(sys.argv[1].split(",")) | set(sys.stdlib_module_names) | {"monitor"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] not in allowed:
            raise ModuleNotFoundError(f"not in the plain install: {name}")

sys.meta_path.insert(0, Refuse())
import monitor.publish, monitor.events, monitor.errors
"""


def test_the_publisher_imports_with_the_plain_install_alone():
    plain = ",".join(Requirement(text).name.replace("-", "_") for text in PROJECT["dependencies"])
    done = subprocess.run(
        [sys.executable, "-c", ONLY, plain], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("gone", "words", "extras"),
    [
        ("click", ["--help"], "worker"),
        ("pydantic", ["policy", "validate", "policy.yaml"], "worker"),
        ("deltalake", ["log", "query", "--model", "credit"], "worker,log"),
        ("uvicorn", ["web"], "worker,log,web"),
    ],
)
def test_a_command_whose_extra_is_not_installed_says_which(gone, words, extras, tmp_path):
    code = f"import sys; sys.modules[{gone!r}] = None; sys.argv[1:] = {words!r}; import monitor.__main__"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == NOT_INSTALLED == BAD_INPUT
    assert done.stderr == (
        f"monitor: this command needs {gone}. Install it: pip install 'model-monitor[{extras}]'\n"
    )


def test_every_package_of_an_extra_is_known_by_the_module_that_it_brings():
    modules = metadata.packages_distributions()
    brought = {
        (last, canonicalize_name(name))
        for module, extras in NEEDED.items()
        for name in modules[module]
        for last in [extras.split(",")[-1]]
    }
    wanted = {
        (extra, canonicalize_name(Requirement(text).name))
        for extra in ("worker", "log", "web", "demo")
        for text in EXTRAS[extra]
    }
    assert brought >= wanted


@pytest.mark.parametrize("name", ["aiokafka", "faust-streaming"])
def test_what_the_stream_room_overrides_is_pinned_exactly(name):
    (pin,) = (r for r in map(Requirement, EXTRAS["worker"]) if r.name == name)
    assert str(pin.specifier) == f"=={metadata.version(name)}"


def test_what_is_tested_is_what_would_be_installed():
    installed = [
        texts for extra, texts in EXTRAS.items() if extra != "fuzz"
    ]  # that is `make fuzz`'s alone
    wanted = [*PROJECT["dependencies"], *(text for texts in installed for text in texts)]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(metadata.version(requirement.name)), requirement


def test_every_ruff_rule_that_is_ignored_says_why():
    text = (REPOSITORY / "pyproject.toml").read_text()
    body = re.search(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    assert all(re.fullmatch(r'    "[A-Z0-9]+", +# \S.+', line) for line in body.splitlines())


def test_make_says_what_it_can_make():
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        *(
            "help",
            "venv",
            "demo",
            "test",
            "chaos",
            "fuzz",
            "lint",
            "types",
            "schemas",
            "dashboards",
            "secrets",
            "clean",
        )
    ]


def test_a_python_that_is_too_old_is_told_with_the_fix(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "Makefile").symlink_to(REPOSITORY / "Makefile")
    (tmp_path / "pyproject.toml").touch()
    done = subprocess.run(
        ["make", f"PYTHON={old}", "venv"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"{old} is missing, or older than 3.11" in done.stderr
    assert "make PYTHON=" in done.stderr
