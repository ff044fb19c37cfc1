"""Notices are taken at once, and delivered once, when their channel answers."""

from __future__ import annotations

import http.client
import urllib.request

import pytest
from pydantic import SecretStr

from monitor.actions.notice import Kind, Notice
from monitor.actions.outbox import GIVE_UP_AFTER, LAST_WAIT, Outbox, Refused
from monitor.actions.slack import Slack, SlackBot
from monitor.actions.threads import ThreadFile
from monitor.errors import NoticeError
from monitor.testing import until


class FakeChannel:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.tries = 0
        self.refusal: Exception | None = None

    def send(self, notice: Notice) -> None:
        self.tries += 1
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(notice.key)


def refused(**about) -> Refused:
    return Refused("no", where="here", fix="Wait.", **about)


def notice(key: str = "k") -> Notice:
    return Notice(key=key, kind=Kind.BREACH, incident="i", title="t", facts=(("a", "b"),))


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def channel():
    return FakeChannel()


@pytest.fixture
def outbox(tmp_path, channel, time):
    outbox = Outbox(tmp_path / "outbox.db", {"slack": channel}, now=time)
    yield outbox
    outbox.close()


def test_a_notice_is_delivered_once_however_often_it_is_put(outbox, channel):
    for _ in range(3):
        outbox.put(notice())
        outbox.deliver()
    assert channel.sent == ["k"]
    assert outbox.backlog == 0


def test_each_channel_gets_it_and_one_that_is_away_does_not_hold_up_the_other(tmp_path, time):
    good, bad = FakeChannel(), FakeChannel()
    bad.refusal = refused()
    outbox = Outbox(tmp_path / "o.db", {"bad": bad, "good": good}, now=time)
    outbox.put(notice())
    outbox.deliver()
    assert good.sent == ["k"]
    assert outbox.backlog == 1
    bad.refusal = None
    time.now += 1
    outbox.deliver()
    assert (good.sent, bad.sent) == (["k"], ["k"])
    outbox.close()


def test_a_channel_that_asks_for_time_gets_it(outbox, channel, time):
    channel.refusal = refused(after=30)
    outbox.put(notice())
    assert outbox.deliver() == 30
    time.now += 29
    outbox.deliver()
    assert channel.tries == 1
    channel.refusal = None
    time.now += 1
    outbox.deliver()
    assert channel.sent == ["k"]


def test_waits_grow_to_a_limit_and_then_it_is_given_up(outbox, channel, time):
    channel.refusal = refused()
    outbox.put(notice())
    waits = []
    end = time.now + GIVE_UP_AFTER
    while outbox.backlog:
        waits.append(outbox.deliver())
        time.now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == LAST_WAIT
    assert time.now > end


def test_a_refusal_that_no_try_will_change_is_given_up_at_once(outbox, channel):
    channel.refusal = refused(again=False)
    outbox.put(notice())
    assert outbox.deliver() == LAST_WAIT
    assert (outbox.backlog, channel.tries) == (0, 1)


def test_what_is_not_delivered_outlives_the_process(tmp_path, channel, time):
    first = Outbox(tmp_path / "o.db", {"slack": channel}, now=time)
    first.put(notice())
    first.close()
    second = Outbox(tmp_path / "o.db", {"slack": channel}, now=time)
    second.put(notice())
    second.deliver()
    second.close()
    assert channel.sent == ["k"]


def test_a_channel_that_was_taken_out_of_the_settings_holds_up_nothing(tmp_path, channel, time):
    first = Outbox(tmp_path / "o.db", {"pager": channel}, now=time)
    first.put(notice())
    first.close()
    second = Outbox(tmp_path / "o.db", {}, now=time)
    assert second.deliver() == LAST_WAIT
    assert second.backlog == 0
    second.close()


def test_the_thread_delivers_without_being_asked(outbox, channel):
    outbox.start()
    outbox.put(notice("a"))
    until(lambda: channel.sent == ["a"])
    outbox.put(notice("b"))
    until(lambda: channel.sent == ["a", "b"])


def test_a_channel_that_breaks_down_ends_no_thread_holds_up_nobody_and_is_tried_again(
    tmp_path, time
):
    good, broken = FakeChannel(), FakeChannel()
    broken.refusal = RuntimeError("https://hooks.example/secret")
    outbox = Outbox(tmp_path / "o.db", {"broken": broken, "good": good}, now=time)
    outbox.start()
    outbox.put(notice("a"))
    until(lambda: good.sent == ["a"])
    broken.refusal = None
    outbox.put(notice("b"))

    def is_all_delivered() -> bool:
        time.now += 1
        return sorted(broken.sent) == good.sent == ["a", "b"]

    until(is_all_delivered)
    outbox.close()


@pytest.mark.parametrize(
    "answer", [http.client.IncompleteRead(b"ok"), http.client.BadStatusLine("SSH")]
)
@pytest.mark.parametrize("kind", ["webhook", "bot"])
def test_a_cut_off_or_garbled_answer_of_slack_is_a_refusal_worth_another_try(
    tmp_path, monkeypatch, kind, answer
):
    def opened(*_, **__):
        raise answer

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    if kind == "webhook":
        slack = Slack(SecretStr("http://slack.example/x"))
    else:
        slack = SlackBot(SecretStr("xoxb-1"), "C1", ThreadFile(tmp_path / "t.db"))
    with pytest.raises(Refused, match=type(answer).__name__) as refusal:
        slack.send(notice())
    assert refusal.value.again


def test_a_file_that_cannot_be_used_says_so(tmp_path, time):
    with pytest.raises(NoticeError, match="outbox cannot be used"):
        Outbox(tmp_path, {}, now=time)
