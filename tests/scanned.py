"""Batches decoded by the scanner as far as it goes, and as if there were none; what each says, to be compared."""

from __future__ import annotations

import struct
from unittest import mock

from hypothesis import strategies as st

from monitor.profiles import decoder
from monitor.profiles.decoder import RowDecoder
from tests.profile_roads import LAYOUT, REGRESSION, VERSION, events, labels, rows


def scanned(layout, batches, content="json", *, event_ids=False):
    """Decode batches by the scanner as far as it goes; return the decoded, and how many it left, of each."""
    with mock.patch.object(decoder, "_FEWEST", 1):
        reader = RowDecoder(layout, VERSION, content)
        found, left = [], []
        for batch in batches:
            with mock.patch.object(reader, "_pack", wraps=reader._pack) as packed:
                found.append(reader.decode(batch, event_ids=event_ids))
            left.append(len(packed.call_args.args[0]) if packed.called else 0)
    return found, left


def packed(layout, batches, content="json", *, event_ids=False):
    """Decode batches message by message."""
    reader = RowDecoder(layout, VERSION, content)
    reader._scans = False
    return [reader.decode(batch, event_ids=event_ids) for batch in batches]


def told(decoded):
    """Return what a batch says, with labels in place of codes, and each number by its bits."""
    shape = decoded.vocabulary.shape
    first = len(shape.numbers)
    said = [
        tuple(
            codes.labels[int(code)] for code, codes in zip(row, decoded.vocabulary.all, strict=True)
        )
        for row in decoded.rows[:, first : shape.flat].tolist()
    ]
    bits = [struct.pack(f"{first}d", *row) for row in decoded.rows[:, :first].tolist()]
    index = range(len(decoded)) if decoded.index is None else decoded.index.tolist()
    bad = [(position, str(error)) for position, error in decoded.bad]
    return list(index), bits, said, decoded.times.tolist(), bad, decoded.event_ids


def agree_on_damaged(data, writers, damaged, content):
    """Draw messages, some of them damaged; assert that both ways to read them say the same, whatever came before."""
    layout, prediction = data.draw(
        st.sampled_from([(LAYOUT, labels), (REGRESSION, st.floats(-2, 2))])
    )
    parts = data.draw(st.lists(rows(labels, prediction), min_size=1, max_size=8))
    used = data.draw(st.lists(st.sampled_from(writers), min_size=1, max_size=3))
    whole = [used[i % len(used)](event) for i, event in enumerate(events(parts))]
    more = [data.draw(damaged(value)) if i % 3 == 2 else value for i, value in enumerate(whole)]
    batches = [whole, more, whole[::-1], [None, *more], whole]
    found, _ = scanned(layout, batches, content, event_ids=True)
    plain = packed(layout, batches, content, event_ids=True)
    assert [told(one) for one in found] == [told(one) for one in plain]
