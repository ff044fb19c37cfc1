"""Fuzz the decoders, with what libFuzzer learns of their code: ``make fuzz``, or ``python -m tests.fuzz --only json --seconds 600``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click

#: In the environment: the target that this process is to fuzz, by itself.
_TARGET = "FUZZ_TARGET"


@click.command()
@click.option("--only", multiple=True, metavar="NAME")
@click.option("--seconds", type=int, default=20, show_default=True, help="For each decoder.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/fuzz"))
def fuzz(only: tuple[str, ...], seconds: int, out: Path) -> None:
    """Give each decoder any bytes; exit code 0 only if each kept what it promises."""
    from tests.fuzz.targets import TARGETS

    failed = []
    for name in only or TARGETS:
        corpus = out / name
        corpus.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as seeds:
            for number, seed in enumerate(TARGETS[name].seeds):
                (Path(seeds) / str(number)).write_bytes(seed)
            words = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=60"]
            words += [f"-artifact_prefix={corpus}-", "-print_final_stats=1", str(corpus), seeds]
            # libFuzzer ends its process itself, and each has its own coverage.
            done = subprocess.run(
                [sys.executable, "-m", "tests.fuzz", *words],
                env={**os.environ, _TARGET: name},
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
        said = "held" if done.returncode == 0 else f"BROKEN, see {corpus}-*"
        print(f"{name:10} {int(runs[1]) if runs else 0:>10,} inputs  {said}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stderr[-3_000:], done.stdout[-3_000:], sep="\n")
    sys.exit(1 if failed else 0)


def run(name: str) -> None:
    """Fuzz one target until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["monitor"]):
        from monitor.engine import notices
        from tests.fuzz.targets import TARGETS
    notices.LOOK_EVERY = 1  # in service it is one event in so many
    atheris.Setup(sys.argv, TARGETS[name].make())
    atheris.Fuzz()


if __name__ == "__main__":
    run(os.environ[_TARGET]) if _TARGET in os.environ else fuzz()
