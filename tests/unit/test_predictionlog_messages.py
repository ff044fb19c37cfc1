"""Messages in columns say the same, whichever way Kafka's records were read, and however they are put together."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from monitor.engine.block import Block
from monitor.engine.intake import FORWARDED_HEADER
from monitor.events import ARROW_CONTENT, JSON_CONTENT, encode
from monitor.fetch import inbulk
from monitor.predictionlog.messages import Messages, messages_of
from monitor.predictionlog.rows import Rows
from tests.archive import TODAY, World, event
from tests.batches import batch, headers

#: Milliseconds since 1970 UTC.
NOW = int(TODAY.timestamp() * 1000)

ours = st.tuples(
    st.sampled_from([b"credit/1", b"credit/2"]),
    st.binary(max_size=40),
    st.sampled_from([JSON_CONTENT, ARROW_CONTENT]),
)


def published(*said: tuple[bytes, bytes, bytes], copies: tuple[int, ...] = ()) -> bytes:
    """A record batch of (key, value, content), as our publisher has it written; some marked as copies."""
    mark = (FORWARDED_HEADER, b"1:7")
    records = [
        (key, value, [*headers(place, content=content), *([mark] if place in copies else ())])
        for place, (key, value, content) in enumerate(said)
    ]
    return batch(records, appended=False, stamp=NOW)


def block(data: bytes) -> Block:
    read = inbulk.read(data, [slice(0, len(data))])
    assert read is not None
    return read


@given(st.lists(ours, min_size=1, max_size=20))
def test_a_block_and_records_say_the_same(said):
    data = published(*said)
    at_once, _ = messages_of(block(data), "predictions", 3)
    one_by_one, _ = messages_of(list(DefaultRecordBatch(data)), "predictions", 3)
    assert list(at_once) == list(one_by_one) == list(Messages.of(list(at_once)))


@given(st.lists(st.lists(ours, min_size=1, max_size=5), min_size=1, max_size=4), st.data())
def test_joined_or_in_part_they_are_the_same_messages(several, data):
    parts = [messages_of(block(published(*said)), "t", at)[0] for at, said in enumerate(several)]
    joined = Messages.joined([parts[0][:0], *parts])
    everything = [message for part in parts for message in part]
    assert list(joined) == everything
    which = data.draw(st.lists(st.sampled_from(range(len(everything)))))
    assert list(joined.take(np.array(which, np.int64))) == [everything[at] for at in which]
    # What was taken in any order is joined as it stands.
    again = Messages.joined([joined.take(np.array(which, np.int64)), joined])
    assert list(again) == [everything[at] for at in which] + everything


def test_copies_of_what_lies_in_other_partitions_are_left_out():
    said = [(b"credit/1", b"%d" % at, JSON_CONTENT) for at in range(4)]
    records = list(DefaultRecordBatch(published(*said, copies=(0, 2))))
    messages, own = messages_of(records, "predictions", 0)
    assert [message.value for message in messages] == [b"1", b"3"]
    assert [record.offset for record in own] == [1, 3]


def test_what_names_no_content_is_json_and_what_has_no_value_has_an_empty_one():
    records = list(DefaultRecordBatch(batch([(None, None, [])])))
    messages, _ = messages_of(records, "labels", 0)
    assert [(one.key, one.value, one.content) for one in messages] == [(None, b"", JSON_CONTENT)]


@pytest.mark.parametrize("name", ["plain", "Zoë", "\U0001f9d1"])
def test_rows_of_a_block_are_those_of_its_messages(tmp_path, name):
    """A block's values lie among keys and headers, which are no text."""
    world = World(tmp_path)
    values = [encode(event(at, session_id=name)) for at in range(20)]
    values[7] = values[7].replace(name.encode(), b"\xff")
    messages, _ = messages_of(
        block(
            published(
                *[(event(at).version.key, one, JSON_CONTENT) for at, one in enumerate(values)]
            )
        ),
        "predictions",
        0,
    )
    found = []
    for given_ in (messages, list(messages)):
        rows = Rows(world.keys)
        for _ in range(2):  # the second time the versions are known
            assert list(rows.add(given_)) == [7]
        found.append(rows.take().drop_columns(["protected"]))
    assert found[0].equals(found[1])
    assert found[0].num_rows == 38
    assert found[0]["session_id"][0].as_py() == name
