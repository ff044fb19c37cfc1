"""`POST /v1/log/expire`: what `monitor log expire` does, for operators without a shell."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from monitor.web.access import Operator
from monitor.web.api.predictions import REFUSALS
from monitor.web.rooms import Opened

router = APIRouter(prefix="/v1/log", tags=["log"])


class Order(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dry_run: bool = False


class Expired(BaseModel):
    """What is due by the policy, or was until now: days, rows, keys, and days held, by model."""

    dry_run: bool
    models: list[dict[str, Any]]


@router.post("/expire", response_model=Expired, responses=REFUSALS)
def expire(order: Order, caller: Operator, rooms: Opened) -> Response:
    """Delete what the policy's retention says, and the files at once; legal holds stand. It goes on the record."""
    log, policy = rooms.log(caller.name), rooms.policy()
    found = log.due(policy) if order.dry_run else log.expire(policy)
    said = msgspec.json.encode({"dry_run": order.dry_run, "models": found})
    return Response(said, media_type="application/json")
