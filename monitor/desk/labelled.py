"""Records whose truth is known already: a file with a label column, read as events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from monitor.engine.roads import Batch, Road

if TYPE_CHECKING:
    from monitor.engine.records import Record
    from monitor.events import ModelVersion, Scalar
    from monitor.profiles.decoder import Decoded
    from monitor.profiles.layout import Layout
    from monitor.profiles.vocabulary import Vocabulary


class LabelledRoad(Road):
    """Reads records as the worker does, and puts beside each event what turned out to be true.

    Parameters
    ----------
    truths
        By the record's offset; None where it is not known.
    """

    def __init__(self, subject: ModelVersion, layout: Layout, truths: Sequence[Scalar]) -> None:
        super().__init__(subject, layout)
        self._truths = truths
        self._widened: tuple[Vocabulary, Vocabulary] | None = None

    def decode(self, records: Sequence[Record], content: bytes) -> list[Batch]:
        """Return the records' events, each with its truth as the last number of its row."""
        batches = super().decode(records, content)
        for batch in batches:
            if batch.decoded is not None:
                batch.decoded = self._with_truths(batch.decoded, batch)
        return batches

    def _with_truths(self, decoded: Decoded, batch: Batch) -> Decoded:
        vocabulary = self._vocabulary_of(decoded)
        truths = [self._truths[batch.record(event).offset] for event in range(len(decoded))]
        if vocabulary.truth is not None:
            numbers: list[float] = [vocabulary.truth.learn(truth) for truth in truths]
        else:
            numbers = [float("nan") if truth is None else float(truth) for truth in truths]
        rows = np.column_stack([decoded.rows, np.array(numbers, np.float64)])
        return replace(decoded, rows=rows, vocabulary=vocabulary)

    def _vocabulary_of(self, decoded: Decoded) -> Vocabulary:
        """Return the labelled vocabulary that belongs to the decoder's: the same until that is another."""
        if self._widened is None or self._widened[0] is not decoded.vocabulary:
            self._widened = decoded.vocabulary, decoded.vocabulary.with_labels()
        return self._widened[1]
