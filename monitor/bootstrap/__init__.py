"""The one place that joins the rooms: from settings to parts that work together."""

from __future__ import annotations

from monitor.bootstrap.acting import (
    open_decision_log,
    open_pager,
    run_actor,
    run_sink,
)
from monitor.bootstrap.archiving import (
    archived_positions,
    open_label_judge,
    open_labelled_log,
    open_prediction_log,
    read_logged,
    run_archiver,
)
from monitor.bootstrap.publishing import (
    open_publisher,
)
from monitor.bootstrap.shared import (
    load_policy,
    open_registry,
    open_store,
)
from monitor.bootstrap.streaming import (
    make_engine,
    make_topics,
    run_stream,
    shown_health,
)

__all__ = [
    "archived_positions",
    "load_policy",
    "make_engine",
    "make_topics",
    "open_decision_log",
    "open_label_judge",
    "open_labelled_log",
    "open_pager",
    "open_prediction_log",
    "open_publisher",
    "open_registry",
    "open_store",
    "read_logged",
    "run_actor",
    "run_archiver",
    "run_sink",
    "run_stream",
    "shown_health",
]
