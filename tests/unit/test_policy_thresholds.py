"""A version is judged by the thresholds that it was registered under, until somebody decides otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from monitor.actions.adopt import adopt_policy
from monitor.actions.past import Past
from monitor.baselines import hash_of
from monitor.errors import ActionRefused, PolicyError, RegistryUnavailable
from monitor.events import ModelVersion
from monitor.policy.model import DriftRules, Levels, ModelPolicy
from monitor.policy.thresholds import changes, encode_thresholds, with_thresholds
from monitor.reports import Decision, Stage
from tests.unit.engine_world import POLICY, SUBJECT, baseline, engine, messages, people
from tests.unit.test_engine_partition import spread

STRICT = ModelPolicy(consecutive=1, drift=DriftRules(psi=Levels(warn=0.01, block=0.02)))


@dataclass
class Registry:
    stored: bytes | None = None
    away: bool = False

    def thresholds(self, _: ModelVersion) -> bytes | None:
        return self.stored

    def publish_thresholds(self, _: ModelVersion, data: bytes) -> str:
        if self.away:
            raise RegistryUnavailable("MLflow does not answer", where="here", fix="Wait.")
        self.stored = data
        return hash_of(data)


@dataclass
class Log:
    decisions: list[Decision] = field(default_factory=list)

    def append(self, decision: Decision) -> None:
        self.decisions.append(decision)

    def history(self, _: str, *, fresh: bool = True) -> list[Decision]:
        assert fresh is not None
        return self.decisions


def adopt(registry: Registry, log: Log, policy: ModelPolicy) -> Decision:
    return adopt_policy(
        registry, log, SUBJECT, policy, reason="agreed", actor="ann", now=lambda: 5.0
    )


def test_thresholds_survive_their_artifact_and_how_the_deployment_runs_is_not_in_it():
    policy = ModelPolicy(alias="live", dry_run=True)
    held = with_thresholds(policy, encode_thresholds(STRICT))
    assert (held.consecutive, held.drift) == (STRICT.consecutive, STRICT.drift)
    assert (held.alias, held.dry_run) == ("live", True)
    assert changes(held, STRICT) == []


def test_a_threshold_that_the_artifact_does_not_know_is_the_policys():
    held = with_thresholds(STRICT, b'{"drift": {"psi": {"warn": 0.3, "block": 0.4}}}')
    assert held.drift.psi == Levels(warn=0.3, block=0.4)
    assert (held.consecutive, held.drift.ks) == (1, STRICT.drift.ks)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"alias": "x"}', b'{"drift": {"psi": 1}}'])
def test_thresholds_that_cannot_be_read_are_refused_with_the_way_out(data):
    with pytest.raises(PolicyError, match="monitor policy adopt"):
        with_thresholds(ModelPolicy(), data)


def test_an_engine_judges_a_version_by_its_own_thresholds():
    own = encode_thresholds(STRICT)
    reports = {}
    for name, thresholds in (("own", own), ("file", None)):
        machine = engine(learn=False)
        kept = replace(
            baseline(), thresholds=thresholds, thresholds_sha256=hash_of(own) if thresholds else ""
        )
        machine.learn(SUBJECT, kept)
        frame = people(1500).assign(income=lambda f: f["income"] + 0.25)
        machine.fold(messages(frame, spread(1500, 15)))
        reports[name] = machine.take().reports[0]
    assert "psi[income]" in {breach.rule for breach in reports["own"].breaches}
    assert not reports["file"].breaches
    assert reports["own"].policy_sha256 == hash_of(own)
    assert reports["file"].policy_sha256 == POLICY.sha256


def test_adopting_is_on_record_with_what_changed_and_why():
    registry, log = Registry(encode_thresholds(STRICT)), Log()
    done = adopt(registry, log, ModelPolicy())
    assert [d.stage for d in log.decisions] == [Stage.INTENT, Stage.RECORDED]
    assert "drift.psi.block 0.02 -> 0.2" in done.reason
    assert "agreed" in done.reason
    assert done.actor == "ann"
    assert registry.stored == encode_thresholds(ModelPolicy())
    assert done.policy_sha256 == hash_of(registry.stored)


def test_adopting_is_no_rollback():
    log = Log()
    adopt(Registry(), log, STRICT)
    assert Past(log.decisions).last_rollback is None


def test_adopting_what_holds_already_is_refused():
    with pytest.raises(ActionRefused, match="already"):
        adopt(Registry(encode_thresholds(STRICT)), Log(), STRICT)


def test_adopting_without_a_reason_is_refused():
    log = Log()
    with pytest.raises(ActionRefused, match="no reason is given"):
        adopt_policy(Registry(), log, SUBJECT, STRICT, reason=" ", actor="ann")
    assert log.decisions == []


def test_an_adoption_that_failed_is_on_record_as_failed():
    log = Log()
    with pytest.raises(RegistryUnavailable):
        adopt(Registry(away=True), log, STRICT)
    assert [d.stage for d in log.decisions] == [Stage.INTENT, Stage.FAILED]
