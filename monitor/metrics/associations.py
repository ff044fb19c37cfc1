"""Proxies and leaks: how much each feature tells about each protected attribute, before anything is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from msgspec import Struct

from monitor.errors import EmptyData, MissingColumn
from monitor.profiles.layout import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.intp]
    Floats = NDArray[np.float64]

#: Quantile bins of a number, for its mutual information with an attribute.
BINS = 20


class Association(Struct, frozen=True, kw_only=True):
    """How strongly a feature and a protected attribute go together in the reference data.

    Attributes
    ----------
    n
        How many people it was measured on.
    strength
        Share of the attribute's entropy that the feature gives away, in [0, 1]: one measure for features of every
        kind. At 1 the feature is the attribute under another name.
    mutual_information
        Nats, >= 0, less its bias in a sample of this size.
    cramers_v
        Bias-corrected, in [0, 1]; for features that are labels.
    correlation_ratio
        Share of the feature's variance that lies between groups, its square root, in [0, 1]; for numbers.
    """

    feature: str
    attribute: str
    n: int
    strength: float
    mutual_information: float
    cramers_v: float | None = None
    correlation_ratio: float | None = None


def measure_associations(
    data: pd.DataFrame, *, kinds: Mapping[str, Kind], attributes: Sequence[str]
) -> tuple[Association, ...]:
    """Measure every feature against every protected attribute.

    Parameters
    ----------
    data
        Reference data: a column per feature and attribute. A missing value is a level of its own.
    kinds
        Each feature's kind.
    attributes
        Protected attributes.

    Returns
    -------
    tuple of Association
        Strongest first.

    Raises
    ------
    MissingColumn
        If a feature or attribute is not in the data.
    EmptyData
        If there is no row.

    Examples
    --------
    >>> people = pd.DataFrame({"town": [*"aabb"] * 50, "age": [20, 40] * 100, "sex": [*"mmww"] * 50})
    >>> kinds = {"town": Kind.CATEGORICAL, "age": Kind.NUMERIC}
    >>> [(a.feature, round(a.strength, 3)) for a in measure_associations(people, kinds=kinds, attributes=["sex"])]
    [('town', 1.0), ('age', 0.0)]
    """
    for column in (*kinds, *attributes):
        if column not in data.columns:
            msg = f"there is no column {column!r}"
            raise MissingColumn(msg, fix=f"The data has: {', '.join(map(str, data.columns))}.")
    if data.empty:
        msg = "the reference data has no rows"
        raise EmptyData(msg, fix="Give data with at least one row.")
    groups = {attribute: _labels(data[attribute]) for attribute in attributes}
    found = [
        _associate(data[feature], kind, feature, attribute, codes)
        for feature, kind in kinds.items()
        for attribute, codes in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.strength, one.feature, one.attribute)))


def cramers_v(table: NDArray[np.int64]) -> float:
    r"""Cramer's V of two columns of labels, corrected for the bias of finite samples.

    .. math:: \tilde V = \sqrt{\frac{\max(0, \chi^2/n - \frac{(r-1)(c-1)}{n-1})}{\min(\tilde r, \tilde c) - 1}},
              \quad \tilde r = r - \frac{(r-1)^2}{n-1}

    Parameters
    ----------
    table
        Counts, shape (r, c).

    Returns
    -------
    float
        In [0, 1]; 0 where one column is constant.

    Examples
    --------
    >>> cramers_v(np.array([[50, 0], [0, 50]])), cramers_v(np.array([[25, 25], [25, 25]]))
    (1.0, 0.0)

    References
    ----------
    Bergsma, W. (2013). A bias-correction for Cramer's V and Tschuprow's T. J. Korean Stat. Soc. 42.
    """
    table = _occupied(table)
    n, (r, c) = int(table.sum()), table.shape
    if min(r, c) < 2 or n < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n
    corrected = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    rows, columns = r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)
    room = min(rows, columns) - 1
    return min(1.0, float(np.sqrt(corrected / room))) if room > 0 else 0.0


def correlation_ratio(values: Floats, groups: Codes) -> float:
    r"""Correlation ratio of a number and a grouping.

    .. math:: \eta = \sqrt{\frac{\sum_g n_g (\bar x_g - \bar x)^2}{\sum_i (x_i - \bar x)^2}}

    Parameters
    ----------
    values
        Numbers; those that are not finite are left out.
    groups
        Each one's group, a code from 0.

    Returns
    -------
    float
        In [0, 1]; 0 where the number is constant.

    Examples
    --------
    >>> correlation_ratio(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0

    References
    ----------
    Fisher, R. A. (1925). Statistical Methods for Research Workers, chapter 8.
    """
    finite = np.isfinite(values)
    values, groups = values[finite], groups[finite]
    if not len(values):
        return 0.0
    # Around the mean and in units of the spread, so that neither cancels nor overflows.
    values = values - values.mean()
    scale = float(np.abs(values).max())
    if scale == 0.0:
        return 0.0
    values = values / scale
    counts = np.bincount(groups)
    sums = np.bincount(groups, values)
    between = float((sums**2 / np.maximum(counts, 1)).sum())
    return min(1.0, float(np.sqrt(between / float(values @ values))))


def mutual_information(table: NDArray[np.int64]) -> float:
    r"""Mutual information of two columns of labels, nats, less its bias (Miller-Madow), never below 0.

    .. math:: I = \sum_{ij} p_{ij} \ln \frac{p_{ij}}{p_i p_j} - \frac{(r-1)(c-1)}{2n}

    Parameters
    ----------
    table
        Counts, shape (r, c).

    Examples
    --------
    >>> round(mutual_information(np.array([[5000, 0], [0, 5000]])), 3)
    0.693

    References
    ----------
    Miller, G. A. (1955). Note on the bias of information estimates.
    """
    table = _occupied(table)
    n, (r, c) = float(table.sum()), table.shape
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    seen = table > 0
    plain = float((table[seen] * np.log(table[seen] / expected[seen])).sum()) / n
    bias: float = (r - 1) * (c - 1) / (2 * n)
    return max(0.0, plain - bias)


def _associate(
    values: pd.Series, kind: Kind, feature: str, attribute: str, groups: Codes
) -> Association:
    numbers = values.to_numpy(np.float64, na_value=np.nan) if kind is Kind.NUMERIC else None
    codes = _labels(values) if numbers is None else _bins(numbers)
    table = _table(codes, groups)
    information = mutual_information(table)
    entropy = mutual_information(_table(groups, groups))
    return Association(
        feature=feature,
        attribute=attribute,
        n=len(groups),
        strength=min(1.0, information / entropy) if entropy > 0 else 0.0,
        mutual_information=information,
        cramers_v=cramers_v(table) if numbers is None else None,
        correlation_ratio=None if numbers is None else correlation_ratio(numbers, groups),
    )


def _labels(values: pd.Series) -> Codes:
    codes, _ = pd.factorize(values, use_na_sentinel=False)
    return codes.astype(np.intp)


def _bins(numbers: Floats) -> Codes:
    """Return each number's quantile bin; a missing one has a bin of its own."""
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return np.isnan(numbers).astype(np.intp)
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="lower"))
    codes = np.searchsorted(edges, numbers, side="left")
    return np.where(np.isnan(numbers), len(edges) + 1, codes)


def _table(rows: Codes, columns: Codes) -> NDArray[np.int64]:
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _occupied(table: NDArray[np.int64]) -> NDArray[np.int64]:
    return table[table.any(axis=1)][:, table.any(axis=0)]
