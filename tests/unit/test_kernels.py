from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitor import kernels

REPOSITORY = Path(kernels.__file__).parents[2]

DECODES = """
from monitor.profiles.decoder import RowDecoder
from monitor.profiles.layout import Column, Kind, Layout
layout = Layout(features=(Column(name="age", kind=Kind.NUMERIC),),
                prediction=Column(name="prediction", kind=Kind.CATEGORICAL))
value = (b'{"event_id":"1","prediction_id":"2","event_time":"2026-01-02T03:04:05Z",'
         b'"model_name":"credit","model_version":"7","features":{"age":41},"prediction":1}')
decoder = RowDecoder(layout)
decoder.decode([value] * 50)
print(decoder.decode([value] * 50).rows[:, 0].sum())
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_where_numba_is_told_not_to_compile_events_are_read_without_kernels():
    assert run(DECODES, NUMBA_DISABLE_JIT="1") == "2050.0\n"
    said = run(
        "from monitor.kernels import compile_all; print(compile_all())", NUMBA_DISABLE_JIT="1"
    )
    assert "NUMBA_DISABLE_JIT" in said


@pytest.fixture
def copied(tmp_path):
    """Kernels of one's own, and where they say that they are kept."""
    room = tmp_path / "monitor" / "kernels"
    shutil.copytree(
        Path(kernels.__file__).parent, room, ignore=shutil.ignore_patterns("__pycache__")
    )
    (room.parent / "__init__.py").touch()

    def kept(**environment):
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
        return run(
            f"{code}; from monitor.kernels import compiled; print(compiled._KEPT)", **environment
        )

    return room, kept


def test_kernels_are_kept_by_their_sources_wherever_they_are_kept(copied, tmp_path):
    room, kept = copied
    named = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    first = kept(**named)
    assert Path(first).parent == tmp_path / "kept"
    assert kept(**named) == first
    with (room / "texts.py").open("a") as source:
        source.write("\n# changed\n")
    assert kept(**named) != first


def test_where_nothing_can_be_written_nothing_is_kept(copied):
    room, kept = copied
    (room / "__pycache__").touch()  # no directory
    assert kept(NUMBA_CACHE_DIR="/dev/null/kept", HOME="/dev/null") == "None\n"


def test_machine_code_that_was_cut_short_is_made_again(tmp_path):
    said = "from monitor.kernels import tokens; t = tokens.Tokens(); t.learn(0, b'a', 1.0); print(len(t))"
    assert run(said, NUMBA_CACHE_DIR=str(tmp_path)) == "1\n"
    kept = [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]
    assert kept
    for path in kept:
        path.write_bytes(b"")
    assert run(said, NUMBA_CACHE_DIR=str(tmp_path)) == "1\n"
