"""Runbook: docs/runbook.md within Grafana, so that a link to it works wherever Grafana does."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as board

from grafana.frame import RUNBOOK, new_dashboard
from grafana.panels import text_panel


def sections(markdown: str) -> list[tuple[str, str]]:
    r"""Return the headings of the second order, each with its text; what is before them is under the title.

    Examples
    --------
    >>> sections("# Runbook\n\nRead it.\n\n## One\n\nFirst.\n")
    [('Runbook', 'Read it.'), ('One', 'First.')]
    """
    parts = ("\n" + markdown).replace("\n# ", "\n## ", 1).split("\n## ")[1:]
    headed = (part.partition("\n") for part in parts)
    return [(heading.strip(), body.strip()) for heading, _, body in headed]


def runbook(markdown: str) -> board.Dashboard:
    """Return the dashboard that shows the runbook, a panel a section."""
    made = new_dashboard(RUNBOOK, "What to do, for each alert: docs/runbook.md.")
    for heading, body in sections(markdown):
        made.with_panel(text_panel(heading, body).span(24).height(_height(body)))
    return made


def _height(body: str) -> int:
    """Return rows of Grafana's grid that the text needs: a row is some one and a half lines."""
    lines = sum(1 + len(line) // 160 for line in body.splitlines())
    return max(4, 2 + round(lines * 0.7))
