"""Topics made by hand, as docs/deploy.md says, are those that `monitor run` makes."""

from __future__ import annotations

import re

from monitor.stream.topics import TopicNames, topic_configs
from tests.conftest import REPOSITORY


def told(page: str) -> dict[str, dict[str, str]]:
    """What the table of topics gives each topic."""
    (section,) = re.findall(r"^## Topics\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {
        topic: dict(re.findall(r"`([a-z.]+)=([^`]+)`", settings))
        for topics, _, settings in rows
        for topic in re.findall(r"`([^`]+)`", topics)
    }


def test_topics_made_by_hand_are_those_that_the_monitor_makes():
    assert told((REPOSITORY / "docs/deploy.md").read_text()) == topic_configs(TopicNames())
