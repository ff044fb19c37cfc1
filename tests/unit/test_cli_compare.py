"""`monitor compare` as a person or a pipeline calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitor.cli.main import main

COLUMNS = ("--prediction", "answer", "--score", "p", "--label", "truth", "--groups", "sex")

DRIFT = {
    "feature", "kind", "psi", "ks", "p_value", "js", "wasserstein", "chi2", "missing_reference",
    "missing_current", "unseen", "severity",
}  # fmt: skip


def people(n: int, seed: int, *, unfair: bool = False) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sex = draw.choice(["man", "woman"], n)
    income = draw.normal(0, 1, n)
    p = 1 / (1 + np.exp(-income - draw.normal(0, 0.5, n)))
    if unfair:
        p = np.clip(p - np.where(sex == "woman", 0.4, 0.0), 0, 1)
    return pd.DataFrame(
        {
            "income": income,
            "town": draw.choice(["Ulm", "Bonn", "Kiel"], n),
            "p": p,
            "answer": (p > 0.5).astype(int),
            "truth": (income > 0).astype(int),
            "sex": sex,
        }
    )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with reference.parquet and current.csv in it; the working directory."""
    monkeypatch.chdir(tmp_path)
    people(4000, 1).to_parquet("reference.parquet")
    people(800, 2).to_csv("current.csv", index=False)
    return tmp_path


class Ended:
    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def compare(desk: Path, capsys: pytest.CaptureFixture[str]):
    """Calls the command; how it ended."""

    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as end:
            main(["compare", *arguments])
        written = capsys.readouterr()
        return Ended(end.value.code, written.out, written.err)

    return call


def test_alike_files_pass_with_exit_code_0(compare):
    ended = compare("reference.parquet", "current.csv", *COLUMNS)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("PASS")


def test_a_breach_has_exit_code_1_and_names_the_groups(compare):
    people(800, 2, unfair=True).to_parquet("unfair.parquet")
    ended = compare("reference.parquet", "unfair.parquet", *COLUMNS)
    assert ended.code == 1
    assert ended.out.startswith("BLOCK")
    assert "demographic_parity_difference[sex]" in ended.out
    assert "woman" in ended.out


def test_the_exit_code_reaches_the_shell(desk):
    people(800, 2, unfair=True).to_parquet("unfair.parquet")
    command = [sys.executable, "-m", "monitor", "compare", "reference.parquet", "unfair.parquet"]
    ended = subprocess.run([*command, *COLUMNS, "--json"], check=False, capture_output=True)
    assert ended.returncode == 1, ended.stderr
    assert json.loads(ended.stdout)["verdict"] == "block"


def test_json_is_one_object_with_the_promised_keys(compare):
    people(800, 2, unfair=True).to_parquet("unfair.parquet")
    found = json.loads(compare("reference.parquet", "unfair.parquet", *COLUMNS, "--json").out)
    assert set(found) == {
        "verdict", "n_reference", "n_current", "drift", "prediction_drift", "class_drift",
        "fairness", "quality", "breaches",
    }  # fmt: skip
    assert (found["verdict"], found["n_reference"], found["n_current"]) == ("block", 4000, 800)
    assert [column["feature"] for column in found["drift"]] == ["income", "town"]
    for column in (*found["drift"], found["prediction_drift"], found["class_drift"]):
        assert set(column) >= DRIFT
    measure = found["fairness"][0]
    assert set(measure) >= {"attributes", "metric", "value", "groups", "severity"}
    assert set(measure["groups"]) == {"man", "woman"}
    assert set(measure["groups"]["man"]) >= {"n", "selection_rate"}
    assert all(set(breach) >= {"rule", "value", "threshold"} for breach in found["breaches"])


def test_measures_that_do_not_apply_are_null(compare):
    found = json.loads(compare("reference.parquet", "current.csv", *COLUMNS, "--json").out)
    income, town = found["drift"]
    assert income["chi2"] is None
    assert income["unseen"] is None
    assert town["ks"] is None
    assert town["wasserstein"] is None


def test_labels_bring_the_measures_that_need_them(compare):
    bare = ("--prediction", "answer", "--groups", "sex", "--json")
    found = json.loads(compare("reference.parquet", "current.csv", *bare).out)
    assert {m["metric"] for m in found["fairness"]} == {
        "demographic_parity_difference",
        "disparate_impact",
    }
    found = json.loads(compare("reference.parquet", "current.csv", *COLUMNS, "--json").out)
    assert "equalized_odds_difference" in {m["metric"] for m in found["fairness"]}


def test_without_a_prediction_only_features_are_compared(compare):
    ended = compare("reference.parquet", "current.csv", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0
    assert found["prediction_drift"] is None
    assert found["class_drift"] is None
    assert found["fairness"] == []
    assert len(found["drift"]) == 6


def test_a_score_without_a_prediction_is_compared(compare):
    found = json.loads(compare("reference.parquet", "current.csv", "--score", "p", "--json").out)
    assert found["prediction_drift"]["feature"] == "score"
    assert found["class_drift"] is None


def test_too_few_rows_are_insufficient_and_no_breach(compare):
    people(50, 3, unfair=True).to_parquet("few.parquet")
    ended = compare("reference.parquet", "few.parquet", *COLUMNS, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["verdict"] == "insufficient"


def test_the_policy_of_the_named_model_holds(compare):
    Path("policy.yaml").write_text("models:\n  credit:\n    windows: {min_events: 1000}\n")
    files = ("reference.parquet", "current.csv", *COLUMNS, "--policy", "policy.yaml")
    assert compare(*files).out.startswith("INSUFFICIENT")  # the only one that the file names
    assert compare(*files, "--model", "credit").out.startswith("INSUFFICIENT")
    wrong = compare(*files, "--model", "credti")
    assert wrong.code == 2
    assert "it names no model credti. Did you mean credit?" in wrong.err
    Path("policy.yaml").write_text("models: {credit: {consecutive: 2}, other: {}}")
    several = compare(*files)
    assert several.code == 2
    assert "Name one with --model: credit, other." in several.err
    assert compare(*files, "--model", "other").out.startswith("PASS")


def test_a_feature_without_any_value_in_the_reference_is_shown_and_judges_nothing(compare):
    people(4000, 1).assign(new=np.nan).to_parquet("old.parquet")
    people(800, 2).assign(new=1.0).to_parquet("new.parquet")
    ended = compare("old.parquet", "new.parquet", *COLUMNS, "--json")
    column = json.loads(ended.out)["drift"][-1]
    assert ended.code == 0
    assert (
        ended.err == "monitor: old.parquet: feature new has no value: its drift is not measured\n"
    )
    assert (column["feature"], column["psi"], column["missing_reference"]) == ("new", None, 1.0)


def write(name: str, frame: pd.DataFrame) -> str:
    frame.to_parquet(name)
    return name


def no_rows() -> tuple[str, ...]:
    return "reference.parquet", write("empty.parquet", people(10, 1).iloc[:0]), *COLUMNS


def not_a_table() -> tuple[str, ...]:
    Path("notes.parquet").write_text("hello")
    return "reference.parquet", "notes.parquet"


def absent_feature() -> tuple[str, ...]:
    renamed = people(800, 2).rename(columns={"income": "incomes"})
    return "reference.parquet", write("renamed.parquet", renamed), *COLUMNS


def missing_answers() -> tuple[str, ...]:
    return "reference.parquet", write("gone.parquet", people(800, 2).assign(truth=None)), *COLUMNS


def some_missing_answers() -> tuple[str, ...]:
    frame = people(800, 2)
    frame.loc[:9, "answer"] = np.nan
    return "reference.parquet", write("gaps.parquet", frame), *COLUMNS


def one_class() -> tuple[str, ...]:
    return write("one.parquet", people(800, 2).assign(answer=1)), "current.csv", *COLUMNS


def other_type() -> tuple[str, ...]:
    frame = people(800, 2)
    texts = frame.assign(income=["high" if value > 0 else "low" for value in frame["income"]])
    return "reference.parquet", write("texts.parquet", texts), *COLUMNS


def policy_typo() -> tuple[str, ...]:
    Path("policy.yaml").write_text("defaults:\n  consecutiv: 3\n")
    return "reference.parquet", "current.csv", "--policy", "policy.yaml"


def favours_no_answer() -> tuple[str, ...]:
    Path("policy.yaml").write_text("defaults: {fairness: {favourable: 'yes'}}")
    return "reference.parquet", "current.csv", *COLUMNS, "--policy", "policy.yaml"


def no_policy() -> tuple[str, ...]:
    return "reference.parquet", "current.csv", "--policy", "nowhere.yaml"


def no_folder() -> tuple[str, ...]:
    return "reference.parquet", "current.csv", "--prediction", "answer", "--html", "no/page.html"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (lambda: ("nowhere.parquet", "current.csv"), ["nowhere.parquet", "no such file", "path"]),
        (no_rows, ["empty.parquet", "no rows", "Export"]),
        (not_a_table, ["notes.parquet", "not readable as parquet", "CSV"]),
        (
            lambda: ("reference.parquet", "current.csv", "--prediction", "anwser"),
            ["reference.parquet", "no column anwser", "Did you mean answer?"],
        ),
        (absent_feature, ["renamed.parquet", "no column income", "Did you mean incomes?"]),
        (missing_answers, ["gone.parquet", "all values of column truth", "Export"]),
        (some_missing_answers, ["answer", "10 of 800 predictions", "Drop those rows"]),
        (one_class, ["answer", "every answer in the reference data is 1", "more than one answer"]),
        (other_type, ["income", "expected numbers", "baseline anew"]),
        (policy_typo, ["policy.yaml", "consecutiv", "consecutive"]),
        (favours_no_answer, ["fairness.favourable", "no answer is 'yes'", "has 0, 1", "Name one"]),
        (no_policy, ["nowhere.yaml: the policy cannot be read: No such file", "path"]),
        (lambda: ("reference.parquet", "."), [".: this is a folder"]),
        (
            lambda: ("reference.parquet", "current.csv", "--score", "p", "--groups", "sex"),
            ["--groups", "--prediction COL"],
        ),
        (
            lambda: ("reference.parquet", "current.csv", "--prediction", "answer", "--groups", ","),
            ["--groups: it names no column"],
        ),
        (no_folder, ["no/page.html", "cannot be written", "folder"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_input_ends_with_a_sentence_that_names_it_and_the_fix(compare, given, named):
    ended = compare(*given())
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("monitor: ")
    assert "Traceback" not in ended.err
    for part in named:
        assert part in ended.err


def test_an_unknown_option_is_refused_with_exit_code_2(compare):
    ended = compare("reference.parquet", "current.csv", "--predicton", "answer")
    assert ended.code == 2
    assert "--prediction" in ended.err
