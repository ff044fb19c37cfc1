"""What a policy says, and its defaults."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from monitor.policy.durations import SCHEMA as DURATION_SCHEMA
from monitor.policy.durations import seconds
from monitor.policy.retention import RetentionRules
from monitor.profiles.vocabulary import label_of
from monitor.reports import Action

Share = Annotated[float, Field(ge=0, le=1)]
Level = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Duration = Annotated[
    float, BeforeValidator(seconds), Field(gt=0, json_schema_extra=DURATION_SCHEMA)
]
Wait = Annotated[float, BeforeValidator(seconds), Field(ge=0, json_schema_extra=DURATION_SCHEMA)]


def _label(value: Any) -> Any:
    """Return a class as profiles write it: YAML reads `favourable: 1` as a number."""
    return label_of(value) if isinstance(value, str | bool | int | float) else value


Label = Annotated[
    str,
    BeforeValidator(_label),
    Field(json_schema_extra={"type": ["string", "number", "boolean"]}),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Levels(_Frozen):
    """From which value on a measure warns, and from which it blocks.

    Attributes
    ----------
    warn
        Shown and counted; nobody is told.
    block
        Counts towards a streak.
    """

    warn: Level
    block: Level

    @model_validator(mode="after")
    def _ordered(self) -> Levels:
        if self.warn > self.block:
            msg = f"warn ({self.warn}) must not exceed block ({self.block})"
            raise ValueError(msg)
        return self


class WindowRules(_Frozen):
    """How events are cut into windows, in seconds of event time.

    Attributes
    ----------
    length
        Of one window; windows start at multiples of it.
    grace
        How long after its end a window waits for late events before it closes.
    allowed_lateness
        How long after closing late events still revise the report; of several publishers of a version, also how long Kafka may be away.
    min_events
        A window with fewer merges with the next.
    max_length
        To which length windows may merge; then they close as insufficient.
    """

    length: Duration = 300
    grace: Wait = 30
    allowed_lateness: Wait = 3600
    min_events: Annotated[int, Field(ge=1)] = 200
    max_length: Duration = 3600

    @model_validator(mode="after")
    def _ordered(self) -> WindowRules:
        if self.max_length < self.length:
            msg = f"max_length ({self.max_length}) must not be below length ({self.length})"
            raise ValueError(msg)
        return self


class DriftRules(_Frozen):
    """Levels for features and for the prediction.

    Attributes
    ----------
    psi
        Of a feature, after what chance explains, nats.
    ks
        Of a numeric feature, in [0, 1].
    mmd
        Of a feature that is a vector: mean discrepancy, after what chance explains, in [0, sqrt(2)].
    prediction_psi
        Of the answers and of the scores, nats.
    prediction_severe
        From here on one window is enough.
    """

    psi: Levels = Levels(warn=0.1, block=0.2)
    ks: Levels = Levels(warn=0.2, block=0.2)
    mmd: Levels = Levels(warn=0.1, block=0.2)
    prediction_psi: Levels = Levels(warn=0.05, block=0.1)
    prediction_severe: Level = 0.3


class FairnessRules(_Frozen):
    """Levels for gaps between groups.

    Attributes
    ----------
    demographic_parity_difference
        Difference of selection rates, in excess of the baseline's for the same pair of groups.
    disparate_impact
        The ratio of selection rates below which a window breaches (the four-fifths rule).
    difference
        For equal opportunity, equalized odds, predictive parity and the other differences that need labels.
    favourable
        The prediction that people want; None takes the baseline's positive class.
    minimum_group_size
        Groups with fewer people in a window are shown, and never judged alone.
    intersections
        Whether combinations of all protected attributes are judged too.
    """

    demographic_parity_difference: Levels = Levels(warn=0.05, block=0.15)
    disparate_impact: Share = 0.8
    difference: Levels = Levels(warn=0.05, block=0.15)
    favourable: Label | None = None
    minimum_group_size: Annotated[int, Field(ge=2)] = 30
    intersections: bool = True


class QualityRules(_Frozen):
    """From which surge of a share a finding is reported; findings notify, they never roll back.

    Attributes
    ----------
    missing_surge, zero_surge
        Growth of the share of missing values, or of zeros, in a feature, among all or among one group.
    unseen
        Share of values that the baseline never had.
    out_of_range
        Share of numbers outside the baseline's range.
    type_change
        Share of events set aside because a feature is of another type.
    duplicates
        Share of events that came again; each is counted once.
    """

    missing_surge: Levels = Levels(warn=0.02, block=0.1)
    zero_surge: Levels = Levels(warn=0.1, block=0.3)
    unseen: Levels = Levels(warn=0.01, block=0.05)
    out_of_range: Levels = Levels(warn=0.01, block=0.05)
    type_change: Levels = Levels(warn=0.01, block=0.1)
    duplicates: Levels = Levels(warn=0.05, block=0.5)


class PerformanceRules(_Frozen):
    """How much worse than in the reference data labelled answers may be.

    Attributes
    ----------
    min_coverage
        Share of a window's predictions that must have a label before it is judged: the first labels to come are
        seldom like the rest.
    min_labels
        And how many of them.
    measures
        Those that are judged; the others are shown. Precision and F1 move with the people, whatever the model does.
    drop
        Of accuracy, AUC, precision, recall and F1, and rise of the calibration error, in points; growth of a
        regression's bias, in its reference RMSE.
    growth
        Of log loss, Brier score, MAE and RMSE: share of the reference's.
    """

    min_coverage: Share = 0.5
    min_labels: Annotated[int, Field(ge=1)] = 200
    measures: tuple[str, ...] = ("accuracy", "auc", "brier", "calibration_error", "mae", "rmse")
    drop: Levels = Levels(warn=0.03, block=0.08)
    growth: Levels = Levels(warn=0.1, block=0.25)


class TrendRules(_Frozen):
    """How far a version may creep from its own first clean windows before people are told; it never rolls back.

    Attributes
    ----------
    reference
        How many clean windows are its own normal.
    mean
        Of the score, or of the answer where there is none, in the baseline's standard deviations; either way.
    feature_psi, prediction_psi
        Growth of the largest index among the columns, nats.
    demographic_parity_difference
        Growth of a gap, for each protected attribute.
    missing
        Growth of the largest share of missing values among the features.
    """

    reference: Annotated[int, Field(ge=10, le=200)] = 30
    mean: Positive = 0.15
    feature_psi: Positive = 0.08
    prediction_psi: Positive = 0.03
    demographic_parity_difference: Positive = 0.03
    missing: Positive = 0.01


class FalseDiscovery(_Frozen):
    """How often chance may pass for a fault where nothing has changed.

    Attributes
    ----------
    warn, block
        Rate of false discoveries in one window: once among its columns, and (warn) once among its fairness measures.
    rollback
        Error of the limit that a streak's merged windows must prove. It is asked again at every window: at 0.05 a
        model with ten small groups is rolled back for nothing every 500 windows.
    """

    warn: Share = 0.005
    block: Share = 0.001
    rollback: Share = 0.0001


class ModelPolicy(_Frozen):
    """What holds for one model.

    Attributes
    ----------
    alias
        The registry alias that serving follows and that a rollback moves.
    action
        The strongest action allowed.
    consecutive
        Breaching windows in a row before acting.
    cooldown
        Seconds after a rollback within which no other is made.
    dry_run
        Everything is decided and told, nothing is moved.
    risk
        Class under the EU AI Act; ``high`` sets a floor of six months for the prediction log.
    target_lacks
        Features that the version to return to does not use: their drift then does not hold back a rollback.
    protected_features
        Protected attributes that the model may see, each with the reason.
    false_discovery
        Within one window, split over the families; it does not protect over the day.
    """

    alias: str = "champion"
    action: Literal[Action.RECORD, Action.NOTIFY, Action.ROLLBACK] = Action.ROLLBACK
    consecutive: Annotated[int, Field(ge=1, le=100)] = 3
    cooldown: Wait = 3600
    dry_run: bool = False
    risk: Literal["minimal", "limited", "high"] = "high"
    windows: WindowRules = WindowRules()
    drift: DriftRules = DriftRules()
    fairness: FairnessRules = FairnessRules()
    quality: QualityRules = QualityRules()
    performance: PerformanceRules = PerformanceRules()
    trend: TrendRules = TrendRules()
    target_lacks: tuple[str, ...] = ()
    protected_features: dict[str, str] = {}
    false_discovery: FalseDiscovery = FalseDiscovery()
    retention: RetentionRules = RetentionRules()

    @model_validator(mode="after")
    def _kept_long_enough(self) -> ModelPolicy:
        self.retention.check_floor(self.risk)
        return self


class Policy(_Frozen):
    """A deployment's policy: defaults, and what differs for a model.

    Attributes
    ----------
    defaults
        For every model that is not named.
    models
        By registered model name; each is whole in itself (the file's loader fills in the defaults).

    Examples
    --------
    >>> Policy().of("credit").consecutive
    3
    """

    version: Literal[1] = 1
    defaults: ModelPolicy = ModelPolicy()
    models: dict[str, ModelPolicy] = {}

    def of(self, model: str) -> ModelPolicy:
        """Return what holds for a model."""
        return self.models.get(model, self.defaults)

    @property
    def sha256(self) -> str:
        """Hash of what the policy says, whatever its file's layout."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
