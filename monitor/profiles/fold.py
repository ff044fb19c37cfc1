"""Columns into a profile: the one fold that every road shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from monitor.profiles.cells import NO_CLASS, SCORE_BINS, UNLABELLED, Errors
from monitor.profiles.edges import LARGEST
from monitor.profiles.embedding import EmbeddingSketch
from monitor.profiles.layout import cell_cap
from monitor.profiles.sketch import CategorySketch, NumericSketch
from monitor.profiles.vocabulary import MISSING_CODE, Codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from monitor.profiles.cells import Cell
    from monitor.profiles.profile import Profile, Sketch
    from monitor.profiles.vocabulary import RowShape, Vocabulary

    Floats = NDArray[np.float64]
    Integers = NDArray[np.intp]

#: Tables of counts larger than this are made by sorting the pairs that occur instead.
_TABLE = 1 << 16

_ZERO_LABELS = ("0", "false")


def fold(
    profile: Profile,
    vocabulary: Vocabulary,
    columns: Floats,
) -> None:
    """Count events in place.

    Parameters
    ----------
    profile
        Of the layout that the vocabulary was made for.
    columns
        Shape (width, n), as `RowShape` says of a row, and one more of truths if the vocabulary is labelled. Its
        numbers may be sorted as a side effect.
    """
    shape, layout = vocabulary.shape, profile.layout
    n = columns.shape[1]
    if not n:
        return
    numbers = columns[: len(shape.numbers)]
    codes = columns[len(shape.numbers) : shape.flat].astype(np.intp)
    truths = columns[shape.width] if vocabulary.labelled else None
    coded, attributes = codes[: len(shape.coded)], codes[len(shape.coded) :]
    groups = _groups(profile, vocabulary, attributes)
    strata = _strata(groups, truths, vocabulary.truth)
    cap = cell_cap(len(profile.cells))
    if layout.is_classifier:
        _count_outcomes(strata, coded[-1], vocabulary.columns[-1].labels, cap)
    else:
        _count_outcomes(strata, np.zeros(n, np.intp), [NO_CLASS], cap)
        _sum_values(groups, numbers[-1])
        if truths is not None:
            _sum_errors(groups, numbers[-1] - truths)
    if layout.score is not None:
        _count_scores(strata, numbers[-1 if layout.is_classifier else -2])
    for column, index, known in zip(coded, shape.coded, vocabulary.columns, strict=True):
        _count_labels(profile.sketches[index], column, known)
        if index < shape.features:
            _count_labels_by_cell(groups, index, layout.columns[index].name, column, known, cap)
    for index, place in shape.places():
        embedded = profile.sketches[index]
        assert isinstance(embedded, EmbeddingSketch)
        _count_where(groups, embedded.add(columns[place]), "missing", index)
    # Last, because it may sort them.
    _count_numbers(profile, groups, shape, numbers)
    profile.n += n


@dataclass(frozen=True, slots=True)
class _Groups:
    """The cells that occur, and each event's position among them."""

    cells: list[Cell]
    of: Integers


@dataclass(frozen=True, slots=True)
class _Strata:
    """Cells by true label: stratum = cell * labels + label."""

    cells: list[Cell]
    labels: list[str]
    of: Integers


def _strata(groups: _Groups, truths: Floats | None, codes: Codes | None) -> _Strata:
    if truths is None or codes is None:
        return _Strata(groups.cells, [UNLABELLED], groups.of)
    names = [UNLABELLED, *codes.labels[MISSING_CODE + 1 :]]
    return _Strata(groups.cells, names, groups.of * len(names) + truths.astype(np.intp))


def _groups(profile: Profile, vocabulary: Vocabulary, groups: Integers) -> _Groups:
    n = groups.shape[1]
    if not len(groups):
        return _Groups([profile.cell(())], np.zeros(n, np.intp))
    key, size = groups[0], len(vocabulary.groups[0])
    for column, codes in zip(groups[1:], vocabulary.groups[1:], strict=True):
        if size * len(codes) > _TABLE:
            present, key = np.unique(key, return_inverse=True)
            size = len(present)
        key, size = key * len(codes) + column, size * len(codes)
    if size > max(_TABLE, n):
        present, rank_of = np.unique(key, return_inverse=True)
    else:
        present = np.flatnonzero(np.bincount(key, minlength=size))
        rank = np.zeros(size, np.intp)
        rank[present] = np.arange(len(present))
        rank_of = rank[key]
    example = np.empty(len(present), np.intp)
    example[rank_of] = np.arange(n)
    names = [codes.labels for codes in vocabulary.groups]
    positions: dict[int, int] = {}
    cells: list[Cell] = []
    place = np.empty(len(present), np.intp)
    for i, row in enumerate(groups[:, example].T.tolist()):
        cell = profile.cell(tuple(label[code] for label, code in zip(names, row, strict=True)))
        position = positions.setdefault(id(cell), len(cells))
        if position == len(cells):
            cells.append(cell)
        place[i] = position
    return _Groups(cells, place[rank_of])


def _count_numbers(profile: Profile, groups: _Groups, shape: RowShape, numbers: Floats) -> None:
    """Count numbers by bin, and the nulls and zeros of features by cell."""
    sketches = [profile.sketches[index] for index in shape.numbers]
    numeric = [sketch for sketch in sketches if isinstance(sketch, NumericSketch)]
    count = _compiled()
    if count is None:
        _count_gaps(groups, shape, numbers)
        for sketch, values in zip(numeric, numbers, strict=True):
            sketch.add(values)
        return
    gaps = count(numeric, numbers, groups.of, len(groups.cells))
    for row in np.flatnonzero(gaps.any(axis=(1, 2))).tolist():
        index = shape.numbers[row]
        if index < shape.features:
            for cell, missing, zeros in zip(groups.cells, *gaps[row].tolist(), strict=True):
                cell.missing[index] += missing
                cell.zeros[index] += zeros


@cache
def _compiled() -> Callable[..., NDArray[np.int64]] | None:
    """Return the quick way to count numbers; None where Numba is not."""
    try:
        from monitor.profiles.grid import count
    except ImportError:
        return None
    return count


def _count_gaps(groups: _Groups, shape: RowShape, numbers: Floats) -> None:
    """Count nulls and zeros of the numeric features, which are rare: most columns have none."""
    features = [index for index in shape.numbers if index < shape.features]
    values = numbers[: len(features)]
    for mask, kind in ((np.isnan(values), "missing"), (values == 0, "zeros")):
        for row in np.flatnonzero(mask.any(axis=1)).tolist():
            _count_where(groups, mask[row], kind, features[row])


def _count_where(groups: _Groups, mask: NDArray[np.bool_], kind: str, feature: int) -> None:
    if mask.any():
        counts = np.bincount(groups.of[mask], minlength=len(groups.cells))
        for cell, count in zip(groups.cells, counts.tolist(), strict=True):
            getattr(cell, kind)[feature] += count


def _pairs(cell_of: Integers, codes: Integers, cells: int, size: int) -> NDArray[np.int64]:
    """Return (cell, code, count) of each pair that occurs, shape (pairs, 3), by cell."""
    key = cell_of * size + codes
    if cells * size <= max(_TABLE, len(key)):
        counts = np.bincount(key)
        present = np.flatnonzero(counts)
        counts = counts[present]
    else:
        present, counts = np.unique(key, return_counts=True)
    return np.stack([present // size, present % size, counts], axis=1)


def _count_labels(sketch: Sketch, column: Integers, codes: Codes) -> None:
    assert isinstance(sketch, CategorySketch)
    total = np.bincount(column, minlength=len(codes))
    seen = np.flatnonzero(total)
    sketch.add(_by_label(seen, total[seen], codes), int(total[MISSING_CODE]))


def _count_labels_by_cell(
    groups: _Groups, feature: int, name: str, column: Integers, codes: Codes, cap: int
) -> None:
    zero_codes = {codes.find(label) for label in _ZERO_LABELS}
    pairs = _pairs(groups.of, column, len(groups.cells), len(codes))
    starts = np.searchsorted(pairs[:, 0], np.arange(len(groups.cells) + 1))
    for i, cell in enumerate(groups.cells):
        part = pairs[starts[i] : starts[i + 1], 1:]
        for code, count in part.tolist():
            if code == MISSING_CODE:
                cell.missing[feature] += count
            elif code in zero_codes:
                cell.zeros[feature] += count
        counts = _by_label(part[:, 0], part[:, 1], codes)
        if counts:
            cell.add_categories(name, counts, cap)


def _by_label(codes: Integers, counts: Integers, known: Codes) -> dict[str, int]:
    return {
        known.labels[code]: count
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        if code != MISSING_CODE
    }


def _count_outcomes(strata: _Strata, answers: Integers, classes: list[str], cap: int) -> None:
    size = len(strata.cells) * len(strata.labels)
    for stratum, answer, count in _pairs(strata.of, answers, size, len(classes)).tolist():
        cell, label = divmod(stratum, len(strata.labels))
        strata.cells[cell].add_outcomes({(classes[answer], strata.labels[label]): count}, cap)


def _sum_values(groups: _Groups, values: Floats) -> None:
    finite = np.abs(values) < LARGEST
    kept, of = values[finite], groups.of[finite]
    sums = np.bincount(of, weights=kept, minlength=len(groups.cells))
    squares = np.bincount(of, weights=kept * kept, minlength=len(groups.cells))
    for cell, total, square in zip(groups.cells, sums.tolist(), squares.tolist(), strict=True):
        cell.value_sum += total
        cell.value_square_sum += square


def _sum_errors(groups: _Groups, errors: Floats) -> None:
    known = np.abs(errors) < LARGEST
    kept, of, cells = errors[known], groups.of[known], len(groups.cells)
    counts = np.bincount(of, minlength=cells)
    totals, squares, absolute = (
        np.bincount(of, weights=weights, minlength=cells)
        for weights in (kept, kept * kept, np.abs(kept))
    )
    for cell, n, *sums in zip(
        groups.cells,
        counts.tolist(),
        totals.tolist(),
        squares.tolist(),
        absolute.tolist(),
        strict=True,
    ):
        cell.errors += Errors(n, *sums)


def _count_scores(strata: _Strata, scores: Floats) -> None:
    """Count the scores that are probabilities; others have no bin to be calibrated in."""
    inside = (scores >= 0) & (scores <= 1)
    kept, of = scores[inside], strata.of[inside]
    size = len(strata.cells) * len(strata.labels)
    bins = np.minimum((kept * SCORE_BINS).astype(np.intp), SCORE_BINS - 1)
    table = np.bincount(of * SCORE_BINS + bins, minlength=size * SCORE_BINS)
    table = table.reshape(size, SCORE_BINS)
    sums = np.bincount(of, weights=kept, minlength=size)
    for stratum in np.flatnonzero(table.any(axis=1)).tolist():
        cell, label = divmod(stratum, len(strata.labels))
        strata.cells[cell].add_scores(strata.labels[label], table[stratum], float(sums[stratum]))
