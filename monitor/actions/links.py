"""Where a notice leads: the dashboard at that time, the runbook's section, the predictions concerned."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from urllib.parse import urlencode

from monitor.reports import Decision, Window

#: Uid of the dashboard of a model version; grafana/frame.py makes it, and a test holds both together.
VERSION_DASHBOARD = "monitor-version"


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses of what people look at; None for what there is not.

    Attributes
    ----------
    grafana
        Its root.
    runbook
        The page; sections are its anchors.
    log
        Answers for the prediction log; the filter is added.
    """

    grafana: str | None = None
    runbook: str | None = None
    log: str | None = None


#: No links.
NOWHERE = Places()


def links_of(decision: Decision, section: str, places: Places) -> tuple[tuple[str, str], ...]:
    """Return names with their addresses, for the places that there are.

    Examples
    --------
    >>> from monitor.reports import Action, Stage
    >>> decision = Decision(
    ...     decision_id="d", rollback_id="r", model="credit & co", from_version="2", to_version="1",
    ...     action=Action.ROLLBACK, stage=Stage.DONE, reason="psi[age] past 0.2", at=7200.0)
    >>> for name, address in links_of(decision, "monitor-rollback", Places("https://g/", "https://r/runbook")):
    ...     print(name, address)
    Dashboard https://g/d/monitor-version?var-model=credit+%26+co&var-version=2&from=3600000&to=10800000
    Runbook https://r/runbook#monitor-rollback
    """
    span, model, version = span_of(decision), decision.model, decision.from_version
    links = []
    if places.grafana is not None:
        # As far again before and after, so that it is seen how it was, and how it is.
        first, last = span.start - span.length, span.end + span.length
        looked = {"var-model": model, "var-version": version}
        looked |= {"from": f"{first * 1000:.0f}", "to": f"{last * 1000:.0f}"}
        address = f"{places.grafana.rstrip('/')}/d/{VERSION_DASHBOARD}?{urlencode(looked)}"
        links.append(("Dashboard", address))
    if places.runbook is not None:
        links.append(("Runbook", f"{places.runbook}#{section}"))
    if places.log is not None:
        asked = {"model": model, "version": version, **since_until(span)}
        links.append(("Predictions", f"{places.log.rstrip('/')}?{urlencode(asked)}"))
    return tuple(links)


def span_of(decision: Decision) -> Window:
    """Return the event time that a decision is about: its verdict's windows, else the hour around it."""
    verdict = decision.verdict
    if verdict is None:
        return Window(decision.at - 1200, decision.at + 1200)
    windows = verdict.windows or (verdict.window,)
    return Window(windows[0].start, windows[-1].end)


def since_until(span: Window) -> dict[str, str]:
    """Return a span as the prediction log is asked for it."""
    return {
        name: dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name, seconds in (("since", span.start), ("until", span.end))
    }
