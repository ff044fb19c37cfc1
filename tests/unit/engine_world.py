"""A small world for engine tests: one model, its baseline, and records in order."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import pandas as pd

from monitor.baselines import Baseline
from monitor.desk.baseline import make_baseline
from monitor.desk.tables import Roles
from monitor.engine.partition import PartitionEngine, Place
from monitor.events import ModelVersion
from monitor.policy.load import parse_policy

SUBJECT = ModelVersion("credit", "7")
ROLES = Roles(prediction="prediction", score="score", groups=("sex",))
START = 1_700_000_100.0

POLICY = parse_policy(
    """
defaults:
  windows: {length: 10s, grace: 2s, allowed_lateness: 60s, min_events: 20, max_length: 40s}
""",
    where="test",
)


@dataclass(frozen=True)
class Message:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def people(n: int, seed: int = 0, *, unfair: bool = False) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sex = draw.choice(["man", "woman"], n)
    income = draw.normal(0, 1, n)
    score = 1 / (1 + np.exp(-income - draw.normal(0, 0.5, n)))
    if unfair:
        score = np.clip(score + np.where(sex == "woman", -0.1, 0.1), 0, 1)
    return pd.DataFrame(
        {
            "income": income,
            "town": draw.choice(["Ulm", "Bonn", "Kiel"], n),
            "score": score,
            "prediction": (score > 0.5).astype(int),
            "sex": sex,
        }
    )


def baseline() -> Baseline:
    return make_baseline(people(5000, 99), ROLES, SUBJECT, POLICY.of("credit"), created_at="")


def value(row: dict[str, object], time: float, event_id: str = "e", **more: object) -> bytes:
    return msgspec.json.encode(
        {
            "event_id": event_id,
            "prediction_id": event_id,
            "event_time": pd.Timestamp(time, unit="s", tz="UTC").isoformat(),
            "model_name": SUBJECT.model,
            "model_version": SUBJECT.version,
            "features": {"income": row["income"], "town": row["town"]},
            "prediction": row["prediction"],
            "score": row["score"],
            "groups": {"sex": row["sex"]},
            **more,
        }
    )


def messages(
    frame: pd.DataFrame,
    times: list[float],
    *,
    first: int = 0,
    producer: str | None = "p",
    lag: float = 0.1,
) -> list[Message]:
    """One message a row; arrival is the running maximum of the event times, plus a lag."""
    made = []
    latest = 0.0
    for i, (row, time) in enumerate(zip(frame.to_dict("records"), times, strict=True)):
        latest = max(latest, time)
        number = first + i
        headers: tuple[tuple[str, bytes], ...] = (("ce_id", f"e{number}".encode()),)
        if producer is not None:
            headers = (
                *headers,
                ("producer_id", producer.encode()),
                ("sequence", str(number).encode()),
            )
        body = value(row, time, f"e{number}")
        made.append(Message(number, int((latest + lag) * 1000), SUBJECT.key, body, headers))
    return made


def engine(*, partition: int = 0, partitions: int = 1, learn: bool = True) -> PartitionEngine:
    made = PartitionEngine(
        Place("predictions", partition, lambda key: len(key) % partitions), POLICY
    )
    if learn:
        made.learn(SUBJECT, baseline())
    return made
