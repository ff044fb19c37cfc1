"""What changed, as server-sent events: a page reads itself anew where it says that something did."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from monitor.errors import StoreError
from monitor.web.pages.recent import FRESH, Recent

#: Seconds after which a stream ends; the browser comes again by itself, with its sign-in looked at anew.
_LASTS = 300.0

#: Seconds between two signs of life, which keep proxies from hanging up.
_BEAT = 15.0


async def changes(
    recent: Recent,
    is_gone: Callable[[], Awaitable[bool]],
    *,
    every: float = FRESH,
    lasts: float = _LASTS,
) -> AsyncIterator[str]:
    """Give an event whenever something of a model changed: ``{"models": [...]}``; at first with none.

    While the store does not answer, ``{"fault": ...}``.
    """
    began = beat = time.monotonic()
    known: dict[str, str] | None = None
    was_down = False
    yield "retry: 2000\n\n"
    while time.monotonic() - began < lasts and not await is_gone():
        try:
            seen = await asyncio.to_thread(recent.look)
        except StoreError as error:
            if not was_down:
                yield _event({"fault": error.what})
            was_down = True
        else:
            changed = [m for m, mark in seen.marks.items() if known and known.get(m) != mark]
            if known is None or changed or was_down:
                yield _event({"models": changed})
                beat = time.monotonic()
            known, was_down = dict(seen.marks), False
        if time.monotonic() - beat > _BEAT:
            yield ": still here\n\n"
            beat = time.monotonic()
        await asyncio.sleep(every)


def _event(said: dict[str, object]) -> str:
    return f"event: changed\ndata: {json.dumps(said)}\n\n"
