"""The JSON Schemas of all that goes over a wire or into a policy file: ``python -m monitor.schemas DIR``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from monitor import events
from monitor.policy.load import policy_schema
from monitor.reports import Decision, Report, Verdict

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REPORTS: dict[str, type[msgspec.Struct]] = {
    "report": Report,
    "verdict": Verdict,
    "decision": Decision,
}


def all_schemas() -> dict[str, dict[str, Any]]:
    """Return every JSON Schema (2020-12), by file name; `schemas/` holds them, and a test keeps it in step.

    Examples
    --------
    >>> sorted(all_schemas())[0]
    'decision.schema.json'
    """
    return {
        **events.json_schemas(),
        **{f"{name}.schema.json": _schema(type_) for name, type_ in _REPORTS.items()},
        "policy.schema.json": policy_schema(),
    }


def write_schemas(directory: Path) -> list[Path]:
    """Write each schema to its file, and return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in all_schemas().items():
        path = directory / name
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([type_], ref_template="#/$defs/{name}")
    body = components.pop(type_.__name__)
    return {"$schema": _DIALECT, **body, "$defs": components}


if __name__ == "__main__":
    for file in write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas")):
        sys.stdout.write(f"{file}\n")
