"""Compiled loops over bytes and columns: Numba turns them into machine code, once per machine, and keeps that on disk."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any


@cache
def loaded(name: str) -> Any:
    """Return one of the rooms of compiled functions; None where Numba is not."""
    try:
        return import_module(f"{__name__}.{name}")
    except ImportError:
        return None


def compile_all() -> ImportError | None:
    """Compile what is not on disk yet, some seconds each, and load the rest: so that no event waits for it later.

    Returns
    -------
    ImportError or None
        Why there are none, if Numba is not installed, or does not fit: then all works without, at half the speed or a third.
    """
    try:
        for module in pkgutil.iter_modules(__path__):
            if module.name != "__main__":
                import_module(f"{__name__}.{module.name}")
    except ImportError as error:
        return error
    return None
