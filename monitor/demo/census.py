"""The census data of the demo: who is employed, and what an upstream feed does to the column MIL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from monitor.errors import InputError

FEATURES = (
    "AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY", "DEAR", "DEYE", "DREM",
)  # fmt: skip
LABEL = "employed"

#: Protected attributes, as the events carry them.
GROUPS = ("SEX", "race")

#: The column that the feed breaks; version 1 was trained without it.
BROKEN = "MIL"

SEED = 7


@dataclass(frozen=True, slots=True)
class Census:
    """The people of 2015, in two halves, and those of 2016 to 2018 in the order in which they are served."""

    training: pd.DataFrame
    reference: pd.DataFrame
    production: pd.DataFrame


def load_census(folder: Path) -> Census:
    """Read the two files and shuffle the later years, each within itself.

    In the file's own order people in group quarters lie together, which no traffic does.

    Raises
    ------
    InputError
        If the files are not there.
    """
    paths = [folder / name for name in ("reference.parquet", "production.parquet")]
    for path in paths:
        if not path.is_file():
            msg = "the census data is not there"
            raise InputError(
                msg, where=str(path), fix="Run from the project's folder, or give --data."
            )
    reference, production = (_with_race(pd.read_parquet(path)) for path in paths)
    odd = reference["id"] % 2 == 1
    years = (
        year.sample(frac=1.0, random_state=SEED)
        for _, year in production.groupby("year", sort=True)
    )
    return Census(
        reference[~odd].reset_index(drop=True),
        reference[odd].reset_index(drop=True),
        pd.concat(years, ignore_index=True),
    )


def break_feed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows as the broken feed sends them: MIL is 0 for everyone who is not white."""
    return rows.assign(**{BROKEN: rows[BROKEN].where(rows["race"] == "white", 0)})


def batches(rows: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Cut the rows into consecutive parts."""
    for start in range(0, len(rows), size):
        yield rows.iloc[start : start + size]


def _with_race(frame: pd.DataFrame) -> pd.DataFrame:
    race = np.where(frame["RAC1P"] == 1, "white", "not white")
    sex = np.where(frame["SEX"] == 1, "man", "woman")
    return frame.assign(race=race, SEX=sex)
