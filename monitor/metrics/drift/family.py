"""The measures of drift. A new one is a file, and a line here."""

from __future__ import annotations

from monitor.metrics.drift.chi_squared import CHI_SQUARED
from monitor.metrics.drift.differences import L_INFINITY, TOTAL_VARIATION
from monitor.metrics.drift.divergences import HELLINGER, JENSEN_SHANNON
from monitor.metrics.drift.ks import KS
from monitor.metrics.drift.mmd import MMD
from monitor.metrics.drift.psi import PSI, PSI_PLAIN
from monitor.metrics.drift.shares import OUT_OF_RANGE, UNSEEN
from monitor.metrics.drift.wasserstein import WASSERSTEIN
from monitor.metrics.protocol import Measure

#: Each under the name of its field in `ColumnDrift`.
METRICS: dict[str, Measure] = {
    "psi": PSI,
    "psi_plain": PSI_PLAIN,
    "ks": KS,
    "js": JENSEN_SHANNON,
    "wasserstein": WASSERSTEIN,
    "chi2": CHI_SQUARED,
    "hellinger": HELLINGER,
    "total_variation": TOTAL_VARIATION,
    "l_infinity": L_INFINITY,
    "mmd": MMD,
    "unseen": UNSEEN,
    "out_of_range": OUT_OF_RANGE,
}
