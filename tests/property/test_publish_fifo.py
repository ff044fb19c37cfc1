"""Whatever happens to it, the spool is a FIFO."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.publish.spool import Record, Spool, frame

LIMIT = 4_000


class SpoolIsAFifo(RuleBasedStateMachine):
    """Against a model: the list of all that was kept, and how far it was read and confirmed."""

    @initialize(segment_bytes=st.sampled_from([1, 200, 1_000]))
    def begin(self, segment_bytes):
        self.directory = Path(tempfile.mkdtemp())
        self.segment_bytes = segment_bytes
        self.kept: list[Record] = []
        self.read_to = 0
        self.confirmed = -1
        self.sequence = 0
        self.open()

    def open(self):
        self.spool = Spool(self.directory, limit_bytes=LIMIT, segment_bytes=self.segment_bytes)

    @rule(sizes=st.lists(st.integers(0, 300), max_size=6))
    def append(self, sizes):
        fresh = []
        for size in sizes:
            self.sequence += 1
            fresh.append(Record(self.sequence, 1, b"k", [], bytes(size)))
        count = self.spool.append(fresh)
        self.kept += fresh[:count]
        if count < len(fresh):
            assert self.spool.size_bytes + len(frame(fresh[count])) > LIMIT

    @rule()
    def read(self):
        found = self.spool.read()
        assert found == self.kept[self.read_to : self.read_to + len(found)]
        assert found or self.read_to == len(self.kept)
        self.read_to += len(found)

    @rule(share=st.floats(0, 1))
    def confirm(self, share):
        if self.read_to:
            position = int(share * (self.read_to - 1))
            self.confirmed = max(self.confirmed, self.kept[position].sequence)
            self.spool.confirm(self.confirmed)

    @rule()
    def rewind(self):
        self.spool.rewind()
        self.forget_what_is_gone()

    @rule(die=st.booleans())
    def reopen(self, die):
        if not die:
            self.spool.close()
        self.open()
        self.forget_what_is_gone()

    @rule(cut=st.integers(1, 400))
    def lose_the_tail(self, cut):
        self.spool.close()
        segments = sorted(self.directory.glob("*.spool"))
        if segments:
            size = max(0, segments[-1].stat().st_size - cut)
            os.truncate(segments[-1], size)
            whole = 0
            first = int(segments[-1].stem)
            for item in [item for item in self.kept if item.sequence >= first]:
                whole += len(frame(item))
                if whole > size:
                    self.kept.remove(item)
        self.open()
        self.forget_what_is_gone()

    def forget_what_is_gone(self):
        """Reading begins anew with the first segment that is not confirmed to its end."""
        first = min((int(path.stem) for path in self.directory.glob("*.spool")), default=1 << 60)
        self.kept = [item for item in self.kept if item.sequence >= first]
        self.read_to = 0

    @invariant()
    def nothing_unconfirmed_is_gone(self):
        if hasattr(self, "spool"):
            waiting = [item for item in self.kept if item.sequence > self.confirmed]
            assert self.spool.events >= len(waiting)
            assert self.spool.size_bytes <= LIMIT
            assert self.spool.empty or self.spool.size_bytes > 0

    def teardown(self):
        if hasattr(self, "directory"):
            shutil.rmtree(self.directory)


TestSpoolIsAFifo = SpoolIsAFifo.TestCase
