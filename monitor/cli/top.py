"""`monitor top`: the fleet on one live screen."""

from __future__ import annotations

import datetime as dt
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from monitor.bootstrap import load_policy, open_registry, open_store
from monitor.cli.options import as_json, print_json, settings_option
from monitor.cli.screen import ago, plain_table, spoken
from monitor.errors import MonitorError, RegistryError
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.desk.fleet import Standing

#: Decisions looked at for each picture.
_LOOK_BACK = 1_000

_COLOURS = {
    "person needed": "bold white on red",
    "rolling back": "bold red",
    "breach": "red",
    "warning": "yellow",
    "silent": "yellow",
    "rolled back": "cyan",
    "well": "green",
}


@click.command()
@click.option("--every", type=click.FloatRange(0.5), default=2.0, show_default=True, metavar="SEC")
@click.option("--once", is_flag=True, help="Draw once and end; so it is without a terminal.")
@settings_option
@as_json
def top(every: float, settings: Settings, *, once: bool, as_json: bool) -> None:
    """Follow every model: its state, who serves, its last window, worst breach and last rollback.

    What wants attention stands on top. It ends with q or Ctrl-C.
    """
    console = Console()
    look = _looker(settings)
    if as_json:
        print_json(look())
        return
    if once or not console.is_terminal:
        console.print(draw(look(), time.time()))
        return
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text("asking the store and the registry", "dim"), refresh=True)
        while True:
            live.update(_picture(look), refresh=True)
            if pressed(every):
                return


def draw(lines: list[Standing], now: float) -> RenderableType:
    """Return the picture of the fleet, at most 80 columns wide."""
    clock = dt.datetime.fromtimestamp(now, dt.UTC)
    count = f"{len(lines)} model{'s' if len(lines) != 1 else ''}"
    title = Text(f"{count}  {clock:%Y-%m-%d %H:%M:%S} UTC", "bold")
    if not lines:
        return Group(title, Text("No window has closed yet. `monitor doctor` looks at all parts."))
    table = plain_table(
        *("state", "model", "serves", "events", "last window", "last rollback"),
        whole=("state", "events", "last window"),
    )
    for line in lines:
        table.add_row(
            Text(line.state, _COLOURS.get(line.state, "dim")),
            escape(line.model),
            escape(line.serves or "?"),
            f"{line.n:,}",
            ago(line.age_seconds),
            _rollback(line, now),
        )
    worst = [_worst(line) for line in lines if line.worst is not None]
    return Group(title, table, *([Text("\nWorst breaches", "bold"), *worst] if worst else []))


def _looker(settings: Settings) -> Callable[[], list[Standing]]:
    from monitor.desk.fleet import heard, stand

    store, registry, policy = open_store(settings), open_registry(settings), load_policy(settings)

    def serves(model: str) -> str | None:
        try:
            return registry.alias(model, policy.of(model).alias)
        except RegistryError:
            return None

    def look() -> list[Standing]:
        decisions = store.decisions(limit=_LOOK_BACK)
        return heard(stand(store.newest(), decisions, serves, now=time.time()), policy)

    return look


def _picture(look: Callable[[], list[Standing]]) -> RenderableType:
    """Draw; what cannot be read now may be there at the next look."""
    try:
        picture = draw(look(), time.time())
    except MonitorError as error:
        picture = Text(str(error), "red")
    return Group(picture, Text("q to quit", "dim"))


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Give a function that waits so many seconds, and says whether q was pressed meanwhile."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _just_wait
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return bool(ready) and sys.stdin.read(1) in {"q", "Q", "\x04", ""}

    try:
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _just_wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _worst(line: Standing) -> Text:
    assert line.worst is not None  # who asks has looked
    breach, subject = line.worst, f"{line.model}/{line.version}  "
    said = f"{spoken(breach.rule)} {breach.value:.3f}, level {breach.threshold:g}"
    return Text.assemble((subject, "red"), said)


def _rollback(line: Standing, now: float) -> Text:
    if line.rollback is None:
        return Text("-", "dim")
    made = line.rollback
    return Text(f"{made.from_version} to {made.to_version}, {ago(now - made.at)}")
