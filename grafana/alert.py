"""What an alert rule is, and how it stands in the file that Grafana reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from grafana.frame import RUNBOOK, VERSION
from grafana.panels import SOURCE, FluxQuery

#: In Grafana's templates: its own address, whether or not that ends in a slash.
_GRAFANA = r'{{ reReplaceAll "/+\\z" "" externalURL }}'


@dataclass(frozen=True)
class Alert:
    """One rule: it fires for each line of the query whose reduced value is above the limit.

    Attributes
    ----------
    uid
        Never changes; also its heading's anchor in docs/runbook.md.
    span
        Seconds that the query looks back.
    wait
        How long it must hold before anybody is told.
    severity
        ``critical`` wakes somebody, ``warning`` is for the day, ``info`` is for whoever looks.
    no_data
        For all but one, finding nothing is the good case: OK.
    cannot_ask
        InfluxDB away would raise all at once: only one rule speaks of it, the others keep what they said last.
    panel
        What the alert links to: a dashboard's uid, and the panel's title.
    """

    uid: str
    title: str
    query: str
    span: int
    severity: Literal["critical", "warning", "info"]
    summary: str
    description: str
    reducer: Literal["last", "count"] = "last"
    above: float = 0
    wait: str = "0s"
    no_data: Literal["OK", "Alerting"] = "OK"
    cannot_ask: Literal["KeepLast", "Error"] = "KeepLast"
    panel: tuple[str, str] = (VERSION, "Breaches")

    def as_dict(self, panels: Mapping[tuple[str, str], int]) -> dict[str, Any]:
        """Return the rule as it stands in the file; `panels` has the number of each, by dashboard and title."""
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [
                self._step("A", SOURCE, FluxQuery(self.query).to_json()),
                self._step("B", "__expr__", self._reduce()),
                self._step("C", "__expr__", self._threshold()),
            ],
            "dashboardUid": self.panel[0],
            "panelId": panels[self.panel],
            "noDataState": self.no_data,
            "execErrState": self.cannot_ask,
            "for": self.wait,
            "labels": {"severity": self.severity, "source": "model-monitor"},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{_GRAFANA}/d/{RUNBOOK}",
                "runbook": f"docs/runbook.md#{self.uid}",
            },
        }

    def _step(self, ref: str, source: str, model: dict[str, object]) -> dict[str, Any]:
        return {
            "refId": ref,
            "relativeTimeRange": {"from": self.span, "to": 0},
            "datasourceUid": source,
            "model": {"refId": ref, **model},
        }

    def _reduce(self) -> dict[str, object]:
        # What is not a number never decides: it is dropped.
        return {
            "type": "reduce",
            "expression": "A",
            "reducer": self.reducer,
            "settings": {"mode": "dropNN"},
        }

    def _threshold(self) -> dict[str, object]:
        evaluator = {"type": "gt", "params": [self.above]}
        return {"type": "threshold", "expression": "B", "conditions": [{"evaluator": evaluator}]}
