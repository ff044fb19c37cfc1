"""The sums behind the matrix of faults: nothing that must be counted there may come too late, whoever is back first."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.engine.version import window_lengths
from monitor.policy.load import parse_policy
from monitor.windows.spans import Spans
from tests.traffic import FOR_EVER, HOUR, PAUSE, STEP
from tests.world import POLICY

#: Seconds that Kafka is away in any fault, and that clients take to find it again; the traffic's clock goes faster.
LONGEST_OUTAGE = 90.0
FASTER = STEP / PAUSE


@pytest.mark.parametrize("outage", [0.0, LONGEST_OUTAGE * FASTER])
@pytest.mark.parametrize(("behind", "counts"), [(HOUR, True), (FOR_EVER, False)])
def test_one_publisher_that_is_back_first_makes_nothing_of_the_other_late(outage, behind, counts):
    lengths = window_lengths(parse_policy(POLICY, where="tests").of("credit"))
    spans = Spans(lengths)
    began = 1_000_000 * lengths.length
    for time in (began, began + outage):
        list(spans.assign(np.array([time])))
        spans.freeze()
    (step,) = filter(None, spans.assign(np.array([began - behind])))
    assert (step.span is not None) is counts
