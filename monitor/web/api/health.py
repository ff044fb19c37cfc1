"""Whether the server answers, for whoever started it."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["health"])


@router.get("/healthz")
def health() -> dict[str, str]:
    """Say that the server answers; `monitor doctor` says how the rest is."""
    return {"status": "ok"}
