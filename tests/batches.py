"""Record batches as a broker hands them out."""

from __future__ import annotations

import datetime as dt

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from monitor.events import JSON_CONTENT, cloud_event_headers

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LOG_APPEND_TIME = 0x08
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


def headers(sequence=1, *, producer=b"p", content=JSON_CONTENT, source="/api", traced=False):
    """As the courier writes them."""
    found = [
        *cloud_event_headers("e", NOW, source, content_type=content),
        ("producer_id", producer),
        ("sequence", b"%d" % sequence),
    ]
    return [TRACE, *found] if traced else found


def batch(
    records, *, first=0, compression=0, appended=True, stamp=1_700_000_000_000, step=7
) -> bytes:
    """A batch of (key, value, headers); the time stamp in milliseconds, and how much later each next one is."""
    built = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 24)
    for place, (key, value, named) in enumerate(records):
        built.append(place, stamp + step * place, key, value, named)
    data = built.build()
    data[:8] = first.to_bytes(8, "big")  # not in the checksum
    data[22] |= LOG_APPEND_TIME if appended else 0
    return bytes(data)
