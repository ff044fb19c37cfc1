"""A rollback on a real MLflow server over HTTP."""

from __future__ import annotations

import mlflow
import pytest

from monitor.actions.actor import Actor
from monitor.actions.by_hand import rollback_by_hand
from monitor.baselines import HASH_TAG
from monitor.errors import ActionRefused
from monitor.events import ModelVersion, new_event_id
from monitor.registry.mlflow_registry import Registry
from monitor.registry.versions import BAD, RESTORED_FROM_TAG, STATE_TAG
from monitor.reports import Stage
from tests.acting import World, verdict

# MLflow's own, on import.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")


@pytest.fixture
def model(mlflow_uri):
    """Three versions, each with a baseline; champion is the third."""
    name = f"credit-{new_event_id()}"
    client = mlflow.MlflowClient(mlflow_uri)
    client.create_registered_model(name)
    run = client.create_run("0").info
    for number in "123":
        client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
        client.set_model_version_tag(name, number, HASH_TAG, "0" * 64)
    client.set_registered_model_alias(name, "champion", "3")
    return name


@pytest.fixture
def world(mlflow_uri):
    world = World()
    world.registry = Registry(mlflow_uri)
    return world


def tags(world, model, version):
    return next(dict(v.tags) for v in world.registry.versions(model) if v.version == version)


def test_alias_and_tags_really_change_and_the_next_process_has_nothing_to_do(world, model):
    Actor(world.means).consider(verdict(model=model))
    Actor(world.means).consider(verdict(model=model, last=4, length=4))
    assert world.registry.alias(model, "champion") == "2"
    assert tags(world, model, "3")[STATE_TAG] == BAD
    assert tags(world, model, "2")[RESTORED_FROM_TAG] == "3"
    assert world.log.stages == [Stage.INTENT, Stage.DONE]


def test_a_version_that_was_left_is_not_gone_back_to_by_hand_until_its_tag_is_deleted(
    world, model, mlflow_uri
):
    Actor(world.means).consider(verdict(model=model))
    by_hand = {"model": model, "to": "3", "reason": "repaired", "actor": "ada"}
    with pytest.raises(ActionRefused, match=r"monitor\.state"):
        rollback_by_hand(world.registry, world.log, **by_hand)
    mlflow.MlflowClient(mlflow_uri).delete_model_version_tag(model, "3", STATE_TAG)
    assert rollback_by_hand(world.registry, world.log, **by_hand).stage is Stage.DONE
    assert world.registry.alias(model, "champion") == "3"


def test_a_model_that_nobody_registered_is_recorded_as_failed(world):
    Actor(world.means).consider(verdict(model="no-such-model"))
    assert world.log.stages == [Stage.FAILED]
    assert "no-such-model" in world.log.decisions[0].reason


def test_a_deleted_target_is_not_gone_to(world, model, mlflow_uri):
    client = mlflow.MlflowClient(mlflow_uri)

    def delete(_):
        world.log.after = lambda _: None
        client.delete_model_version(model, "2")

    world.log.after = delete
    Actor(world.means).consider(verdict(model=model))
    Actor(world.means).consider(verdict(model=model, last=4, length=4))
    assert world.registry.alias(model, "champion") == "1"
    version = ModelVersion(model, "3")
    assert [d.from_version for d in world.log.decisions] == [version.version] * 4
