"""All faults, by name: one family a file, those of seconds before those of minutes."""

from __future__ import annotations

from tests.chaos import archives, brokers, inputs, rollbacks, stores, workers
from tests.chaos.outcome import Fault

MATRIX: dict[str, Fault] = {
    **rollbacks.FAULTS,
    **stores.FAULTS,
    **workers.FAULTS,
    **inputs.FAULTS,
    **brokers.FAULTS,
    **archives.FAULTS,
}
