"""The worker's process: starts the app, and ends with an exit status that says why."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from typing import Any, NoReturn

import structlog

from monitor.engine.records import BaselineSource
from monitor.fetch.quiet import quieten
from monitor.health import Health, Pulse
from monitor.stream.app import StreamApp, build_app
from monitor.stream.options import KafkaAccess, MakeEngine, StreamOptions
from monitor.stream.topics import ensure_topics

log = structlog.get_logger(__name__)

#: Exit status after an unexpected error (EX_SOFTWARE): worth a restart.
FAILED = 70

#: Seconds that an orderly stop may take before the process ends anyway.
STOP_SECONDS = 20.0

#: Longest that the thread which fetches waits for the one that counts, each time it reads from a socket. Python's own
#: 5 ms, twenty times in an answer of the broker, would be longer than counting what is in it.
SWITCH_SECONDS = 0.0005

#: When Python looks for cycles. A record and its headers are nine containers: by default every eighty records have it
#: look, and every hundred thousand have it look through all there is, which takes twice as long as parsing them. Judging a
#: window leaves cycles that are large; each partition looks for those itself.
COLLECT_AFTER = (500_000, 10, 10)


def run_worker(
    kafka: KafkaAccess,
    options: StreamOptions,
    make_engine: MakeEngine,
    source: BaselineSource,
    health: Health | None = None,
) -> int:
    """Work until SIGTERM or SIGINT, then return 0.

    When something goes wrong that nobody expected, the process ends with status `FAILED`, without coming back here.

    Raises
    ------
    KafkaError
        If the broker does not answer at the start, or the topics do not fit each other.
    """
    _favour_throughput()
    return asyncio.run(_work(kafka, options, make_engine, source, health or Health()))


def end_process(status: int) -> NoReturn:
    """End this process at once, logs written: no thread that hangs keeps a broken worker alive."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _favour_throughput() -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)


async def _work(
    kafka: KafkaAccess,
    options: StreamOptions,
    make_engine: MakeEngine,
    source: BaselineSource,
    health: Health,
) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    quieten()
    count = await ensure_topics(kafka, options.topics, partitions=options.partitions)
    app = build_app(kafka, options, make_engine, source, count=count, health=health)
    app.on_failure = ended.set
    loop.set_exception_handler(_log_stray)
    async with asyncio.TaskGroup() as group:
        starting = group.create_task(_start(app, ended))
        beating = group.create_task(_beat(app, health.pulse("stream")))
        await ended.wait()
        await _stop(app)
        starting.cancel()
        beating.cancel()
    if app.failure is not None:
        end_process(FAILED)
    return 0


async def _start(app: StreamApp, ended: asyncio.Event) -> None:
    try:
        await app.start()
        log.info("worker started", group=app.conf.id)
        await app.wait_until_stopped()
    except Exception as error:  # noqa: BLE001 - kept: it decides the exit status
        app.fail(error)
    # A crash of any of Faust's services stops the app; its own tasks swallow the reason.
    if app.crash_reason is not None:
        app.fail(app.crash_reason)
    ended.set()


async def _beat(app: StreamApp, pulse: Pulse) -> None:
    """Say once a second that the loop goes round, and what the worker waits for."""
    while True:
        pulse.wait(app.owners.waits_for)
        await asyncio.sleep(1.0)


async def _stop(app: StreamApp) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    except Exception as error:  # noqa: BLE001 - the process ends either way
        app.fail(error)
    if app.failure is not None:
        log.error("worker failed", error=repr(app.failure))


def _log_stray(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 - asyncio's signature
    log.warning(
        "error outside any task's care",
        message=context["message"],
        error=repr(context.get("exception")),
    )
