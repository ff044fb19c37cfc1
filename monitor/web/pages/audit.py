"""What the audit record holds of a decision."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from pathlib import Path

from monitor.actions.audit import verify
from monitor.errors import AuditChainBroken, StoreError
from monitor.web.pages.decision import Audit, OnRecord


def audit_of(path: Path, decision_ids: AbstractSet[str]) -> Audit:
    """Return the lines about some decisions, with the whole chain proved anew."""
    if not path.is_file():
        return Audit(
            fault="The audit record is not on this machine: run monitor audit verify where the monitor acts."
        )
    lines = []
    try:
        chain = verify(path)
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number > chain.links:
                    break
                found = json.loads(line)
                body = found["body"]
                if isinstance(body, dict) and body.get("decision_id") in decision_ids:
                    stage = str(body.get("stage", ""))
                    lines.append(OnRecord(number, stage, found["at"], found["sha256"]))
    except AuditChainBroken as error:
        return Audit(fault=f"The chain is broken: {error.what}.")
    except (StoreError, OSError):
        return Audit(fault="The audit record cannot be read by this server.")
    return Audit(tuple(lines), chain.links)
