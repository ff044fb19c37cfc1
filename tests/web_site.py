"""The story's site, served on this machine, and a real browser that looks at it.

``python -m tests.web_site DIRECTORY`` takes a picture of every page: light and dark, wide and narrow.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import uvicorn

from monitor.errors import RegistryUnavailable
from monitor.settings import load_settings
from monitor.stores.sqlite import SqliteStore
from monitor.testing import until
from monitor.web.app import create_app
from monitor.web.rooms import Rooms
from tests.web_story import Told, write_story

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: A container has no user namespaces, and nothing here may reach beyond this machine.
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

SIZES = {"wide": (1280, 900), "narrow": (390, 844)}


class StoryRooms(Rooms):
    """The store of the story, and a registry in which the rollback has happened."""

    def registry(self):
        return SimpleNamespace(alias=_alias)


def _alias(model: str, _: str) -> str:
    if model == "pricing":
        raise RegistryUnavailable("MLflow does not answer", where=model)
    return "1"


class Site:
    """Where it is, and what it tells."""

    def __init__(self, url: str, told: Told, path: Path) -> None:
        self.url, self.told, self._path = url, told, path

    def write(self, reports=(), decisions=()) -> None:
        """Add to the store, as the monitor does."""
        store = SqliteStore(self._path)
        store.write(list(reports), list(decisions))
        store.close()


@contextmanager
def served_story(folder: Path, *, with_census: bool = True, **variables: str) -> Iterator[Site]:
    """Serve the story on a free port until the block ends."""
    told = write_story(folder / "monitor.db", time.time(), with_census=with_census)
    settings = load_settings(
        {
            "MONITOR_STORE__PATH": str(folder / "monitor.db"),
            "MONITOR_AUDIT__PATH": str(folder / "audit.jsonl"),
            "MONITOR_POLICY__PATH": str(folder / "policy.yaml"),
            "MONITOR_WEB__REQUESTS_PER_MINUTE": "6000",
            **variables,
        }
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            create_app(settings, StoryRooms(settings)), log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            until(lambda: server.started, deadline=60)
            port = listener.getsockname()[1]
            yield Site(f"http://127.0.0.1:{port}", told, folder / "monitor.db")
        finally:
            server.should_exit = True
            thread.join()


def find_chromium() -> str | None:
    """Return the browser's program; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def opened_browser(program: str) -> Iterator[Browser]:
    """Start a browser until the block ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


#: Whether a chart that is near has not been drawn.
_WAITING = """[...document.querySelectorAll('.chart')].some(place => place.checkVisibility()
    && place.getBoundingClientRect().top < innerHeight + 300 && place.getBoundingClientRect().bottom > 0
    && !place.querySelector('.main-svg'))"""


def drawn(page: Page) -> None:
    """Wait until every chart that can be seen is drawn."""
    # By ourselves: the browser's own waiting evaluates a text, which the site's policy forbids.
    until(lambda: not page.evaluate(_WAITING), deadline=60, pause=0.1, what="drawing the charts")


def seen_whole(page: Page) -> None:
    """Go down the page, so that every chart is drawn."""
    height = page.evaluate("document.body.scrollHeight")
    for place in range(0, height, 700):
        page.evaluate("place => scrollTo(0, place)", place)
        drawn(page)
    page.evaluate("scrollTo(0, 0)")


def pages_of(site: Site) -> dict[str, str]:
    """Return the address of one page of each kind: the story's."""
    from monitor.web.pages import links

    unfair = [
        report for report in site.told.reports if report.model == "census" and report.breaches
    ]
    done = next(step for step in site.told.decisions if step.stage.value == "done")
    return {
        "fleet": "/",
        "model": links.model("census"),
        "window": links.window(unfair[-1]),
        "decision": links.decision(done),
    }


def take_pictures(folder: Path, only: set[str]) -> None:
    program = find_chromium()
    assert program is not None, "no chromium found: apt-get install chromium"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as stored,
        served_story(Path(stored)) as site,
        opened_browser(program) as browser,
    ):
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                page.on("console", lambda message: print("console:", message.text))  # noqa: T201
                for name, path in pages_of(site).items():
                    if only and name not in only:
                        continue
                    page.goto(site.url + path)
                    seen_whole(page)
                    page.screenshot(path=folder / f"{name}-{scheme}-{size}.png", full_page=True)
                    if scheme == "light" and size == "wide":
                        top = {"x": 0, "y": 0, "width": width, "height": 1000}
                        page.screenshot(path=folder / f"{name}.png", clip=top, full_page=True)
                page.close()


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]), set(sys.argv[2:]))
