"""Where each page is. Names go into paths whole, whatever they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from monitor.reports import Decision, Report


def model(name: str) -> str:
    """Return the address of a model's page.

    Examples
    --------
    >>> model("credit/eu")
    '/models/credit%2Feu'
    """
    return f"/models/{quote(name, safe='')}"


def window(report: Report) -> str:
    """Return the address of a window's page."""
    version = quote(report.version, safe="")
    span = f"{report.window.start:.0f}-{report.window.end:.0f}"
    return f"{model(report.model)}/versions/{version}/windows/{span}"


def decision(step: Decision) -> str:
    """Return the address of the page of a decision, with all its steps."""
    return f"{model(step.model)}/decisions/{quote(step.rollback_id, safe='')}"
