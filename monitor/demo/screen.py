"""One screen on which the story can be followed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from monitor.demo.story import Story, parity
from monitor.policy.severity import is_block
from monitor.reports import Decision, Report, Stage, Verdict

#: Windows shown; the newest at the bottom.
_ROWS = 12

_BAR = 24


@contextmanager
def live_screen(console: Console, story: Story) -> Iterator[None]:
    """Redraw the story four times a second while the block runs."""
    with Live(get_renderable=lambda: draw(story), console=console, refresh_per_second=4):
        yield


def draw(story: Story) -> RenderableType:
    """Return the whole screen."""
    return Group(_progress(story), _windows(story), _acts(story))


def line_of(report: Report) -> str:
    """Return a window in one line, for logs."""
    drift = max((c.psi or 0.0 for c in report.prediction_drift), default=0.0)
    gap = parity(report)
    shown = "  -  " if gap is None else f"{gap:.3f}"
    mark = "  BREACH" if any(is_block(b.severity) for b in report.breaches) else ""
    end = dt.datetime.fromtimestamp(report.window.end, dt.UTC)
    return (
        f"window to {end:%H:%M}  v{report.version}  {report.n:>5,} people  "
        f"prediction PSI {drift:.3f}  race gap {shown}{mark}"
    )


def _progress(story: Story) -> RenderableType:
    sent, broken, fault_row = story.traffic.sent, story.traffic.broken, story.plan.fault_row
    feed = Text("the feed is broken: MIL is 0 for people who are not white", "bold red")
    answers = ", ".join(f"version {v}: {n:,}" for v, n in sorted(story.traffic.versions.items()))
    grid = Table.grid(padding=(0, 2))
    grid.add_row(
        ProgressBar(total=fault_row, completed=min(sent, fault_row), width=20),
        feed if broken else Text(f"the feed breaks at {fault_row:,}", "dim"),
    )
    people = Text(f"{sent:,} people asked; answered by {answers or 'nobody yet'}")
    page = [Text(f"the same as a page: {story.page}", "cyan")] if story.page else []
    return Panel(Group(people, grid, *page), title="A served model", border_style="blue")


def _windows(story: Story) -> RenderableType:
    table = Table("ends", "version", "people", "PSI", "race gap", "level 0.15", box=None)
    reports = sorted(story.watch.reports.copy().values(), key=lambda r: (r.window.end, r.version))
    findings = [f.sentence for report in reports for f in report.quality if is_block(f.severity)]
    for report in reports[-_ROWS:]:
        breach = any(is_block(b.severity) for b in report.breaches)
        drift = max((c.psi or 0.0 for c in report.prediction_drift), default=0.0)
        gap = parity(report)
        end = dt.datetime.fromtimestamp(report.window.end, dt.UTC)
        table.add_row(
            f"{end:%H:%M}",
            report.version,
            f"{report.n:,}",
            f"{drift:.3f}",
            "-" if gap is None else f"{gap:.3f}",
            _bar(gap or 0.0, breach=breach),
            style="red" if breach else "",
        )
    found = Text(findings[-1] if findings else "no fault in the data found", "yellow")
    title = "Windows as they close: prediction drift, parity gap white / not white"
    return Panel(Group(table, found), title=title, border_style="blue")


def _bar(gap: float, *, breach: bool) -> Text:
    filled = min(round(gap * _BAR / 0.6), _BAR)
    return Text("█" * filled + "·" * (_BAR - filled), "red" if breach else "green")


def _acts(story: Story) -> RenderableType:
    lines: list[RenderableType] = []
    streak = next(
        (v for v in reversed(story.watch.verdicts.copy()) if v.version == story.left), None
    )
    lines.append(_streak(streak))
    for stage, style in (
        (Stage.INTENT, "yellow"),
        (Stage.DONE, "bold green"),
        (Stage.CONFIRMED, "green"),
    ):
        decision = story.watch.decision(stage)
        if decision is not None:
            lines.append(Text(_say(decision), style))
    lines += [
        Panel(Text(text), title="Slack", border_style="magenta", padding=(0, 1))
        for text in (story.stack.slack.texts[:1] if story.stack.slack else ())
    ]
    return Panel(Group(*lines), title="What the monitor does", border_style="blue")


def _streak(verdict: Verdict | None) -> Text:
    count = 0 if verdict is None or verdict.rule is None else verdict.streak
    marks = "■" * min(count, 3) + "□" * max(0, 3 - count)
    rule = verdict.rule if verdict is not None and verdict.rule else "no rule is breached"
    return Text(f"breaching windows in a row {marks} {count}  {rule}", "red" if count else "green")


def _say(decision: Decision) -> str:
    change = f"{decision.from_version} -> {decision.to_version}"
    said = {
        Stage.INTENT: f"intent on the record: champion {change}",
        Stage.DONE: f"alias moved: champion {change}",
        Stage.CONFIRMED: f"confirmed: events of version {decision.to_version} arrive",
    }
    return said[decision.stage]
