"""Figures that anyone can take again: ``python -m benchmarks NAME [--json] [--quick]``."""

import os

# Before NumPy is imported: the figures are for one core.
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")
