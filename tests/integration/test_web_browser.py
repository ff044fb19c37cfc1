"""The page in a real browser: the story from the fleet to the harmed group to the rollback, by mouse, keys and phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jwt
import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace

from monitor.reports import Window
from monitor.testing import until
from monitor.web.pages import links
from tests.web_site import (
    SIZES,
    Site,
    drawn,
    find_chromium,
    opened_browser,
    pages_of,
    served_story,
)
from tests.web_story import HOSTILE, LENGTH

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: The style element of the maps within plotly.js, which no chart of ours uses: the policy of content forbids it, aloud.
_KNOWN = "Applying inline style violates"

SECRET = "a-secret-that-nobody-else-knows-at-all"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("no chromium found: the pages are not looked at. apt-get install chromium")
    with opened_browser(program) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(browser, tmp_path_factory) -> Iterator[Site]:
    with served_story(tmp_path_factory.mktemp("story")) as site:
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page that may ask nobody but the site, and at the end has complained of nothing."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, base_url=site.url)
    page.set_default_timeout(60_000)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    assert [url for url in asked if not url.startswith(site.url)] == []
    assert [text for text in said if not text.startswith(_KNOWN)] == []


def test_the_story_is_followed_from_the_fleet_to_the_harmed_group_to_the_rollback(page: Page):
    page.goto("/")
    census = page.get_by_role("listitem").filter(has_text="census")
    assert "rolled back" in census.inner_text()
    census.get_by_role("link", name="census").click()
    page.get_by_role(
        "heading", name="Version 2 was rolled back; version 1 answers fairly"
    ).wait_for()
    answers = page.get_by_label("What happened, and what to do").inner_text()
    assert "People with race not white got the favourable answer" in answers
    assert "Champion moved from version 2 to 1." in answers
    drawn(page)
    assert page.locator(".chart .main-svg").count() > 0

    page.get_by_role("link", name="the window of version 2").click()
    page.get_by_role(
        "heading", name="Groups are treated differently; the data is damaged"
    ).wait_for()
    harmed = (
        page.get_by_label("Treatment by race", exact=True).get_by_role("row").nth(1).inner_text()
    )
    assert harmed.startswith("not white")
    assert page.locator(".feature h3").nth(2).inner_text().startswith("MIL")

    page.get_by_label("What happened, and what to do").get_by_role("link").first.click()
    page.get_by_role("heading", name="Over: version 2 was rolled back to 1").wait_for()
    assert page.get_by_label("Windows that the decision rests on").get_by_role("link").count() == 3
    record = page.get_by_role("region", name="On the record").inner_text()
    assert "is whole" in record
    assert "confirmed" in record


def test_a_hostile_name_stays_text(page: Page, site: Site):
    unfair = next(r for r in site.told.reports if r.model == "claims" and r.breaches)
    for path in (links.window(unfair), links.model("claims")):
        page.goto(path)
        drawn(page)
        assert page.evaluate("window.broken") is None
        assert HOSTILE in page.locator("main").inner_text()


def test_axe_finds_nothing_serious_in_light_or_dark(page: Page, site: Site):
    for path in pages_of(site).values():
        page.goto(path)
        drawn(page)
        # What dark colours can spoil is contrast; the rest is the same page.
        dark = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
        for scheme, options in (("light", None), ("dark", dark)):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            serious = [
                (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
                for one in Axe().run(page, options=options).response["violations"]
                if one["impact"] in {"serious", "critical"}
            ]
            assert serious == [], f"{path} in {scheme}"


def test_every_page_fits_a_phone(page: Page, site: Site):
    width, height = SIZES["narrow"]
    page.set_viewport_size({"width": width, "height": height})
    for path in pages_of(site).values():
        page.goto(path)
        drawn(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_keys_alone_lead_from_the_fleet_to_the_decision(page: Page):
    page.goto("/")
    press_until(page, "Skip to the content", key="Tab", most=1)
    page.keyboard.press("Enter")
    until(lambda: page.evaluate("document.activeElement.id") == "main")
    press_until(page, "census")
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/census")
    press_until(page, "the window of version 2", begins=True)
    page.keyboard.press("Enter")
    page.wait_for_url("**/windows/**")
    answers = page.get_by_label("What happened, and what to do")
    press_until(page, answers.get_by_role("link").first.inner_text())
    page.keyboard.press("Enter")
    page.wait_for_url("**/decisions/**")


def press_until(page: Page, text: str, *, key: str = "Tab", most: int = 40, begins: bool = False):
    """Press a key until what has the focus is called so, and can be seen to have it."""
    for _ in range(most):
        page.keyboard.press(key)
        name = page.evaluate("document.activeElement.innerText?.trim()")
        if name == text or (begins and name and name.startswith(text)):
            style = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(style) != "none", f"{text} does not show its focus"
            return
    pytest.fail(f"{text} cannot be reached by {key}; last: {name}")


def test_colours_are_chosen_once_for_every_page(page: Page, site: Site):
    page.emulate_media(color_scheme="light")
    page.goto("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark colours").click()
    assert page.get_by_role("button", name="Dark colours").get_attribute("aria-pressed") == "true"
    page.goto(pages_of(site)["decision"])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_a_window_that_closes_appears_without_a_reload_and_the_focus_stays(page: Page, site: Site):
    page.goto("/")
    page.get_by_text("Live since").wait_for()
    page.evaluate("window.same = true")
    page.get_by_role("link", name="credit").focus()
    last = next(r for r in reversed(site.told.reports) if r.model == "credit")
    end = last.window.end + LENGTH
    site.write([replace(last, window=Window(end - LENGTH, end), n=4_321, closed_at=time.time())])
    page.get_by_text("4,321 predictions").wait_for()
    assert page.evaluate("window.same")
    assert page.evaluate("document.activeElement.innerText") == "credit"
    assert "credit" in page.get_by_role("status").inner_text()


def test_a_token_is_asked_for_taken_and_given_up(browser: Browser, tmp_path):
    claims = {"sub": "ada", "roles": ["reader"], "exp": time.time() + 3600}
    keys = {"MONITOR_WEB__AUTH": "jwt", "MONITOR_WEB__JWT_SECRET": SECRET}
    with served_story(tmp_path, with_census=False, **keys) as site:
        page = browser.new_page(base_url=site.url)
        page.set_default_timeout(60_000)
        assert page.goto(links.model("credit")).status == 401
        page.get_by_label("Your token").fill("no token at all")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("The token is not accepted").wait_for()
        page.get_by_label("Your token").fill(jwt.encode(claims, SECRET))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/models/credit")
        assert "ada" in page.get_by_role("banner").inner_text()
        (cookie,) = page.context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Your token").wait_for()
        assert page.context.cookies() == []
        page.close()
