"""Slack and PagerDuty, as a local server plays them over real HTTP."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from monitor.actions.notice import Kind, Notice, notice_of
from monitor.actions.outbox import Outbox, Refused
from monitor.actions.pagerduty import PagerDuty
from monitor.actions.rollback import decision_on
from monitor.actions.slack import Slack
from monitor.reports import Stage
from monitor.servers.ports import free_ports
from monitor.testing import until
from tests.acting import verdict

SECRET = "T000/B000/hush-hush"


class Service:
    """Answers with the statuses that it was given, then 200, and keeps what it got."""

    def __init__(self, success: int = 200) -> None:
        self.got: list[dict] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.got.append(json.loads(body))
                status, headers = service.answers.pop(0) if service.answers else (success, {})
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "2"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

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


def rolled_back(**about) -> Notice:
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
    return notice_of(decision, Kind.ROLLED_BACK, took=905)


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
    ]
    assert [block["type"] for block in message["blocks"]] == ["section"] * 4


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


def _monotonic():
    import time

    return time.monotonic
