"""The demo without a terminal: what happens, a line each, in a log."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from monitor.cli.demo import _tell
from monitor.reports import Stage


def test_each_thing_that_happens_is_told_once():
    texts = ["census 2 is unfair"]
    decisions = [SimpleNamespace(decision_id="a", stage=Stage.INTENT, reason="three windows")]
    story = SimpleNamespace(
        watch=SimpleNamespace(reports={}, decisions=decisions),
        stack=SimpleNamespace(slack=SimpleNamespace(texts=texts)),
    )
    heard, told = io.StringIO(), set()
    for _ in range(3):
        _tell(story, told, Console(file=heard))
    texts.append("census 1 answers again")
    for _ in range(3):
        _tell(story, told, Console(file=heard))
    assert heard.getvalue().splitlines() == [
        f"{Stage.INTENT.value}: three windows",
        "Slack: census 2 is unfair",
        "Slack: census 1 answers again",
    ]
