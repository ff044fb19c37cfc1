"""``python -m monitor.kernels`` compiles them now, so that the first start need not."""

from __future__ import annotations

from monitor.kernels import compile_all

compile_all()
