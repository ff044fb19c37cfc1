"""The monitor's own command, in a process that kills itself at a named moment: SIGKILL, no goodbye.

Nothing in the product knows of it: a function on the way is wrapped, here, before the command begins. The processes
are forked from a server that has imported everything, since importing would be most of a short life.
"""

from __future__ import annotations

import functools
import inspect
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from monitor.actions import log as decisions
from monitor.actions import service as _service  # noqa: F401 - imported once, for all
from monitor.cli.main import main as monitor
from monitor.engine import version
from monitor.engine.partition import PartitionEngine
from monitor.registry.mlflow_registry import Registry
from monitor.stores import sink as _sink  # noqa: F401 - the same
from monitor.stream import app as _app  # noqa: F401 - the same
from monitor.stream import partition, takeover
from monitor.work import work as _work  # noqa: F401 - the same


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill(owner: Any, name: str, nth: int, *, before: bool) -> None:
    """Have the process die at the nth call of a function: as it begins, or when it has done its work."""
    function = getattr(owner, name)
    calls = iter(range(1, sys.maxsize))

    @functools.wraps(function)
    def wrapped(*args: Any, **named: Any) -> Any:
        last = next(calls) == nth
        if last and before:
            die()
        done = function(*args, **named)
        if not last:
            return done
        if inspect.isawaitable(done):
            return _then_die(done)
        return die()

    setattr(owner, name, wrapped)


async def _then_die(done: Any) -> None:
    await done
    die()


Doom = Callable[[int], None]

#: When it happens, and the function that stands for the moment.
MOMENTS: dict[str, Doom] = {
    # Some records of a fetch are counted, others are not, and the position does not say so yet.
    "mid-fold": lambda nth: kill(PartitionEngine, "_count", nth, before=False),
    # All of a transaction is sent, its offsets too, and it is not committed.
    "in the transaction": lambda nth: kill(
        AIOKafkaProducer, "send_offsets_to_transaction", nth, before=False
    ),
    # Committed, and nobody in this process knows it.
    "after the commit": lambda nth: kill(partition, "write", nth, before=False),
    # The owner before is fenced, and the state is not read yet.
    "taking over": lambda nth: kill(takeover, "_read", nth, before=True),
    # A window is closed and measured, and no report of it was written.
    "judging": lambda nth: kill(version, "judge", nth, before=False),
    # The intent is on record, the alias has not moved.
    "between intent and alias": lambda nth: kill(Registry, "set_alias", nth, before=True),
    # The alias has moved, and no record says so.
    "between alias and outcome": lambda nth: kill(Registry, "set_alias", nth, before=False),
    # The outcome is on record, the verdict's offset is not committed.
    "after the outcome": lambda nth: kill(
        decisions.KafkaDecisionLog, "append", 2 * nth, before=False
    ),
}


class Doomed:
    """One process of `monitor`, that ends at the moment's nth time.

    Parameters
    ----------
    words
        Of the command line.
    """

    def __init__(
        self, moment: str, nth: int, words: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        server = multiprocessing.get_context("forkserver")
        server.set_forkserver_preload([__name__])
        self._process = server.Process(
            target=_live, args=(moment, nth, tuple(words), dict(environment), str(log)), daemon=True
        )
        self._process.start()

    def wait(self, seconds: float) -> None:
        """Wait until the moment has come."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code == -signal.SIGKILL, f"ended with {code}: {self.log.read_text()[-5_000:]}"


def _live(
    moment: str, nth: int, words: tuple[str, ...], environment: dict[str, str], log: str
) -> None:
    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(out, stream)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), die()), daemon=True).start()
    MOMENTS[moment](nth)
    sys.argv = ["monitor", *words]
    monitor()
