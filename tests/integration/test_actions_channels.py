"""Slack and PagerDuty, as a local server plays them over real HTTP."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from monitor.actions.audit import AuditRecord, verify
from monitor.actions.links import NOWHERE, VERSION_DASHBOARD, Places
from monitor.actions.notice import Kind, Notice, notice_of
from monitor.actions.outbox import Outbox, Refused
from monitor.actions.pagerduty import PagerDuty
from monitor.actions.rollback import decision_on
from monitor.actions.slack import Slack, SlackBot
from monitor.actions.threads import ThreadFile
from monitor.actions.webhook import Webhook, sign
from monitor.reports import Stage
from monitor.servers.ports import free_ports
from monitor.testing import until
from tests.acting import verdict

SECRET = "T000/B000/hush-hush"


class Service:
    """Answers with the statuses that it was given, then 200, and keeps what it got."""

    def __init__(self, success: int = 200) -> None:
        self.got: list[dict] = []
        self.answers: list[tuple] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.says = b"ok"
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.got.append(json.loads(body))
                service.bodies.append(body)
                service.headers.append({k.lower(): v for k, v in self.headers.items()})
                answer = service.answers.pop(0) if service.answers else (success, {})
                status, headers, said = (*answer, service.says)[:3]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(said))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


def rolled_back(places: Places = NOWHERE, /, **about) -> Notice:
    decision = decision_on(
        verdict(**about),
        rollback_id="r",
        decision_id="r:done",
        stage=Stage.DONE,
        reason="the gap is past 0.15 in 3 windows in a row",
        at=1.0,
        alias="champion",
        to_version="2",
    )
    return notice_of(decision, Kind.ROLLED_BACK, took=905, places=places)


def test_slack_is_told_all_that_on_call_needs(service):
    Slack(SecretStr(service.url)).send(rolled_back())
    (message,) = service.got
    assert message["text"].splitlines() == [
        "credit: champion went back from version 3 to 2",
        "Why: the gap is past 0.15 in 3 windows in a row",
        "Rule: demographic_parity_difference[race], against 0.15",
        "Last 3 windows: 0.300, 0.310, 0.320",
        "Groups: not white, white",
        "First breach to rollback: 15 min 5 s",
        "Next: monitor reports --model credit --version 3",
        "Next: monitor decisions --model credit",
        (
            "Next: monitor log query --model credit --version 3"
            " --since 1970-01-01T00:05:00Z --until 1970-01-01T00:20:00Z"
        ),
    ]
    assert [block["type"] for block in message["blocks"]] == ["section"] * 5


def test_slack_says_who_is_harmed_in_plain_words_and_links_to_what_one_looks_at(service):
    harm = "people with RAC1P not 1 were selected 31% of the time, those with RAC1P 1 57%"
    places = Places("https://g.example/", "https://docs.example/runbook", "https://log.example/v1")
    Slack(SecretStr(service.url)).send(rolled_back(places, harm=harm))
    (message,) = service.got
    assert message["text"].splitlines()[1] == f"Who is harmed: {harm}"
    links = message["blocks"][-1]["text"]["text"]
    assert re.findall(r"<([^|>]*)\|([^>]*)>", links) == [
        (
            (
                "https://g.example/d/monitor-version?var-model=credit&amp;var-version=3"
                "&amp;from=-600000&amp;to=2100000"
            ),
            "Dashboard",
        ),
        ("https://docs.example/runbook#monitor-rollback", "Runbook"),
        (
            (
                "https://log.example/v1?model=credit&amp;version=3"
                "&amp;since=1970-01-01T00%3A05%3A00Z&amp;until=1970-01-01T00%3A20%3A00Z"
            ),
            "Predictions",
        ),
    ]


def test_a_layout_that_slack_refuses_is_sent_again_as_plain_text(service):
    service.answers = [(400, {}, b"invalid_blocks")]
    Slack(SecretStr(service.url)).send(rolled_back())
    refused, taken = service.got
    assert refused["blocks"]
    assert taken.get("blocks") is None
    assert taken["text"] == refused["text"]


@pytest.mark.parametrize("hostile", ["<!channel>", "<http://evil|click>", "a & b <@U1>", "`*x*`\n"])
def test_no_name_addresses_people_links_or_formats(service, hostile):
    Slack(SecretStr(service.url)).send(
        rolled_back(model=hostile, rule=hostile, groups=(hostile,), findings=(hostile,))
    )
    (message,) = service.got
    shown = json.dumps(message, ensure_ascii=False)
    assert "<" not in shown
    assert ">" not in shown
    assert "*x*" not in shown
    for word in ("&lt;!channel&gt;",) if hostile == "<!channel>" else ():
        assert word in message["text"]


def test_a_command_can_be_pasted_into_a_shell_whatever_the_model_is_called():
    steps = rolled_back(model="x; rm -rf ~").steps
    assert steps[0] == "monitor reports --model 'x; rm -rf ~' --version 3"


def test_a_text_longer_than_slack_takes_is_cut(service):
    Slack(SecretStr(service.url)).send(replace(rolled_back(), facts=(("a", "&" * 9000),) * 12))
    (message,) = service.got
    assert len(message["text"]) <= 3000
    for block in message["blocks"]:
        assert len(block.get("fields", ())) <= 10
        assert all(len(field["text"]) <= 2200 for field in block.get("fields", ()))


def test_slack_that_asks_for_time_gets_it_and_then_the_notice_once(service, tmp_path):
    time = [1000.0]
    service.answers = [(429, {"Retry-After": "7"}), (503, {})]
    slack = Slack(SecretStr(service.url))
    outbox = Outbox(tmp_path / "outbox.db", {"slack": slack}, now=lambda: time[0])
    outbox.put(rolled_back())
    assert outbox.deliver() == 7
    assert outbox.deliver() == 7
    assert len(service.got) == 1
    time[0] += 7
    time[0] += outbox.deliver()
    outbox.deliver()
    outbox.deliver()
    assert len(service.got) == 3
    assert outbox.backlog == 0
    outbox.close()


def test_slack_away_and_back_again_is_told_by_the_thread(service, tmp_path):
    service.answers = [(500, {})]
    outbox = Outbox(
        tmp_path / "outbox.db", {"slack": Slack(SecretStr(service.url))}, now=_monotonic()
    )
    outbox.start()
    outbox.put(rolled_back())
    until(lambda: outbox.backlog == 0 and len(service.got) == 2)
    outbox.close()


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_address_that_was_revoked_is_not_tried_again(service, status):
    service.answers = [(status, {})]
    with pytest.raises(Refused, match=f"Slack answers {status}") as raised:
        Slack(SecretStr(service.url)).send(rolled_back())
    assert not raised.value.again


def test_the_address_is_in_no_log_and_no_error(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    (port,) = free_ports(1)
    for url in (f"http://127.0.0.1:{port}/{SECRET}", SECRET, f"ftp//{SECRET}", f"http://[{SECRET}"):
        slack = Slack(SecretStr(url), timeout=2)
        with pytest.raises(Refused) as raised:
            slack.send(rolled_back())
        assert SECRET not in f"{raised.value!s}{raised.value!r}{slack!r}{vars(slack)}"
        assert raised.value.__cause__ is None
    assert SECRET not in caplog.text
    shown = capfd.readouterr()
    assert SECRET not in shown.out + shown.err


def test_the_pager_is_triggered_once_and_resolved_under_the_same_key():
    service = Service(success=202)
    pager = PagerDuty(SecretStr("routing"), url=service.url)
    notice = rolled_back()
    pager.send(notice)
    pager.send(replace(notice, kind=Kind.BREACH))
    pager.send(replace(notice, kind=Kind.CONFIRMED))
    service.answers = [(429, {"Retry-After": "3"})]
    with pytest.raises(Refused) as raised:
        pager.send(notice)
    assert (raised.value.again, raised.value.after) == (True, 3)
    service.close()
    triggered, resolved, _ = service.got
    assert (triggered["event_action"], resolved["event_action"]) == ("trigger", "resolve")
    key = "credit:3:demographic_parity_difference[race]"
    assert triggered["dedup_key"] == resolved["dedup_key"] == key
    assert triggered["payload"]["severity"] == "critical"


def test_a_pager_that_is_away_is_to_be_tried_again():
    (port,) = free_ports(1)
    with pytest.raises(Refused, match="cannot be reached") as raised:
        PagerDuty(SecretStr("routing"), url=f"http://127.0.0.1:{port}/").send(rolled_back())
    assert raised.value.again
    assert "routing" not in str(raised.value)


# ----------------------------------------------------------------------------------------------- the bot


def answer(**said) -> bytes:
    return json.dumps({"ok": "error" not in said, **said}).encode()


@pytest.fixture
def bot(service, tmp_path):
    service.says = answer(ts="1700000000.000100")

    def make() -> SlackBot:
        threads = ThreadFile(tmp_path / "notices.db")
        return SlackBot(SecretStr(SECRET), "C1", threads, url=f"{service.url}/", timeout=5)

    return make


def test_a_bot_answers_in_the_thread_of_the_version_also_after_a_restart(service, bot):
    notice = rolled_back()
    bot().send(replace(notice, kind=Kind.BREACH))
    for kind in (Kind.ROLLED_BACK, Kind.CONFIRMED, Kind.RESOLVED, Kind.BREACH):
        bot().send(replace(notice, kind=kind))
    assert [message.get("thread_ts") for message in service.got] == [
        None,
        *["1700000000.000100"] * 3,
        None,  # another breach, another thread
    ]
    assert [message.get("reply_broadcast", False) for message in service.got] == [
        *(False, True, False, True, False)
    ]
    assert {message["channel"] for message in service.got} == {"C1"}
    assert all(message["text"] for message in service.got)
    assert service.headers[0]["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "headers", "error", "again", "after"),
    [
        (429, {"Retry-After": "30"}, "ratelimited", True, 30),
        (200, {}, "internal_error", True, 0),
        (500, {}, "", True, 0),
        (200, {}, "channel_not_found", False, 0),
        (200, {}, "invalid_auth", False, 0),
    ],
)
def test_what_slack_says_to_a_bot_decides_whether_it_is_tried_again(
    service, bot, status, headers, error, again, after
):
    service.answers = [(status, headers, answer(error=error))]
    with pytest.raises(Refused, match=f"Slack answers {status}") as raised:
        bot().send(rolled_back())
    assert (raised.value.again, raised.value.after) == (again, after)
    assert SECRET not in str(raised.value)


def test_a_layout_that_slack_refuses_from_a_bot_is_sent_again_as_plain_text(service, bot):
    service.answers = [(200, {}, answer(error="invalid_blocks"))]
    bot().send(rolled_back())
    assert [bool(message.get("blocks")) for message in service.got] == [True, False]


# ------------------------------------------------------------------------------------------- the webhook


@pytest.fixture
def webhook(service, tmp_path):
    return Webhook(
        SecretStr(service.url),
        SecretStr("hush"),
        AuditRecord(tmp_path / "audit.jsonl").write,
        now=lambda: 1700000000.4,
        timeout=5,
    )


def test_a_webhook_call_is_signed_and_dated_and_on_the_audit_record(service, webhook, tmp_path):
    service.answers = [(503, {}), (200, {})]
    with pytest.raises(Refused, match="answers 503") as raised:
        webhook.send(rolled_back())
    assert raised.value.again
    webhook.send(rolled_back())
    headers = service.headers[1]
    name, at = headers["webhook-id"], headers["webhook-timestamp"]
    assert at == "1700000000"
    assert headers["webhook-signature"] == sign("hush", name, at, service.bodies[1])
    assert name == service.headers[0]["webhook-id"]  # so that the receiver knows it again
    body = service.got[1]
    assert body["type"] == "monitor.rolled_back"
    assert (body["data"]["model"], body["data"]["version"], body["data"]["to_version"]) == (
        *("credit", "3", "2"),
    )
    assert (body["data"]["family"], body["data"]["action"]) == ("fairness", "rollback")
    record = (tmp_path / "audit.jsonl").read_text()
    calls = [json.loads(line)["body"] for line in record.splitlines()]
    assert [(call["webhook"], call["status"]) for call in calls] == [(name, 503), (name, 200)]
    assert verify(tmp_path / "audit.jsonl").links == 2
    assert SECRET not in record


def test_another_body_has_another_signature():
    assert sign("hush", "id", "1", b"{}") != sign("hush", "id", "1", b"[]")
    assert sign("hush", "id", "1", b"{}") != sign("hush", "id", "2", b"{}")


def test_a_channel_that_never_answers_is_given_up_after_its_time_and_tried_again(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        url = SecretStr(f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}")
        record = AuditRecord(tmp_path / "audit.jsonl").write
        for channel in (
            Slack(url, timeout=1),
            SlackBot(
                url, "C1", ThreadFile(tmp_path / "t"), url=f"{url.get_secret_value()}/", timeout=1
            ),
            PagerDuty(SecretStr("key"), url=url.get_secret_value(), timeout=0.5),
            Webhook(url, SecretStr("s"), record, now=lambda: 1.0, timeout=0.5),
        ):
            with pytest.raises(Refused, match="cannot be reached") as raised:
                channel.send(rolled_back())
            assert raised.value.again
            assert SECRET not in str(raised.value)


# --------------------------------------------------------------------------------------------- the pager


@pytest.mark.parametrize("kind", Kind)
def test_the_pager_wakes_people_for_rollbacks_failures_and_a_dead_monitor_alone(kind):
    service = Service(success=202)
    places = Places("https://g.example")
    PagerDuty(SecretStr("routing"), url=service.url).send(replace(rolled_back(places), kind=kind))
    service.close()
    wakes = {Kind.ROLLED_BACK, Kind.FAILED, Kind.WAITING, Kind.UNCONFIRMED, Kind.DEAD}
    ends = {Kind.CONFIRMED, Kind.RESOLVED, Kind.ALIVE}
    said = [event["event_action"] for event in service.got]
    assert said == (["trigger"] if kind in wakes else ["resolve"] if kind in ends else [])
    for event in service.got:
        assert event["links"][0]["href"].startswith(f"https://g.example/d/{VERSION_DASHBOARD}?")


def _monotonic():
    import time

    return time.monotonic
