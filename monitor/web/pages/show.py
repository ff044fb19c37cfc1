"""From what a page shows to HTML. Everything is escaped; no script and no style stands in a page."""

from __future__ import annotations

import hashlib
import time
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from monitor.desk.html.words import MEANINGS, plain
from monitor.errors import MonitorError
from monitor.web.pages import links
from monitor.web.pages.words import ago, instant, iso, rule_name

#: Stands where there is no number.
_NOTHING = "\N{EN DASH}"

#: What the page's own parts are called, with their types.
PARTS = {
    "page.css": "text/css",
    "theme.js": "text/javascript",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

MARKS = {"pass": "●", "insufficient": "○", "warn": "▲", "block": "■", "severe": "■"}


def page(name: str, *, now: float, status: int = 200, **shown: Any) -> HTMLResponse:
    """Return a page."""
    text = _environment().get_template(f"{name}.html.j2").render(now=now, **shown)
    return HTMLResponse(text, status)


def down(error: MonitorError) -> HTMLResponse:
    """Return the page that says that something behind the pages does not answer."""
    return page("down", now=time.time(), status=503, viewer=None, why=error.what)


@cache
def part(name: str) -> bytes:
    """Return one of the page's own files."""
    return files("monitor.web.pages").joinpath("static", name).read_bytes()


@cache
def plotly() -> bytes:
    """Return plotly.js, as its wheel has it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


@cache
def stamp(name: str) -> str:
    """Return the address of a file with its hash: a browser keeps it until it is another one."""
    if name == "plotly.js":
        from plotly.offline import get_plotlyjs_version

        return f"/static/plotly.js?v={get_plotlyjs_version()}"
    return f"/static/{name}?v={hashlib.sha256(part(name)).hexdigest()[:10]}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("monitor.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, share=_share, plain=plain, instant=instant, iso=iso, ago=ago, rule=rule_name
    )
    environment.globals.update(links=links, static=stamp, marks=MARKS, meanings=MEANINGS)
    return environment


def _number(value: float | None, digits: int = 3) -> str:
    return _NOTHING if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.1%}" if value else "0%"
