"""State that another release wrote: read as it was meant, or counted again from the log; never misread."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec

from monitor.engine.records import Outbox
from monitor.engine.state import FORMAT, PROGRESS_KEY, Pieces, pack
from tests.unit.engine_world import Message, engine, messages, people
from tests.unit.test_engine_partition import collect, drive, latest, spread

GOLDEN = Path(__file__).parent / "golden" / f"state-{FORMAT}.msgpack"

#: What the stored state has counted, of all the records.
COUNTED = 230


class Golden(msgspec.Struct):
    """State as a release wrote it, the records that came after, and what is to be reported of all of them."""

    state: dict[bytes, bytes]
    records: list[Message]
    windows: list[tuple[float, float, int, int, float]]


def stream() -> list[Message]:
    """Two windows that are closed, one under way, late events, and records that are told by their ids."""
    numbered = messages(people(300), spread(300, 60))
    by_id = messages(people(60, seed=2), spread(60, 60), first=300, producer=None)
    mixed = [*numbered[:200], *by_id, *numbered[200:]]
    return [replace(record, offset=offset) for offset, record in enumerate(mixed)]


def said(reports) -> list[tuple[float, float, int, int, float]]:
    """Each window's last report: its span, revision, count, and a measure that needs all of the profile."""
    return [
        (*window, report.revision, report.n, round(report.drift[0].psi, 9))
        for window, report in sorted(latest(reports).items())
    ]


def test_state_of_this_format_is_read_as_the_release_that_wrote_it_meant_it():
    if os.environ.get("GOLDEN") == "write":
        write()
    golden = msgspec.msgpack.decode(GOLDEN.read_bytes(), type=Golden)
    machine = engine(learn=False)
    machine.restore(golden.state)
    assert machine.position == COUNTED
    total, _ = drive(machine, golden.records)
    assert said(total.reports) == golden.windows


def test_state_of_a_format_that_is_read_no_more_is_erased_and_all_is_counted_again():
    total, state = drive(engine(), stream())
    old = state | Pieces().write(PROGRESS_KEY, pack(Ancient(format=0, place=7)))
    old[b"version/of-old"] = b"what no release can read any more"
    machine = engine(learn=False)
    machine.restore(old)
    assert machine.position == 0
    collect(machine, Outbox(), old)
    assert set(old) == {PROGRESS_KEY}
    again, kept = drive(machine, stream())
    assert said(again.reports) == said(total.reports)
    third = engine(learn=False)
    third.restore(kept)
    assert third.position == machine.position


class Ancient(msgspec.Struct):
    """A progress record as no release writes it now."""

    format: int
    place: int


def write() -> None:
    """Keep today's format, once it has changed: `GOLDEN=write pytest tests/unit/test_engine_upgrade.py`."""
    _, state = drive(engine(), stream()[:COUNTED])
    machine = engine(learn=False)
    machine.restore(state)
    rest, _ = drive(machine, stream()[COUNTED:])
    golden = Golden(state, stream()[COUNTED:], said(rest.reports))
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_bytes(msgspec.msgpack.encode(golden))
