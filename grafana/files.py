"""The files that Grafana reads, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from grafana.alerts import rules
from grafana.feature import feature
from grafana.fleet import fleet
from grafana.itself import itself
from grafana.labels import labels
from grafana.runbook import runbook
from grafana.version import version
from monitor.policy.load import parse_policy

_REPOSITORY = Path(__file__).parents[1]

#: The policy that docker-compose.yml gives to the monitor: its defaults' levels are the lines that are drawn.
POLICY = _REPOSITORY / "examples/policy.yaml"

_WRITTEN = "# Written by `make dashboards` from grafana/alerts.py: change it there.\n"


def files(policy_file: Path = POLICY) -> dict[str, str]:
    """Return the text of every file that is written, by its path within grafana/."""
    policy = parse_policy(policy_file.read_text(), where=str(policy_file)).defaults
    markdown = (_REPOSITORY / "docs/runbook.md").read_text()
    boards = {
        "fleet": fleet(),
        "version": version(policy),
        "feature": feature(policy),
        "labels": labels(policy),
        "itself": itself(),
        "runbook": runbook(markdown),
    }
    plain = {name: _plain(board.build()) for name, board in boards.items()}
    panels = {
        (board["uid"], panel["title"]): panel["id"]
        for board in plain.values()
        for panel in board["panels"]
    }
    texts = {f"dashboards/{name}.json": _json(board) for name, board in plain.items()}
    texts["provisioning/alerting/rules.yml"] = _WRITTEN + _yaml(rules(policy, panels))
    return texts


def _plain(made: dashboard.Dashboard) -> dict[str, Any]:
    plain: dict[str, Any] = _in_sight(json.loads(json.dumps(made, cls=JSONEncoder)))
    for number, panel in enumerate(plain["panels"], start=1):
        panel["id"] = number
    return plain


def _in_sight(value: Any) -> Any:
    """Return the value without what the SDK's constructors always say of links and marks: to hide them in a menu."""
    if isinstance(value, dict):
        return {name: _in_sight(part) for name, part in value.items() if part != "inControlsMenu"}
    if isinstance(value, list):
        return [_in_sight(part) for part in value]
    return value


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    """Writes a query as the lines that it has."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
