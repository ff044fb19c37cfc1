"""After the story: one person whom the fault has wronged, found in the prediction log."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.bootstrap import load_policy, open_prediction_log, open_registry, open_store
from monitor.demo.census import BROKEN, LABEL
from monitor.demo.stack import MODEL
from monitor.demo.traffic import PERSON
from monitor.desk.explain import Explanation, explain
from monitor.predictionlog.query import Query

if TYPE_CHECKING:
    import pandas as pd

    from monitor.demo.models import Candidate
    from monitor.predictionlog.log import PredictionLog
    from monitor.reports import Window
    from monitor.settings import Settings

#: More than a window holds.
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Wronged:
    """Somebody whom the faulty version denied, and who would not have been denied but for the fault.

    Attributes
    ----------
    in_truth
        What the broken feed should have sent.
    story
        What the log, the store and the registry know of it.
    """

    prediction_id: str
    in_truth: float
    story: Explanation


def archived_rows(settings: Settings) -> int:
    """Return how many predictions the log holds."""
    return _log(settings).rows()


def find_wronged(
    settings: Settings, window: Window, people: pd.DataFrame, candidate: Candidate
) -> Wronged | None:
    """Return the person of a window whom the fault has wronged most plainly; None if there is nobody.

    They are not white, were answered 0, are employed in truth, and the same version answers 1 when it is given what
    the feed should have sent. Of these, the one of the lowest score.

    Parameters
    ----------
    people
        Everybody, as the feed should have sent them, in the order in which they were asked about.
    candidate
        The faulty version.
    """
    log = _log(settings)
    asked = Query(
        model=MODEL,
        version="2",
        since=dt.datetime.fromtimestamp(window.start, dt.UTC),
        until=dt.datetime.fromtimestamp(window.end, dt.UTC),
        limit=_MANY,
    )
    rows = log.ask(asked, protected=True).to_pylist()
    denied = {
        row["prediction_id"]: row
        for row in rows
        if row["number"] == 0 and json.loads(row["groups"])["race"] == "not white"
    }
    if not denied:
        return None
    places = [int(name.removeprefix(PERSON)) for name in denied]
    truth = people.iloc[places]
    answers = candidate.model.predict(truth[list(candidate.features)])
    wronged = [
        (denied[name]["score"], name, float(value))
        for name, label, answer, value in zip(
            denied, truth[LABEL], answers, truth[BROKEN], strict=True
        )
        if label == 1 and answer == 1
    ]
    if not wronged:
        return None
    _, name, in_truth = min(wronged)
    found = explain(
        name,
        log,
        open_store(settings),
        open_registry(settings),
        load_policy(settings),
        model=MODEL,
        protected=True,
    )
    return Wronged(name, in_truth, found)


def _log(settings: Settings) -> PredictionLog:
    return open_prediction_log(settings, getpass.getuser())
