"""A store as the demo leaves it, without its servers: census data, a feed that breaks, a rollback; other models beside it.

``python -m tests.web_story FILE`` writes one to look at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from monitor.actions.actor import Actor
from monitor.actions.audit import AuditRecord
from monitor.demo.census import BROKEN, FEATURES, GROUPS, LABEL, SEED, _with_race, break_feed
from monitor.desk.baseline import make_baseline
from monitor.desk.replay import Replay, replay_frame
from monitor.desk.tables import Roles
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy
from monitor.reports import Decision, Report
from monitor.stores.sqlite import SqliteStore
from tests.acting import World
from tests.conftest import REPOSITORY

POLICY_TEXT = """\
version: 1
defaults:
  windows: {length: 5m, grace: 10s, min_events: 300}
  consecutive: 3
  fairness: {favourable: "1"}
"""
POLICY = parse_policy(POLICY_TEXT, where="the story")

LENGTH, PEOPLE = 300, 1_200
CLEAN, UNFAIR, AFTER = 9, 3, 4

HOSTILE = "<script>window.broken=1</script>"

_CREATED = "2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Told:
    """What was written, and the times between which it happened."""

    reports: list[Report]
    decisions: list[Decision]


def write_story(path: Path, now: float, *, with_census: bool = True) -> Told:
    """Fill a store and, beside it, the audit record and the policy; the last window ends about now."""
    path.with_name("policy.yaml").write_text(POLICY_TEXT)
    end = now // LENGTH * LENGTH
    told = Told([], [])
    census = [_census(end)] if with_census else []
    for reports, decisions in (*census, *_others(end)):
        told.reports.extend(reports)
        told.decisions.extend(decisions)
    store = SqliteStore(path)
    store.write(told.reports, told.decisions)
    store.close()
    record = AuditRecord(path.with_name("audit.jsonl"))
    for decision in sorted(told.decisions, key=lambda one: one.at):
        record.add(decision)
    return told


def _census(end: float) -> tuple[Sequence[Report], Sequence[Decision]]:
    """Version 2 answers until it is rolled back; then version 1, which never saw the column that breaks."""
    data = REPOSITORY / "examples" / "census"
    reference = _with_race(pd.read_parquet(data / "reference.parquet")).sample(
        15_000, random_state=SEED
    )
    people = _with_race(pd.read_parquet(data / "production.parquet")).sample(
        (CLEAN + UNFAIR + AFTER) * PEOPLE, random_state=SEED
    )
    people = people.assign(at=end - LENGTH * (CLEAN + UNFAIR + AFTER) + _clock(len(people)))
    clean, broken = people.iloc[: CLEAN * PEOPLE], break_feed(people.iloc[CLEAN * PEOPLE :])
    unfair, after = broken.iloc[: UNFAIR * PEOPLE], broken.iloc[UNFAIR * PEOPLE :]
    replays = [
        _answered(reference, pd.concat([clean, unfair]), FEATURES, "2"),
        _answered(reference, after, [name for name in FEATURES if name != BROKEN], "1"),
    ]
    return [r for replay in replays for r in replay.reports], acted_on(replays, "census", 2)


def _answered(
    reference: pd.DataFrame, people: pd.DataFrame, features: Sequence[str], version: str
) -> Replay:
    names = list(features)
    model = HistGradientBoostingClassifier(max_iter=80, random_state=0)
    with threadpool_limits(1):
        model.fit(reference[names][:9_000], reference[LABEL][:9_000])
        scores = [model.predict_proba(part[names])[:, 1] for part in (reference, people)]
    kept = [*names, *GROUPS]
    before, now = (
        part[[*kept, *more]].assign(score=score, prediction=(score > 0.5).astype(int))
        for part, score, more in zip((reference, people), scores, ((), ("at",)), strict=True)
    )
    return replayed("census", version, before, now, GROUPS)


def _others(end: float) -> Iterator[tuple[Sequence[Report], Sequence[Decision]]]:
    """Yield a model that does well, one with nowhere to go back to, one that fell silent, and one with evil names."""
    yield _made_up("credit", end, 10).reports, []
    loans = _made_up("loans", end, 6, broken=4)
    yield loans.reports, acted_on([loans], "loans", 1)
    yield _made_up("pricing", end - 9_000, 6).reports, []
    yield _made_up("claims", end, 4, broken=1, feature=HOSTILE).reports, []


def _made_up(
    model: str, end: float, windows: int, *, broken: int = 0, feature: str = "income"
) -> Replay:
    parts = [_people(PEOPLE, 10 + n, feature, broken=n >= windows - broken) for n in range(windows)]
    frame = pd.concat(parts, ignore_index=True)
    frame["at"] = end - windows * LENGTH + _clock(len(frame))
    before = _people(6_000, 1, feature, broken=False)
    return replayed(model, "1", before, frame, ("sex", "origin"))


def _people(rows: int, seed: int, feature: str, *, broken: bool) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    origin = draw.choice(["here", "elsewhere"], rows, p=[0.65, 0.35])
    value = draw.normal(3, 1, rows)
    score = 1 / (1 + np.exp(-(value - 3)))
    if broken:
        value = np.where(origin == "elsewhere", 0.0, value)
        score = np.where(origin == "elsewhere", score * 0.35, score)
    return pd.DataFrame(
        {
            feature: value,
            "contract": draw.choice(["open", "fixed", HOSTILE], rows, p=[0.6, 0.3, 0.1]),
            "years": draw.gamma(2, 3, rows),
            "sex": draw.choice(["man", "woman"], rows),
            "origin": origin,
            "score": score,
            "prediction": (score > 0.5).astype(int),
        }
    )


def _clock(rows: int) -> np.ndarray:
    """Seconds of each row, so that a window holds `PEOPLE`."""
    return np.arange(rows) * (LENGTH / PEOPLE)


def replayed(
    model: str, version: str, before: pd.DataFrame, now: pd.DataFrame, groups: Sequence[str]
) -> Replay:
    """The very engine over the rows."""
    roles = Roles(prediction="prediction", score="score", groups=tuple(groups))
    subject = ModelVersion(model, version)
    baseline = make_baseline(before, roles, subject, POLICY.of(model), created_at=_CREATED)
    return replay_frame(
        now, roles, time_column="at", subject=subject, baseline=baseline, policy=POLICY
    )


def acted_on(replays: Sequence[Replay], model: str, versions: int) -> list[Decision]:
    """What the monitor decides on the verdicts, each when its window closes."""
    world = World(versions)
    actor = Actor(world.means)
    verdicts = sorted((v for replay in replays for v in replay.verdicts), key=lambda v: v.window)
    assert all(a.window <= b.window for a, b in pairwise(verdicts))
    for verdict in verdicts:
        world.time = verdict.window.end + 12
        assert actor.consider(verdict)
    return world.log.decisions


if __name__ == "__main__":
    began = time.time()
    story = write_story(Path(sys.argv[1]), began)
    print(  # noqa: T201
        f"{len(story.reports)} reports, {len(story.decisions)} decisions, {time.time() - began:.1f} s"
    )
