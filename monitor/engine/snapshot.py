"""What of the engine changed since the last transaction, and how an engine is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.engine.intake import ID_BYTES
from monitor.engine.roads import Road
from monitor.engine.state import (
    FORMAT,
    PROGRESS_KEY,
    Pieces,
    Progress,
    SpanState,
    VersionState,
    Written,
    pack,
    unpack,
)
from monitor.engine.version import Content, Version
from monitor.errors import StateError
from monitor.events import ModelVersion
from monitor.policy.trends import History
from monitor.profiles.codec import decode_profile, encode_profile
from monitor.profiles.layout import Layout
from monitor.reports import Report
from monitor.windows.spans import Span

if TYPE_CHECKING:
    from monitor.policy.model import Policy

Changes = dict[bytes, bytes | None]


class Snapshots:
    """Writes versions as state changes, and reads them back."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._records: dict[bytes, bytes] = {}
        self._reports: dict[bytes, dict[int, int]] = {}
        self._layouts: dict[bytes, set[str]] = {}
        self._ids: dict[bytes, set[int]] = {}

    def progress(
        self, position: int, now: float, sequences: Mapping[str, tuple[int, float]]
    ) -> Changes:
        """Return the change that says how far the partition is counted."""
        record = Progress(format=FORMAT, position=position, now=now, sequences=dict(sequences))
        return self._pieces.write(PROGRESS_KEY, pack(record))

    def changes(self, version: Version, reports: Sequence[Report]) -> Changes:
        """Return what changed of a version, given the reports just made of it; forgets what is past all lateness."""
        changes: Changes = {}
        key = version.subject.key
        for content in version.contents.values():
            if content.unsaved:
                content.buffer.fold()
                content.unsaved = False
                name = _name(b"profile", key, content.first)
                changes |= self._pieces.write(name, encode_profile(content.profile))
                changes |= self._id_changes(key, content)
        for first in version.take_gone():
            changes |= self._pieces.erase(_name(b"profile", key, first))
        for first in self._ids.get(key, set()) - version.contents.keys():
            self._ids[key].discard(first)
            changes |= self._pieces.erase(_name(b"ids", key, first))
        if reports:
            changes |= self._report_changes(version)
            changes |= self._pieces.write(b"history/" + key, pack(version.history))
        changes |= self._layout_changes(version)
        record = pack(_version_state(version))
        if self._records.get(key) != record:
            self._records[key] = record
            changes |= self._pieces.write(b"version/" + key, record)
        return changes

    def erase(self, version: Version) -> Changes:
        """Return the tombstones of all that is stored of a version."""
        key = version.subject.key
        names = [
            b"version/" + key,
            b"history/" + key,
            *(_name(b"profile", key, first) for first in (*version.contents, *version.kept)),
            *(_name(b"report", key, first) for first in self._reports.pop(key, ())),
            *(_name(b"layout", key, name) for name in self._layouts.pop(key, ())),
            *(_name(b"ids", key, first) for first in self._ids.pop(key, ())),
        ]
        self._records.pop(key, None)
        return {piece: None for name in names for piece in self._pieces.erase(name)}

    @staticmethod
    def is_outdated(state: Mapping[bytes, bytes]) -> bool:
        """Whether an older release wrote this, in a format that is read no more.

        Raises
        ------
        StateError
            If even that cannot be known.
        """
        values = Pieces().read({key: state[key] for key in (PROGRESS_KEY,) if key in state})
        return bool(values) and unpack(values[PROGRESS_KEY], Written).format < FORMAT

    def read(
        self, state: Mapping[bytes, bytes], policy: Policy
    ) -> tuple[Progress | None, dict[ModelVersion, Version]]:
        """Return what an earlier owner wrote.

        Raises
        ------
        StateError
            If another release wrote it, or it is not whole.
        """
        values = self._pieces.read(state)
        progress = unpack(values[PROGRESS_KEY], Progress) if PROGRESS_KEY in values else None
        if progress is not None and progress.format != FORMAT:
            msg = f"the stored state is in format {progress.format}, this release reads {FORMAT}"
            raise StateError(msg, fix="Run the release that wrote it, or a later one.")
        versions = {}
        for name, value in values.items():
            if name.startswith(b"version/"):
                stored = unpack(value, VersionState)
                version = self._version(stored, values, policy)
                versions[version.subject] = version
                self._records[version.subject.key] = value
        return progress, versions

    def _id_changes(self, key: bytes, content: Content) -> Changes:
        """Write a window's event ids apart from the bookkeeping, which changes with every snapshot."""
        if not content.ids:
            return {}
        self._ids.setdefault(key, set()).add(content.first)
        return self._pieces.write(_name(b"ids", key, content.first), b"".join(sorted(content.ids)))

    def _report_changes(self, version: Version) -> Changes:
        changes: Changes = {}
        key = version.subject.key
        known = self._reports.get(key, {})
        for first, report in version.reports.items():
            if known.get(first) != report.revision:
                changes |= self._pieces.write(_name(b"report", key, first), pack(report))
        for first in known.keys() - version.reports.keys():
            changes |= self._pieces.erase(_name(b"report", key, first))
        self._reports[key] = {f: report.revision for f, report in version.reports.items()}
        return changes

    def _layout_changes(self, version: Version) -> Changes:
        changes: Changes = {}
        key = version.subject.key
        known = self._layouts.setdefault(key, set())
        used = {road.name: road for road in version.roads}
        for name in used.keys() - known:
            changes |= self._pieces.write(_name(b"layout", key, name), pack(used[name].layout))
        for name in known - used.keys():
            changes |= self._pieces.erase(_name(b"layout", key, name))
        self._layouts[key] = set(used)
        return changes

    def _version(
        self, stored: VersionState, values: Mapping[bytes, bytes], policy: Policy
    ) -> Version:
        subject = ModelVersion(stored.model, stored.version)
        key = subject.key
        version = Version(subject, policy.of(stored.model))
        version.spans.lengths = replace(version.spans.lengths, length=stored.length)
        version.spans.watermark = -math.inf if stored.watermark is None else stored.watermark
        version.spans.final = -math.inf if stored.final is None else stored.final
        version.last_arrival, version.idled_until = stored.last_arrival, stored.idled_until
        version.verdict = stored.verdict
        layouts = _under(_name(b"layout", key, ""), values)
        roads = {name: Road(subject, unpack(value, Layout)) for name, value in layouts.items()}
        version.road = roads.get(stored.layout)
        for span in stored.spans:
            road = roads[span.layout]
            profile = decode_profile(values[_name(b"profile", key, span.first)], road.layout)
            content = Content(
                span.first,
                Span(span.first, span.stop).window(stored.length),
                road,
                profile,
                road.buffer(profile),
                span.revision,
                stale=span.stale,
                unsaved=False,
                ids=_ids(values.get(_name(b"ids", key, span.first), b"")),
                traces=span.traces,
            )
            if span.kept:
                version.kept[span.first] = content
            else:
                version.contents[span.first] = content
                version.spans.spans[span.first] = Span(span.first, span.stop, span.n, span.frozen)
        for first, value in _under(_name(b"report", key, ""), values).items():
            version.reports[int(first)] = unpack(value, Report)
        if (history := values.get(b"history/" + key)) is not None:
            version.history = unpack(history, History)
        self._reports[key] = {f: report.revision for f, report in version.reports.items()}
        self._layouts[key] = set(roads)
        self._ids[key] = {first for first, content in version.contents.items() if content.ids}
        return version


def _version_state(version: Version) -> VersionState:
    watermark, length = version.spans.watermark, version.spans.lengths.length
    open_spans = (
        SpanState(
            first=span.first,
            stop=span.stop,
            n=span.n,
            frozen=span.frozen,
            revision=version.contents[span.first].revision,
            stale=version.contents[span.first].stale,
            layout=version.contents[span.first].road.name,
            traces=version.contents[span.first].traces,
        )
        for span in version.spans.spans.values()
    )
    kept = (
        SpanState(
            first=content.first,
            stop=round(content.window.end / length),
            n=content.profile.n,
            frozen=True,
            revision=content.revision,
            stale=False,
            layout=content.road.name,
            kept=True,
        )
        for content in version.kept.values()
    )
    return VersionState(
        model=version.subject.model,
        version=version.subject.version,
        length=length,
        watermark=None if math.isinf(watermark) else watermark,
        final=None if math.isinf(version.spans.final) else version.spans.final,
        last_arrival=version.last_arrival,
        idled_until=version.idled_until,
        layout=version.road.name if version.road else "",
        spans=(*open_spans, *kept),
        verdict=version.verdict,
    )


def _ids(joined: bytes) -> set[bytes]:
    return {joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)}


def _under(prefix: bytes, values: Mapping[bytes, bytes]) -> dict[str, bytes]:
    start = len(prefix)
    return {
        name[start:].decode(): value
        for name, value in values.items()
        if name.startswith(prefix) and b"/" not in name[start:]
    }


def _name(kind: bytes, key: bytes, what: int | str) -> bytes:
    return b"/".join((kind, key, str(what).encode()))
