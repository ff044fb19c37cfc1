"""Other people's software, each in a virtual environment of its own under ``build/venvs``."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.figures import say

_HERE = Path(__file__).parent
_VENVS = _HERE.parent / "build" / "venvs"

#: What each environment is given: fixed, so that the figures stay comparable.
REQUIREMENTS = {
    "quixstreams": ("quixstreams>=3.20,<4",),
    "evidently": ("evidently>=0.7,<0.8", "pandas>=2.2,<3", "pyarrow"),
    "nannyml": (
        "nannyml==0.13.1",
        "numpy>=2.2,<3",
        "pandas>=2.2,<3",
        "pyarrow>=20",
        # As old as its own range allows, it does not import beside this SciPy.
        "scipy>=1.15,<2",
        "statsmodels>=0.14.5",
    ),
    # It wants NumPy before 2, later releases of Arrow want 2.
    "whylogs": ("whylogs>=1.6,<1.7", "numpy<2", "pandas>=2.2,<3", "pyarrow>=17,<20"),
}

#: None of them may call home: the tries would be timed, and whom they are used by is nobody's business.
_SILENT = {
    "DO_NOT_TRACK": "1",
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
}


def silent() -> dict[str, str]:
    """Return this process's environment variables, with those that forbid telemetry."""
    return {**os.environ, **_SILENT}


def run(name: str, script: str, *arguments: str, seconds: float = 600) -> list[float]:
    """Run one of the scripts here in the environment of that name; return the rates that it prints.

    Raises
    ------
    subprocess.CalledProcessError, subprocess.TimeoutExpired
        If it fails, or the environment cannot be made.
    """
    command = [str(environment(name)), "-W", "ignore", str(_HERE / script), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, check=False, env=silent()
    )
    if done.returncode or "rate " not in done.stdout:
        say(done.stderr[-2000:])
        raise subprocess.CalledProcessError(done.returncode, command)
    return rates(done.stdout)


def rates(said: str) -> list[float]:
    """Return the numbers after the last ``rate`` that a script has printed."""
    return [float(number) for number in said.rpartition("rate ")[2].split()]


def environment(name: str) -> Path:
    """Return the environment's interpreter; make it first if need be."""
    folder = _VENVS / name
    python = folder / "bin" / "python"
    made = folder / "made"
    wanted = "\n".join(REQUIREMENTS[name])
    if not made.exists() or made.read_text() != wanted:
        say(f"installing {name} into {folder.relative_to(_HERE.parent)} ...")
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]]
        subprocess.run(install, check=True, timeout=900, stdout=sys.stderr)
        made.write_text(wanted)
    return python
