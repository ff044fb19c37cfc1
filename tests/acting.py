"""A registry, a log and an outbox in memory, that may fail at any call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monitor.actions.means import Means
from monitor.actions.notice import Notice
from monitor.errors import RegistryUnavailable, VersionNotFound
from monitor.events import ModelVersion
from monitor.policy.model import ModelPolicy, Policy
from monitor.registry.versions import RegisteredVersion
from monitor.reports import Action, Decision, Family, Severity, Stage, Verdict, Window

MODEL = "credit"


class Crash(BaseException):
    """The process died."""


class FakeRegistry:
    """MLflow in memory. Before each call it may be away, or a person or a crash may come in between."""

    def __init__(self, versions: int = 3) -> None:
        self.tags = {str(n): {} for n in range(1, versions + 1)}
        self.baselines = set(self.tags)
        self.aliases = {"champion": str(versions)}
        self.moves: list[tuple[str, str, str | None]] = []
        self.away = False
        self.before: Callable[[str], None] = lambda call: None

    def alias(self, model: str, alias: str) -> str | None:
        self._call("alias", model)
        return self.aliases.get(alias)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self._call("set_alias", model)
        self._version(version)
        self.moves.append((alias, version, self.aliases.get(alias)))
        self.aliases[alias] = version

    def versions(self, model: str) -> list[RegisteredVersion]:
        self._call("versions", model)
        return [
            RegisteredVersion(
                ModelVersion(model, v), int(v), dict(tags), has_baseline=v in self.baselines
            )
            for v, tags in self.tags.items()
        ]

    def tag(self, version: ModelVersion, key: str, value: str) -> None:
        self._call("tag", version.model)
        self._version(version.version)[key] = value

    def _version(self, version: str) -> dict[str, str]:
        if version not in self.tags:
            raise VersionNotFound("no such version", where=version)
        return self.tags[version]

    def _call(self, name: str, model: str) -> None:
        self.before(name)
        if self.away:
            raise RegistryUnavailable("MLflow does not answer", where=model)


class FakeLog:
    """Topic decisions in memory."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None

    def append(self, decision: Decision) -> None:
        self.before("append")
        self.decisions.append(decision)
        self.after("append")

    def history(self, model: str, *, fresh: bool = True) -> Sequence[Decision]:
        return [decision for decision in self.decisions if decision.model == model]

    @property
    def models(self) -> frozenset[str]:
        return frozenset(decision.model for decision in self.decisions)

    @property
    def stages(self) -> list[Stage]:
        return [decision.stage for decision in self.decisions]


class FakeNotices:
    """Drops a key that was put before, as the outbox does."""

    def __init__(self) -> None:
        self.notices: dict[str, Notice] = {}

    def put(self, notice: Notice) -> None:
        self.notices.setdefault(notice.key, notice)

    @property
    def kinds(self) -> list[str]:
        return [notice.kind.value for notice in self.notices.values()]


class World:
    """Everything an actor works with."""

    def __init__(self, versions: int = 3, **rules) -> None:
        self.registry = FakeRegistry(versions)
        self.log = FakeLog()
        self.notices = FakeNotices()
        self.time = 1_000_000.0
        self.policy = Policy(defaults=ModelPolicy(**rules))

    @property
    def means(self) -> Means:
        return Means(self.registry, self.log, self.policy, self.notices, lambda: self.time)


def verdict(
    version: str = "3", *, last: int = 3, length: int = 3, action: Action = Action.ROLLBACK, **about
) -> Verdict:
    """The verdict on windows of 300 s, `length` of them in a row, up to number `last`."""
    windows = tuple(Window(300.0 * n, 300.0 * (n + 1)) for n in range(last - length + 1, last + 1))
    given = {
        "model": MODEL,
        "version": version,
        "window": windows[-1],
        "revision": 0,
        "severity": Severity.BLOCK,
        "action": action,
        "rule": "demographic_parity_difference[race]",
        "family": Family.FAIRNESS,
        "streak": length,
        "windows": windows,
        "values": tuple(0.3 + n / 100 for n in range(length)),
        "threshold": 0.15,
        "groups": ("not white", "white"),
        "reason": "the gap is past 0.15 in 3 windows in a row",
        "closed_at": 999_990.0,
    }
    return Verdict(**{**given, **about})
