"""What was measured and what was decided: the values that leave the monitor, as JSON on Kafka and in the stores."""

from __future__ import annotations

from monitor.reports.decision import (
    Decision,
    Stage,
    Verdict,
)
from monitor.reports.distributions import (
    Distribution,
    DistributionCell,
)
from monitor.reports.measures import (
    ColumnDrift,
    Estimate,
    FairnessMeasure,
    Finding,
    GroupRate,
    PerformanceMeasure,
)
from monitor.reports.report import (
    Breach,
    Report,
)
from monitor.reports.wire import (
    DeadLetter,
    as_dict,
    encode,
)
from monitor.reports.words import (
    Action,
    Basis,
    Family,
    Severity,
    Status,
    Window,
)

__all__ = [
    "Action",
    "Basis",
    "Breach",
    "ColumnDrift",
    "DeadLetter",
    "Decision",
    "Distribution",
    "DistributionCell",
    "Estimate",
    "FairnessMeasure",
    "Family",
    "Finding",
    "GroupRate",
    "PerformanceMeasure",
    "Report",
    "Severity",
    "Stage",
    "Status",
    "Verdict",
    "Window",
    "as_dict",
    "encode",
]
