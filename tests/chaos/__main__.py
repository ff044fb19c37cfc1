"""The whole matrix of faults on real servers: ``make chaos``, or ``python -m tests.chaos --only mlflow --seed 7``."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from monitor.servers import InfluxServer, KafkaServer, MlflowServer
from monitor.servers.influx import VERSION, find_influxd
from tests.chaos.matrix import MATRIX
from tests.chaos.outcome import Fault, Outcome, Servers
from tests.conftest import with_shared_archive

#: Seconds that a fault may take.
_LONGEST = 120.0

COLUMNS = ("fault", "tried", "events", "lost", "doubled", "reports revised", "recovery s", "")


@click.command()
@click.option("--only", multiple=True, metavar="PART", help="Faults whose name has this part.")
@click.option("--list", "list_", is_flag=True, help="Name the faults, and make none.")
@click.option("--seed", type=int, default=20_261_121, show_default=True)
@click.option(
    "--minutes", type=float, default=28.0, show_default=True, help="No fault begins later."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/chaos.json"))
def chaos(only: tuple[str, ...], seed: int, minutes: float, out: Path, *, list_: bool) -> None:
    """Make each fault on real servers, and count what was lost or doubled: exit code 0 only if nothing was."""
    chosen = {n: fault for n, fault in MATRIX.items() if not only or any(p in n for p in only)}
    if list_ or not chosen:
        print(*MATRIX, sep="\n")
        sys.exit(0 if list_ else 2)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{len(chosen)} faults, seed {seed}; the same again with --seed {seed}", flush=True)
    began, outcomes = time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, servers(Path(folder)) as real:
        for number, (name, fault) in enumerate(chosen.items()):
            if time.monotonic() - began > 60 * minutes - _LONGEST:
                print(f"not reached in {minutes:g} minutes: {name}", flush=True)
                continue
            place = Path(folder) / str(number)
            place.mkdir()
            outcomes[name] = made = attempt(fault, real, place, random.Random(f"{seed} {name}"))
            spent = time.monotonic() - began
            print(f"{spent:6.0f} s  {name}: {'held' if made.passed else made}", flush=True)
            write(out, outcomes)
    console = Console(width=max(Console().width, 110))
    console.print(table(outcomes))
    kills = sum(made.kills for made in outcomes.values())
    console.print(
        f"{kills} processes killed in {time.monotonic() - began:.0f} s; {out} has the figures."
    )
    if missing := [name for name in chosen if name not in outcomes]:
        console.print(f"Not reached, name them by --only: {', '.join(missing)}")
    sys.exit(0 if not missing and all(made.passed for made in outcomes.values()) else 1)


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Real Kafka, MLflow over HTTP, and InfluxDB."""
    program = find_influxd(with_shared_archive(os.environ), folder)
    if program is None:
        sys.exit(
            f"no influxd found: put InfluxDB OSS {VERSION} on the PATH, or name it by INFLUXD=FILE"
        )
    with ExitStack() as stack:
        kafka = stack.enter_context(KafkaServer(say=print))
        mlflow = stack.enter_context(MlflowServer())
        influx = stack.enter_context(InfluxServer(program))
        yield Servers(kafka.bootstrap, mlflow.uri, influx)


def attempt(fault: Fault, real: Servers, place: Path, dice: random.Random) -> Outcome:
    """Make a fault; what cannot be finished has not held."""
    try:
        return fault(real, place, dice)
    except Exception as error:  # noqa: BLE001 - whatever it was, the next fault is made all the same
        traceback.print_exc()
        said = (str(error).splitlines() or [repr(error)])[0]
        return Outcome(0, 0, 0, 0, 0.0, wrong=(f"not finished: {said}",))


def write(out: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write what is known by now."""
    lines = [
        {
            "fault": name,
            "tried": made.tried,
            "what": made.what,
            "events": made.events,
            "lost": made.lost,
            "doubled": made.doubled,
            "revised": made.revised,
            "recovered_s": round(made.recovered_s, 1),
            "kills": made.kills,
            "held": made.passed,
            "wrong": made.wrong,
        }
        for name, made in outcomes.items()
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(lines, indent=1) + "\n")


def table(outcomes: Mapping[str, Outcome]) -> Table:
    """The matrix for people."""
    made = Table(*COLUMNS, title="Faults on real servers")
    for name, outcome in outcomes.items():
        figures = (outcome.tried, outcome.events, outcome.lost, outcome.doubled, outcome.revised)
        words = [f"{figure:,}" for figure in figures]
        words[1] += "" if outcome.what == "predictions" else f" {outcome.what}"
        held = "held" if outcome.passed else "; ".join(outcome.wrong)[:300] or "FAILED"
        made.add_row(name, *words, f"{outcome.recovered_s:.1f}", held)
    return made


if __name__ == "__main__":
    chaos()
