"""Reads grafana/ as Grafana does: its files, and what it puts into a query before InfluxDB sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).parents[1] / "grafana"
DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
RULES = yaml.safe_load((GRAFANA / "provisioning/alerting/rules.yml").read_text())["groups"][0][
    "rules"
]

_VARIABLE = re.compile(
    r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}"
)
_ESCAPED = re.compile(r"[\\^$*+?.()|\[\]{}/]")


@dataclass(frozen=True)
class Query:
    """A query and where it stands."""

    where: str
    text: str
    kind: str
    holder: Mapping[str, Any]

    def __str__(self) -> str:
        return self.where


def panel_queries() -> list[Query]:
    return list(_panel_queries())


def variable_queries() -> list[Query]:
    return list(_variable_queries())


def rule_queries() -> list[Query]:
    return [Query(rule["uid"], rule["data"][0]["model"]["query"], "rule", rule) for rule in RULES]


def _panel_queries() -> Iterator[Query]:
    for name, board in DASHBOARDS.items():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                where = f"{name}: {panel['title']} ({panel['id']})"
                yield Query(where, target["query"], panel["type"], panel)
        for mark in board["annotations"].get("list", ()):
            yield Query(f"{name}: {mark['name']}", mark["target"]["query"], "annotation", mark)


def _variable_queries() -> Iterator[Query]:
    for name, board in DASHBOARDS.items():
        for variable in board["templating"].get("list", ()):
            where = f"{name}: variable {variable['name']}"
            yield Query(where, variable["query"], "variable", variable)


def filled(query: str, *, bucket: str, start: str, stop: str, variables: Mapping[str, str]) -> str:
    """What Grafana's browser part does with variables, and then its InfluxDB backend with macros."""

    def value(match: re.Match[str]) -> str:
        name, style = match[4], match[6]
        assert style == "regex", f"{match[0]} is not escaped"
        return _ESCAPED.sub(r"\\\g<0>", variables[name])

    text = _VARIABLE.sub(value, query)
    for macro, meaning in {
        "v.timeRangeStart": start,
        "v.timeRangeStop": stop,
        "v.windowPeriod": "1m0s",
        "v.defaultBucket": f'"{bucket}"',
    }.items():
        text = text.replace(macro, meaning)
    return text
