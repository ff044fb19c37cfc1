"""From a prediction to a rollback: real Kafka, real MLflow, the real `monitor run`, and a version that turns unfair."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.actions.audit import verify
from monitor.demo.slack import SlackReceiver
from monitor.desk.tables import Roles
from monitor.errors import RegistryUnavailable
from monitor.events import ModelVersion, PredictionEvent, new_event_id
from monitor.policy.load import parse_policy
from monitor.publish import PredictionPublisher
from monitor.registry.mlflow_registry import Registry
from monitor.registry.versions import (
    BAD,
    RESTORED_FROM_TAG,
    RESTORED_ID_TAG,
    ROLLED_BACK_ID_TAG,
    STATE_TAG,
)
from monitor.reports import Decision, Report, Stage, Verdict
from monitor.servers import free_ports
from monitor.testing import until
from tests.deployment import Deployment, register

pytestmark = pytest.mark.kafka

POLICY = """
defaults:
  windows: {length: 60s, grace: 10s, min_events: 200, max_length: 3m}
  consecutive: 3
  fairness: {favourable: "1"}
"""
ROLES = Roles("prediction", "score", groups=("sex",))
RULE = "demographic_parity_difference[sex]"
SECRETS = {
    "webhook": "T0TOKEN/B0TOKEN/not-to-be-seen-1",
    "password": "not-to-be-seen-2",
    "token": "not-to-be-seen-3",
}

#: A window of a minute passes in 1.2 s, with 800 people in it.
STEP, PAUSE, PER_STEP = 2.5, 0.05, 33
FAIR_STEPS = 6 * 24

#: That the breach goes on until serving follows is noted; and that it is over, if the story lasts so long.
BESIDE = {Stage.RECORDED, Stage.RESOLVED}


def people(n: int, draw: np.random.Generator, *, unfair: bool = False) -> pd.DataFrame:
    sex = draw.choice(["f", "m"], n)
    income = draw.normal(0, 1, n)
    shift = np.where(sex == "f", -0.7, 0.7) if unfair else 0.0
    score = 1 / (1 + np.exp(-income - shift))
    answer = (score > 0.5).astype(int)
    return pd.DataFrame({"income": income, "score": score, "prediction": answer, "sex": sex})


class Serving(threading.Thread):
    """A service that follows the alias, whose version 2 turns unfair at a known time."""

    def __init__(self, deployment: Deployment, model: str) -> None:
        super().__init__(daemon=True)
        self.model = model
        self.registry = Registry(deployment.settings.registry.uri)
        self.publisher = PredictionPublisher(
            deployment.settings.kafka.bootstrap, topic=deployment.topic("predictions")
        )
        self.start_at = (time.time() - 7200) // 60 * 60
        self.served: list[str] = []
        self.over = threading.Event()

    @property
    def fault_at(self) -> float:
        return self.start_at + FAIR_STEPS * STEP

    def run(self) -> None:
        draw, step = np.random.default_rng(3), 0
        while not self.over.wait(PAUSE):
            if step % 10 == 0:
                self._follow()
            at = self.start_at + step * STEP
            rows = people(PER_STEP, draw, unfair=self.served[-1] == "2" and at >= self.fault_at)
            for i, row in enumerate(rows.to_dict("records")):
                self.publisher.publish(self._event(row, at + i * STEP / PER_STEP))
            step += 1
        self.publisher.close()

    def _follow(self) -> None:
        try:
            version = self.registry.alias(self.model, "champion")
        except RegistryUnavailable:  # as serving does: what is loaded goes on answering
            return
        if version is not None and self.served[-1:] != [version]:
            self.served.append(version)

    def _event(self, row: dict, at: float) -> PredictionEvent:
        return PredictionEvent(
            event_id=new_event_id(),
            prediction_id="p",
            event_time=dt.datetime.fromtimestamp(at, dt.UTC),
            model_name=self.model,
            model_version=self.served[-1],
            features={"income": row["income"]},
            prediction=row["prediction"],
            score=row["score"],
            groups={"sex": row["sex"]},
        )


@dataclass
class Story:
    """What happened, once it is over."""

    deployment: Deployment
    model: str
    serving: Serving
    slack: list[str]
    health: str
    exit_code: int | None = None
    said: dict[str, object] = field(default_factory=dict)
    metrics: str = ""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)

    @cached_property
    def decisions(self) -> list[Decision]:
        """The steps of the rollback, without what may stand beside them."""
        everything = self.deployment.values("decisions", Decision)
        return [decision for decision in everything if decision.stage not in BESIDE]

    def decided(self) -> list[Stage]:
        """What was done up to now."""
        return [decision.stage for decision in self.deployment.values("decisions", Decision)]

    @property
    def stages(self) -> list[Stage]:
        return [decision.stage for decision in self.decisions]

    def tags(self, version: str) -> dict[str, str]:
        versions = self.serving.registry.versions(self.model)
        return next(dict(v.tags) for v in versions if v.version == version)


def answer(url: str) -> tuple[int, str]:
    """Status and text of an answer; 0 while nobody listens."""
    try:
        with urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except URLError:
        return 0, ""


def parsed(metrics: str) -> dict[tuple[str, str], float]:
    """The sum of each series over partitions, by name and what is counted."""
    sums: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            what = sample.labels.get("outcome") or sample.labels.get("what") or ""
            sums[sample.name, what] = sums.get((sample.name, what), 0.0) + sample.value
    return sums


def when_all_is_counted(health: str) -> str:
    """What /metrics says once nothing waits to be counted or written."""
    _, text = answer(f"{health}/metrics")
    sums = parsed(text)
    waiting = ("monitor_lag_records", "monitor_snapshot_age_seconds", "monitor_notices_waiting")
    return "" if any(sums.get((name, ""), 1) for name in waiting) else text


@pytest.fixture(scope="module")
def story(kafka, mlflow_uri, tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    model = f"credit-{uuid.uuid4().hex[:6]}"
    policy = parse_policy(POLICY, where="test").of(model)
    for version in "12":
        reference = people(5_000, np.random.default_rng(int(version)))
        subject = ModelVersion(model, version)
        register(mlflow_uri, subject, frame=reference, roles=ROLES, policy=policy)
    Registry(mlflow_uri).set_alias(model, "champion", "2")
    (port,) = free_ports(1)
    health = f"http://127.0.0.1:{port}"
    with SlackReceiver() as slack:
        webhook = folder / "webhook"
        webhook.write_text(f"{slack.url}/{SECRETS['webhook']}\n")
        deployment = Deployment(
            kafka.bootstrap,
            mlflow_uri,
            folder,
            POLICY,
            MONITOR_STREAM__PARTITIONS="2",
            MONITOR_NOTIFY__SLACK_WEBHOOK_FILE=str(webhook),
            MONITOR_KAFKA__SASL_PASSWORD=SECRETS["password"],
            MONITOR_STORE__INFLUX__TOKEN=SECRETS["token"],
            MONITOR_HEALTH__PORT=str(port),
        )
        monitor = deployment.run()
        serving = Serving(deployment, model)
        made = Story(deployment, model, serving, slack.texts, health)
        try:
            until(lambda: deployment.has_topics, deadline=240)
            serving.start()
            until(lambda: answer(f"{health}/readyz")[0] == 200, deadline=240, pause=0.2)
            until(lambda: Stage.CONFIRMED in made.decided(), deadline=240, pause=0.5)
            until(lambda: len(slack.texts) >= 2)
            until(lambda: "confirmed" in {step["stage"] for step in deployment.ask("decisions")})
            serving.over.set()
            serving.join(120)
            made.metrics = until(lambda: when_all_is_counted(health), deadline=120, pause=0.2)
            made.answers = {path: answer(health + path) for path in ("/livez", "/readyz")}
            for command in ("status", "reports", "decisions", "audit verify"):
                made.said[command] = deployment.ask(*command.split())
            monitor.stop(grace_seconds=120)
            made.exit_code = monitor.exit_code
            made.slack = slack.texts
            yield made
        finally:
            serving.over.set()
            deployment.stop()


def test_the_alias_moves_once_after_three_breaching_windows_in_a_row(story):
    assert story.serving.served == ["2", "1"]
    assert story.serving.registry.alias(story.model, "champion") == "1"
    reports = [r for r in story.deployment.values("reports", Report) if r.version == "2"]
    breaching = sorted({r.window for r in reports if RULE in {b.rule for b in r.breaches}})
    assert breaching[0].start >= story.serving.fault_at - 60
    verdict = story.decisions[0].verdict
    assert verdict is not None
    assert (verdict.rule, verdict.streak, list(verdict.windows)) == (RULE, 3, breaching[:3])
    early = [v for v in story.deployment.values("verdicts", Verdict) if v.streak < 3]
    assert {verdict.action for verdict in early} <= {"none"}


def test_the_decisions_go_from_intent_to_done_to_confirmed(story):
    assert [decision.stage for decision in story.decisions] == [
        Stage.INTENT,
        Stage.DONE,
        Stage.CONFIRMED,
    ]
    assert {(d.from_version, d.to_version) for d in story.decisions} == {("2", "1")}
    assert len({d.rollback_id for d in story.decisions}) == 1
    times = [decision.at for decision in story.decisions]
    assert times == sorted(times)


def test_both_versions_are_tagged_with_the_rollback(story):
    (rollback_id,) = {decision.rollback_id for decision in story.decisions}
    left, restored = story.tags("2"), story.tags("1")
    assert (left[STATE_TAG], left[ROLLED_BACK_ID_TAG]) == (BAD, rollback_id)
    assert (restored[RESTORED_FROM_TAG], restored[RESTORED_ID_TAG]) == ("2", rollback_id)
    assert STATE_TAG not in restored


def test_the_restored_version_is_fair_again(story):
    after = [r for r in story.deployment.values("reports", Report) if r.version == "1"]
    assert after
    assert [report.breaches for report in after] == [()] * len(after)


def test_slack_hears_of_the_rollback_once_and_then_that_it_worked(story):
    told, cured = story.slack[:2]
    assert sum("went back from" in text for text in story.slack) == 1
    assert told.startswith(f"{story.model}: champion went back from version 2 to 1")
    for part in (RULE, "Last 3 windows: 0.", "Groups: ", "First breach to rollback: ", "Next: "):
        assert part in told
    assert cured.startswith(f"{story.model}: version 1 answers again")


def test_the_audit_chain_holds_each_decision(story):
    chain = verify(story.deployment.settings.audit.path)
    assert chain.links == len(story.decided())
    said = story.said["audit verify"]
    assert (said["ok"], said["links"], said["head"]) == (True, chain.links, chain.head)


def test_the_commands_say_so_too(story):
    status = {line["version"]: line for line in story.said["status"]}
    assert (status["1"]["serves"], status["2"]["serves"]) == ("yes", "no")
    assert status["1"]["decision"] in {"rollback confirmed: 2 to 1", "rollback resolved: 2 to 1"}
    assert not status["1"]["needs_a_person"]
    stages = [decision["stage"] for decision in story.said["decisions"]]
    assert [stage for stage in stages if stage not in BESIDE] == story.stages
    assert any(b["rule"] == RULE for r in story.said["reports"] for b in r["breaches"])


def test_no_secret_is_in_a_log_a_topic_a_file_or_an_answer(story):
    deployment = story.deployment
    seen = [
        story.metrics.encode(),
        repr(story.answers).encode(),
        deployment.logs().encode(),
        repr(story.said).encode(),
        "".join(story.slack).encode(),
    ]
    seen += [file.read_bytes() for file in deployment.folder.iterdir() if file.name != "webhook"]
    for topic in ("reports", "verdicts", "decisions", "dead_letters", "state"):
        seen += [record.value() or b"" for record in deployment.records(topic)]
    for secret in SECRETS.values():
        assert not any(secret.encode() in text for text in seen)


def test_metrics_say_what_was_done(story):
    samples = parsed(story.metrics)
    reports = len(story.deployment.values("reports", Report))
    assert samples["monitor_events_total", "counted"] == story.serving.publisher.counts.delivered
    assert samples["monitor_events_total", "dead_letters"] == 0
    assert 0 < samples["monitor_reports_total", ""] <= reports
    assert samples["monitor_decision_latency_seconds_count", ""] == 1
    assert 0 <= samples["monitor_decision_latency_seconds_sum", ""] < 600
    assert samples["monitor_written_total", "decisions"] >= 2
    assert samples["monitor_lag_records", ""] == 0
    assert samples["monitor_notices_waiting", ""] == 0


def test_each_part_is_alive_and_ready(story):
    assert {status for status, _ in story.answers.values()} == {200}
    ready = {
        sample.labels["part"]: sample.value
        for family in text_string_to_metric_families(story.metrics)
        for sample in family.samples
        if sample.name == "monitor_ready"
    }
    assert ready == {"stream": 1, "actor": 1, "sink": 1}


def test_the_monitor_ends_in_order_when_it_is_asked_to(story):
    assert story.exit_code == 0
    assert "Traceback" not in story.deployment.logs()
