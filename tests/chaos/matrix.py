"""All faults, by name: one family a file."""

from __future__ import annotations

from tests.chaos import archives, brokers, inputs, rollbacks, stores, workers
from tests.chaos.outcome import Fault

MATRIX: dict[str, Fault] = {
    **workers.FAULTS,
    **brokers.FAULTS,
    **stores.FAULTS,
    **inputs.FAULTS,
    **rollbacks.FAULTS,
    **archives.FAULTS,
}
