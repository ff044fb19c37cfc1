"""`monitor demo`: the whole story on real servers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.console import Console

from monitor.cli.main import BREACH, OK
from monitor.cli.options import PATH, as_json, print_json, settings_option
from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.demo.story import Story
    from monitor.demo.wronged import Wronged

#: Seconds after which the story is over even if it did not end well.
_PATIENCE = 240.0


@click.command()
@click.option("--data", type=PATH, default=Path("examples/census"), show_default=True)
@click.option("--out", type=PATH, default=Path("build/demo"), show_default=True)
@click.option(
    "--external", is_flag=True, help="On servers and a monitor that run, as the settings say."
)
@click.option(
    "--fault-row",
    type=click.IntRange(3_000, 150_000),
    default=75_000,
    show_default=True,
    help="People who are asked before the feed breaks.",
)
@click.option(
    "--keep", is_flag=True, help="Leave all running at the end, page and servers, until Ctrl-C."
)
@settings_option
@as_json
@click.pass_context
def demo(
    context: click.Context,
    data: Path,
    out: Path,
    fault_row: int,
    settings: Settings,
    *,
    external: bool,
    keep: bool,
    as_json: bool,
) -> None:
    """Watch a served model turn unfair, and the monitor undo it: real Kafka, MLflow and census data.

    Exit code 0 only if it all really happened. With --external nothing is started but the model server: Kafka, MLflow
    and the monitor are those that the settings name, and the policy should be the one that the monitor there has.
    """
    from monitor.demo.census import load_census
    from monitor.demo.stack import join_stack, start_stack
    from monitor.demo.story import begin, write_summary

    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=as_json)

    def say(sentence: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/]  {sentence}", highlight=False)

    census = load_census(data)
    opened = join_stack(out, os.environ, settings) if external else start_stack(out, say)
    with opened as stack:
        story = begin(stack, census, say, fault_row=fault_row)
        try:
            _follow(story, console)
            say("Waiting until every answer is in the prediction log")
            wronged = story.end()
            say("Labels come: what turned out to be true of four people in five")
            summary = story.summary(wronged, story.judge_by_labels())
            if keep:
                _stay(story, say)
        finally:
            story.traffic.stop()
            story.watch.stop()
    if wronged is not None:
        _explain(wronged, console)
    plain = write_summary(summary, out / "summary.json")
    if as_json:
        print_json(plain)
    else:
        console.print_json(data=plain)
    if story.traffic.failure is not None:
        say(f"the traffic ended early: {story.traffic.failure!r}")
    say(
        "All of it really happened." if summary.happened else f"Not all of it happened; logs: {out}"
    )
    context.exit(OK if summary.happened else BREACH)


def _follow(story: Story, console: Console) -> None:
    """Show the story until it is over; where there is no terminal, a line a window."""
    from monitor.demo.screen import live_screen

    deadline = time.monotonic() + _PATIENCE
    told: set[str] = set()
    with live_screen(console, story) if console.is_terminal else nullcontext():
        while not story.over and time.monotonic() < deadline:
            time.sleep(0.25)
            if not console.is_terminal:
                _tell(story, told, console)
    if not console.is_terminal:
        _tell(story, told, console)


def _stay(story: Story, say: Callable[[str], None]) -> None:
    """Leave all running until Ctrl-C."""
    say(f"All stays up until Ctrl-C. The page: {story.page}")
    try:
        signal.pause()
    except KeyboardInterrupt:
        say("Ending")


def _explain(wronged: Wronged, console: Console) -> None:
    """Tell the whole story of one person's prediction, as `monitor explain` does."""
    from monitor.cli.explain import page

    print(f"\nmonitor explain {wronged.prediction_id} --protected", file=console.file)
    for line in page(wronged.story):
        print(line, file=console.file)
    print(
        f"\nIn truth MIL was {wronged.in_truth:g}, and the person is employed: given that, the same "
        "version answers 1.\n",
        file=console.file,
    )


def _tell(story: Story, told: set[str], console: Console) -> None:
    """Print what was not told yet, and add it to what was."""
    from monitor.demo.screen import line_of

    lines = {name: line_of(report) for name, report in sorted(story.watch.reports.copy().items())}
    lines |= {d.decision_id: f"{d.stage.value}: {d.reason}" for d in list(story.watch.decisions)}
    if story.stack.slack is not None:
        lines |= {text: f"Slack: {text}" for text in story.stack.slack.texts}
    for name, line in lines.items():
        if name not in told:
            print(line, file=console.file, flush=True)
    told.update(lines)


def _interrupt(number: int, _: FrameType | None) -> None:
    """End as Ctrl-C does: every `with` block cleans up after itself."""
    sys.exit(128 + number)
