"""The same windows judged by this monitor, by Evidently and by NannyML, each as it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.faults import Planted, planted
from benchmarks.figures import Figure, figure
from benchmarks.judged import Judged, Stream
from benchmarks.rivals import environment, silent
from benchmarks.world import (
    REFERENCE_ROWS,
    Table,
    as_frame,
    draw,
    make_baseline,
    make_layout,
    profile,
)
from monitor.policy.severity import rank
from monitor.reports import Severity

PEERS = ("evidently", "nannyml")

#: Events a window.
SIZE = 1_000

_SEED = 20_261_121


def figures_of_peers(*, quick: bool) -> Iterator[Figure]:
    """Yield, for each tool, the share of windows with a fault that it flags, and of clean ones in which it alarms.

    A window with a fault is flagged if its own column is. That a tool has no such verdict (the gap between groups, by
    default) counts as not flagged. Ours counts in its first window, without a history.
    """
    trials, clean = (1, 3) if quick else (3, 20)
    windows = dict(_windows(trials, clean))
    verdicts = {
        "monitor": {name: _flagged(table, fault) for name, (table, fault) in windows.items()}
    }
    with TemporaryDirectory() as made:
        folder = Path(made)
        reference = draw(REFERENCE_ROWS, np.random.default_rng(_SEED))
        as_frame(reference).to_pickle(folder / "reference.pickle")
        for name, (table, _) in windows.items():
            as_frame(table).to_pickle(folder / f"{name}.window")
        for peer in PEERS:
            verdicts[peer] = _ask(peer, folder)
    for tool, flagged in verdicts.items():
        for kind in ("clean", *dict(planted())):
            about = {name: fault for name, (_, fault) in windows.items() if _kind(name) == kind}
            found = [
                bool(flagged[name]) if fault is None else fault.about in flagged[name]
                for name, fault in about.items()
            ]
            share = float(np.mean(found))
            yield figure(f"{tool}_{kind}_n{SIZE}_flagged", share, f"of {len(found)}")


def _windows(trials: int, clean: int) -> Iterator[tuple[str, tuple[Table, Planted | None]]]:
    random = np.random.default_rng([_SEED, SIZE])
    for trial in range(clean):
        yield f"clean-{trial}", (draw(SIZE, random), None)
    for kind, fault in planted():
        for trial in range(trials):
            table = draw(SIZE, random)
            fault.fault(table, random, 0)
            yield f"{kind}-{trial}", (table, fault)


def _kind(name: str) -> str:
    return name.rpartition("-")[0]


def _flagged(table: Table, fault: Planted | None) -> list[str]:
    """Return what this monitor warns of in the window, the fault's own name first."""
    judged: Judged = Stream(make_baseline()).judge(profile(table, make_layout()))
    if fault is not None:
        return [fault.about] if fault.warned(judged) else []
    return ["something"] if rank(judged.report.severity) >= rank(Severity.WARN) else []


def _ask(peer: str, folder: Path) -> dict[str, list[str]]:
    script = Path(__file__).with_name(f"{peer}_verdicts.py")
    ended = subprocess.run(
        [environment(peer), script, folder],
        check=False,
        capture_output=True,
        text=True,
        env=silent(),
    )
    if ended.returncode:
        sys.exit(f"{peer} failed:\n{ended.stderr[-2000:]}")
    verdicts: dict[str, list[str]] = json.loads(ended.stdout.splitlines()[-1])
    return verdicts
