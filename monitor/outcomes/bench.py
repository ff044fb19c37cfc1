"""A version's windows as the judge of labels needs them: joined rows in, profiles and outcomes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.metrics.fairness import classes_of
from monitor.metrics.labelled import labelled_rows, outcome_of
from monitor.policy.labelled import LabelledWindow
from monitor.profiles.frames import profile_frame
from monitor.profiles.layout import Layout
from monitor.reports import Window

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from monitor.baselines import Baseline
    from monitor.policy.model import ModelPolicy
    from monitor.predictionlog.joined import LabelledLog
    from monitor.profiles.profile import Profile

#: Windows' profiles remembered.
_PROFILES = 64


@dataclass(frozen=True, slots=True)
class Bench:
    """Reads windows of one version as the judge needs them."""

    log: LabelledLog
    baseline: Baseline
    policy: ModelPolicy
    policy_sha256: str
    # Of the windows read last, since each streak that a window stands in asks for the same ones again.
    _profiles: dict[Window, Profile] = field(default_factory=dict)

    def window(self, window: Window) -> LabelledWindow:
        """Return a window as the log and the labels have it now."""
        layout = self.baseline.layout
        frame = self.log.window(self.baseline.subject, window, layout.groups)
        found = labelled_window(frame, window, self.baseline)
        self._profiles[window] = found.profile
        if len(self._profiles) > _PROFILES:
            del self._profiles[next(iter(self._profiles))]
        return found

    def merged(self, windows: Sequence[Window]) -> Profile | None:
        """Return the profile of some windows together; None of none."""
        merged: Profile | None = None
        for window in windows:
            profile = self._profiles.get(window) or self.window(window).profile
            merged = profile if merged is None else merged.merge(profile)
        return merged


def labelled_window(frame: pd.DataFrame, window: Window, baseline: Baseline) -> LabelledWindow:
    """Return a window of joined rows as it is judged: without the features, which labels say nothing of."""
    layout = baseline.layout
    plain = Layout(
        features=(), prediction=layout.prediction, score=layout.score, groups=layout.groups
    )
    answer, truth = ("prediction", "label") if layout.is_classifier else ("number", "truth")
    score = None if layout.score is None else "score"
    profile = profile_frame(frame, plain, prediction=answer, score=score, label=truth)
    outcome = outcome_of(
        frame,
        prediction=answer,
        label=truth,
        score=score,
        classes=classes_of(baseline.profile) if layout.is_classifier else (),
    )
    known = frame[labelled_rows(frame, answer, truth)]
    sets: list[tuple[str, ...]] = [(name,) for name in layout.groups]
    if len(layout.groups) > 1:
        sets.append(layout.groups)
    groups = {names: _joined(known, names) for names in sets}
    return LabelledWindow(window, profile, outcome, groups)


def _joined(frame: pd.DataFrame, names: Sequence[str]) -> NDArray[np.str_]:
    first, *others = (frame[name] for name in names)
    for labels in others:
        first = first + " & " + labels
    return first.to_numpy(str)
