"""Rolling back on real MLflow over HTTP, killed in between, refused, overtaken by a person, and told to people."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import mlflow
from confluent_kafka import Producer

from monitor.actions.audit import verify
from monitor.baselines import HASH_TAG
from monitor.bootstrap import make_topics
from monitor.demo.slack import SlackReceiver
from monitor.registry.mlflow_registry import Registry
from monitor.reports import Decision, Stage, encode
from monitor.testing import until
from tests.acting import verdict
from tests.chaos.doomed import Doomed
from tests.chaos.outcome import Fault, Outcome, Servers
from tests.chaos.proxy import Mood, Proxy, Request, answering, gone, passing, slow
from tests.deployment import Deployment

PATIENCE = 240.0
POLICY = "defaults: {consecutive: 3}\n"


class Court:
    """Models whose third version is judged, and a proxy before MLflow that sees each move of an alias."""

    def __init__(self, servers: Servers, folder: Path, proxy: Proxy, **more: str) -> None:
        self.proxy = proxy
        self.uri = servers.mlflow
        self.registry = Registry(servers.mlflow)
        self.deployment = Deployment(
            servers.kafka,
            proxy.url,
            folder,
            POLICY,
            MONITOR_STREAM__PARTITIONS="2",
            **more,
        )
        make_topics(self.deployment.settings)
        kafka = self.deployment.settings.kafka.confluent()
        self._producer = Producer({**kafka, "partitioner": "murmur2_random"})
        self.models: list[str] = []

    def model(self) -> str:
        """A new model with three versions; champion is the third."""
        name = f"credit-{uuid.uuid4().hex[:8]}"
        client = mlflow.MlflowClient(self.uri, self.uri)
        client.create_registered_model(name)
        run = client.create_run("0").info
        for number in "123":
            client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
            client.set_model_version_tag(name, number, HASH_TAG, "0" * 64)
        client.set_registered_model_alias(name, "champion", "3")
        self.models.append(name)
        return name

    def judge(self, model: str, *, last: int = 3) -> None:
        """Publish the verdict that asks for the rollback."""
        said = verdict(model=model, last=last, length=last, closed_at=time.time())
        self._producer.produce(self.deployment.topic("verdicts"), encode(said), model.encode())
        assert self._producer.flush(60) == 0

    def stages(self, model: str) -> list[Stage]:
        return [d.stage for d in self.decisions if d.model == model]

    @property
    def decisions(self) -> list[Decision]:
        return self.deployment.values("decisions", Decision)

    def wait_for(self, model: str, stage: Stage) -> None:
        until(lambda: stage in self.stages(model), deadline=PATIENCE, pause=0.2)

    def moves(self) -> Counter[str]:
        """How often each model's alias was moved through the proxy; the same move told twice is one."""
        told: dict[str, str] = {}
        moved: Counter[str] = Counter()
        for request in list(self.proxy.passed):
            if is_move(request):
                said = json.loads(request.body)
                moved[said["name"]] += told.get(said["name"]) != said["version"]
                told[said["name"]] = said["version"]
        return moved

    def outcome(
        self, *, tried: int, recovered_s: float, kills: int = 0, persons: tuple[str, ...] = ()
    ) -> Outcome:
        """Each model's alias moved once to the second version; that of a model whom a person took in hand, never."""
        moves, lost, doubled = self.moves(), 0, 0
        wrong = []
        for model in self.models:
            steps = Counter(self.stages(model))
            named = self.registry.alias(model, "champion")
            if model in persons:
                if named != "1" or moves[model] or Stage.REFUSED not in steps:
                    wrong.append(f"the person did not win: {named}, {dict(steps)}")
                continue
            lost += named != "2" or Stage.DONE not in steps
            doubled += max(moves[model] - 1, 0) + max(steps[Stage.DONE] - 1, 0)
        for record in self.deployment.folder.glob("audit*.jsonl"):
            verify(record)
        return Outcome(
            tried=tried,
            events=len(self.models),
            lost=lost,
            doubled=doubled,
            recovered_s=recovered_s,
            kills=kills,
            what="rollbacks",
            wrong=tuple(wrong),
        )


def is_move(request: Request) -> bool:
    """Whether it sets the alias that serving follows."""
    if request.method != "POST" or not request.path.endswith("registered-models/alias"):
        return False
    return json.loads(request.body)["alias"] == "champion"


@contextmanager
def court(servers: Servers, folder: Path, **more: str) -> Iterator[Court]:
    with Proxy(servers.mlflow) as proxy:
        made = Court(servers, folder, proxy, **more)
        try:
            yield made
        finally:
            made.deployment.stop()


def killed_at(
    moment: str, servers: Servers, folder: Path, dice: random.Random, *, redone: bool
) -> Outcome:
    """One process after the other is killed while it acts; the last one finds all of it done, or does it.

    Parameters
    ----------
    redone
        Whether the process after meets the moment again, with the verdict that comes again.
    """
    times = 6
    with court(servers, folder) as here:
        for blow in range(times):
            here.judge(here.model())
            words = ["run", "--once", "--role", "act"]
            nth = 2 if redone and blow else 1
            log = folder / "doomed.log"
            Doomed(moment, nth, words, here.deployment.environment, log).wait(PATIENCE)
        killed_at = time.monotonic()
        here.deployment.run("act")
        for model in here.models:
            here.wait_for(model, Stage.DONE)
        spent = time.monotonic() - killed_at
        return here.outcome(tried=times, recovered_s=spent, kills=times)


def in_trouble(mood: Mood, servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """MLflow is in trouble when verdicts come; some time later it is well again."""
    with court(servers, folder) as here:
        here.deployment.run("act")
        here.judge(here.model())
        here.wait_for(here.models[0], Stage.DONE)
        for _ in range(3):
            here.model()
        here.proxy.mood = mood
        for model in here.models[1:]:
            here.judge(model)
        until(lambda: here.proxy.troubled >= 3, deadline=PATIENCE)
        threading.Event().wait(dice.uniform(2, 6))
        here.proxy.mood = passing
        well = time.monotonic()
        for model in here.models:
            here.wait_for(model, Stage.DONE)
        return here.outcome(tried=3, recovered_s=time.monotonic() - well)


def slow_answers(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Each answer of MLflow takes seconds."""
    with court(servers, folder) as here:
        here.deployment.run("act")
        for _ in range(2):
            here.judge(here.model())
        here.proxy.mood = slow(dice.uniform(1, 3))
        asked = time.monotonic()
        for model in here.models:
            here.wait_for(model, Stage.DONE)
        return here.outcome(tried=2, recovered_s=time.monotonic() - asked)


def refused(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """MLflow refuses the move (403): said so at once, and tried again with the breach's next window."""
    no = json.dumps({"error_code": "PERMISSION_DENIED", "message": "no"}).encode()
    with court(servers, folder) as here:
        here.deployment.run("act")
        model = here.model()
        here.proxy.mood = lambda request: answering(403, no)(request) if is_move(request) else None
        here.judge(model)
        here.wait_for(model, Stage.FAILED)
        here.proxy.mood = passing
        well = time.monotonic()
        here.judge(model, last=4)
        here.wait_for(model, Stage.DONE)
        return here.outcome(tried=1, recovered_s=time.monotonic() - well)


def a_person(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Killed after the intent; a person moves the alias; the next process finds it so, and leaves it so."""
    with court(servers, folder) as here:
        for _ in range(3):
            model = here.model()
            here.judge(model)
            words = ["run", "--once", "--role", "act"]
            log = folder / "doomed.log"
            at = "between intent and alias"
            Doomed(at, 1, words, here.deployment.environment, log).wait(PATIENCE)
            here.registry.set_alias(model, "champion", "1")
        began = time.monotonic()
        here.deployment.run("act")
        for model in here.models:
            here.wait_for(model, Stage.REFUSED)
        spent = time.monotonic() - began
        return here.outcome(tried=3, recovered_s=spent, kills=3, persons=tuple(here.models))


def two_monitors(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Two deployments of other names on the same topics: one acts for a model."""
    with court(servers, folder) as here:
        here.deployment.run("act")
        here.deployment.run(
            "act",
            MONITOR_STREAM__APP=f"other-{dice.randrange(1 << 31)}",
            MONITOR_AUDIT__PATH=str(folder / "audit-other.jsonl"),
            MONITOR_NOTIFY__OUTBOX=str(folder / "notices-other.db"),
            MONITOR_STORE__PATH=str(folder / "other.db"),
        )
        for process in here.deployment.processes:
            until(lambda p=process: "acting for" in p.log.read_text(), deadline=PATIENCE)
        for _ in range(8):
            here.judge(here.model())
        asked = time.monotonic()
        for model in here.models:
            here.wait_for(model, Stage.DONE)
        return here.outcome(tried=1, recovered_s=time.monotonic() - asked)


def unheard(servers: Servers, folder: Path, dice: random.Random) -> Outcome:
    """Slack and PagerDuty are gone, fail, ask for time (429): the rollback is not delayed, each notice comes once."""
    with (
        SlackReceiver() as people,
        SlackReceiver() as pager,
        Proxy(people.url) as slack,
        Proxy(pager.url) as pagerduty,
    ):
        secret = {
            "MONITOR_NOTIFY__SLACK_WEBHOOK": slack.url,
            "MONITOR_NOTIFY__PAGERDUTY_KEY": "key",
            "MONITOR_NOTIFY__PAGERDUTY_URL": pagerduty.url,
        }
        with court(servers, folder, **secret) as here:
            here.deployment.run("act")
            moods = gone, answering(500), answering(429, Retry_After="5")
            for mood in moods:
                slack.mood = pagerduty.mood = mood
                before = slack.troubled, pagerduty.troubled
                here.judge(here.model())
                here.wait_for(here.models[-1], Stage.DONE)  # though nobody can be told
                until(
                    lambda was=before: slack.troubled > was[0] and pagerduty.troubled > was[1],
                    deadline=PATIENCE,
                )
            slack.mood = pagerduty.mood = passing
            well = time.monotonic()
            told = [people._messages, pager._messages]
            until(
                lambda: all(len(messages) >= len(moods) for messages in told),
                deadline=PATIENCE,
            )
            spent = time.monotonic() - well
            threading.Event().wait(3)  # what else may come
            made = here.outcome(tried=len(moods), recovered_s=spent)
            doubled = sum(len(messages) - len(moods) for messages in told)
    return Outcome(
        tried=made.tried,
        events=2 * len(moods),
        lost=made.lost,
        doubled=made.doubled + doubled,
        recovered_s=spent,
        what="notices",
        wrong=made.wrong,
    )


FAULTS: dict[str, Fault] = {
    "killed between intent and alias": partial(killed_at, "between intent and alias", redone=True),
    "killed between alias and outcome": partial(
        killed_at, "between alias and outcome", redone=False
    ),
    "MLflow is gone": partial(in_trouble, gone),
    "MLflow answers 500": partial(in_trouble, answering(500)),
    "MLflow answers 503": partial(in_trouble, answering(503)),
    "MLflow is slow": slow_answers,
    "MLflow refuses the move": refused,
    "a person moves the alias": a_person,
    "Slack and PagerDuty away, 500, 429": unheard,
    "two monitors act": two_monitors,
}
