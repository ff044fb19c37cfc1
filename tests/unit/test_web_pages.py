"""What the pages show, and say: pure functions of reports and decisions."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from monitor.desk.fleet import heard, stand
from monitor.errors import RegistryUnavailable
from monitor.policy.model import ModelPolicy, Policy
from monitor.reports import (
    Action,
    Basis,
    Breach,
    ColumnDrift,
    Decision,
    Distribution,
    DistributionCell,
    Estimate,
    FairnessMeasure,
    Family,
    Finding,
    GroupRate,
    PerformanceMeasure,
    Report,
    Severity,
    Stage,
    Status,
    Verdict,
    Window,
)
from monitor.stores.sqlite import SqliteStore
from monitor.testing import until
from monitor.web.pages import charts, links, show
from monitor.web.pages.answers import answers_of, gravest
from monitor.web.pages.audit import audit_of
from monitor.web.pages.decision import Audit, decision_page
from monitor.web.pages.fleet import fleet_of
from monitor.web.pages.model import model_page
from monitor.web.pages.recent import ALL_FRESH, Recent
from monitor.web.pages.serving import Serving
from monitor.web.pages.window import window_page
from monitor.web.pages.words import harmed

NOW = 1_763_733_600.0
PARITY = "demographic_parity_difference[race]"


def measure(low: float, high: float, **about) -> FairnessMeasure:
    groups = {
        "white": GroupRate(n=900, selection_rate=high),
        "not white": GroupRate(n=300, selection_rate=low),
    }
    given = {
        "attributes": ("race",),
        "metric": "demographic_parity_difference",
        "value": high - low,
        "lower": high - low - 0.08,
        "upper": high - low + 0.08,
        "baseline": 0.02,
        "excess": high - low - 0.02,
        "excess_lower": max(high - low - 0.1, 0.0),
        "highest": "white",
        "lowest": "not white",
        "groups": groups,
    }
    return FairnessMeasure(**{**given, **about})


def window(
    number: int, version: str = "2", *, unfair: bool = False, model: str = "credit"
) -> Report:
    """Window number 0 ends at `NOW`, number -1 five minutes before."""
    end = NOW + 300 * number
    found = measure(0.26, 0.57) if unfair else measure(0.55, 0.57)
    breach = Breach(
        rule=PARITY, family=Family.FAIRNESS, severity=Severity.BLOCK, value=0.29, threshold=0.15,
        groups=("white", "not white"),
    )  # fmt: skip
    return Report(
        model=model,
        version=version,
        window=Window(end - 300, end),
        revision=0,
        status=Status.OK,
        severity=Severity.BLOCK if unfair else Severity.PASS,
        n=1200,
        n_reference=9000,
        drift=(
            ColumnDrift(feature="age", kind="numeric", psi=0.01, ks=0.02),
            ColumnDrift(feature="MIL", kind="numeric", psi=0.15 if unfair else 0.0, ks=0.1),
        ),
        prediction_drift=(ColumnDrift(feature="prediction", kind="categorical", psi=0.01),),
        fairness=(replace(found, severity=Severity.BLOCK if unfair else Severity.PASS),),
        breaches=(breach,) if unfair else (),
        distributions=(
            Distribution(
                feature="MIL", cells=(DistributionCell("0", 0.2, 0.9 if unfair else 0.2),)
            ),
        ),
        closed_at=end + 12,
    )


def rolled_back(*stages: Stage) -> list[Decision]:
    windows = tuple(window(n, unfair=True).window for n in (-4, -3, -2))
    judged = Verdict(
        model="credit", version="2", window=windows[-1], revision=0, severity=Severity.BLOCK,
        action=Action.ROLLBACK, rule=PARITY, family=Family.FAIRNESS, streak=3, windows=windows,
        values=(0.27, 0.28, 0.29), threshold=0.15, lower_bound=0.13, reason="three in a row",
        closed_at=NOW - 590,
    )  # fmt: skip
    return [
        Decision(
            decision_id=f"r:{stage.value}", rollback_id="r", model="credit", from_version="2", to_version="1",
            action=Action.ROLLBACK, stage=stage, reason="three in a row", at=NOW - 588 + number, verdict=judged,
        )
        for number, stage in enumerate(stages)
    ]  # fmt: skip


STORY = [
    *(window(n) for n in (-6, -5)),
    *(window(n, unfair=True) for n in (-4, -3, -2)),
    *(window(n, "1") for n in (-1, 0)),
]
STEPS = rolled_back(Stage.INTENT, Stage.DONE, Stage.CONFIRMED)


def shown_model(reports, decisions, serves="1", now=NOW + 20):
    (standing,) = heard(stand(reports, decisions, lambda _: serves, now=now), Policy())
    return model_page(reports, decisions, standing, Policy(), now=now)


# -------------------------------------------------------------------------------------------- words


def test_who_is_harmed_is_said_with_both_rates_and_how_many_people_that_is():
    report = window(0, unfair=True)
    assert harmed(report, report.breaches[0]) == (
        "People with race not white got the favourable answer 26% of the time; white 57%.",
        "That is about 87 of 300 people in this window, beyond the gap that the reference had too.",
    )


def test_a_damaged_column_names_the_people_whose_data_it_is():
    finding = Finding(
        check="zero_surge", feature="MIL", share=1, baseline_share=0.2,
        group={"race": "not white"}, sentence="surge of value 0",
    )  # fmt: skip
    breach = Breach(
        rule="zero_surge[MIL]", family=Family.QUALITY, severity=Severity.BLOCK, value=0.8,
        threshold=0.3, sentence="surge of value 0",
    )  # fmt: skip
    report = replace(window(0), quality=(finding,), breaches=(breach,))
    assert harmed(report, breach) == ("People with race not white: their MIL arrives damaged.",)


def test_drift_that_harms_no_group_says_so():
    breach = Breach(
        rule="psi[age]", family=Family.DRIFT, severity=Severity.BLOCK, value=0.3, threshold=0.2
    )
    found = answers_of(replace(window(0), breaches=(breach,)), [], ModelPolicy())
    assert found.harmed[0].startswith("Nobody in particular")


def test_of_one_family_the_plainest_breach_speaks():
    of_race = window(0, unfair=True).breaches[0]
    both = replace(of_race, rule="demographic_parity_difference[sex & race]", value=0.5)
    ratio = replace(of_race, rule="disparate_impact[race]", value=0.4)
    assert gravest([both, ratio, of_race]) == [of_race]


# -------------------------------------------------------------------------------------------- fleet


def test_who_wants_attention_stands_on_top_and_the_title_counts_them():
    models = {
        "well": [window(0, model="well")],
        "credit": [window(0, unfair=True)],
        "quiet": [window(-30, model="quiet")],
    }
    page = fleet_of(models, [], lambda _: "2", Policy(), now=NOW + 20)
    assert [(row.model, row.state.word) for row in page.rows] == [
        ("credit", "breach"),
        ("quiet", "silent"),
        ("well", "well"),
    ]
    assert page.title == "1 of 3 models needs you now"
    assert page.rows[0].harmed.startswith("People with race not white")


def test_an_empty_fleet_says_that_nothing_was_seen():
    page = fleet_of({}, [], lambda _: None, Policy(), now=NOW)
    assert (page.title, page.rows) == ("No window has closed yet", ())


# -------------------------------------------------------------------------------------------- model


def test_after_a_rollback_the_page_speaks_of_what_was_undone():
    page = shown_model(STORY, STEPS)
    assert page.title == "Version 2 was rolled back; version 1 answers fairly"
    assert page.incident is not None
    assert page.incident.report.window == STORY[4].window
    assert [step.text for step in page.answers.done] == [
        "Decided to move champion from version 2 to 1.",
        "Champion moved from version 2 to 1.",
        "Confirmed: version 1 answers again.",
    ]
    assert page.answers.next[0].text.startswith("The harm has stopped")


def test_a_breach_before_any_decision_says_when_the_monitor_acts():
    page = shown_model([window(0, unfair=True)], [], serves="2")
    assert page.title == "Version 2 breaches its policy"
    assert (
        page.answers.done[0].text == "Nothing yet: the monitor acts after 3 such windows in a row."
    )
    assert any(step.command.startswith("monitor rollback") for step in page.answers.next)


def test_a_failed_rollback_asks_for_a_person_first():
    failed = [replace(one, to_version=None) for one in rolled_back(Stage.FAILED)]
    page = shown_model([window(0, unfair=True)], failed, serves="2")
    assert page.state.word == "person needed"
    assert page.answers.next[0].text.startswith("A person is needed")


def test_what_changed_most_is_the_heat_maps_first_row():
    page = shown_model(STORY, STEPS)
    assert [name for name, _ in page.heat] == ["MIL", "age"]
    assert [cell.shade for cell in page.heat[0][1]] == [0, 0, 3, 3, 3, 0, 0]


def test_charts_mark_the_rollback_and_the_policys_levels():
    page = shown_model(STORY, STEPS)
    layout = page.figures["e0"]["layout"]
    assert [shape["y0"] for shape in layout["shapes"][1:]] == [0.05, 0.15]
    assert "rollback 2 → 1" in layout["annotations"][0]["text"]
    names = {trace["name"]: len(trace["x"]) for trace in page.figures["e0"]["data"]}
    assert names == {"within its level": 4, "proven past it": 3}


def test_a_groups_line_ends_where_another_version_takes_over():
    traces = charts.treatment([(r, r.fairness[0]) for r in STORY], [])["data"]
    lengths = [(trace["name"], len(trace["x"]), trace["showlegend"]) for trace in traces]
    assert lengths == [
        ("not white", 5, True), ("not white", 2, False), ("white", 5, True), ("white", 2, False),
    ]  # fmt: skip


def test_a_name_in_a_chart_is_no_markup():
    odd = replace(window(0), version="<b>2</b>")
    text = str(charts.traffic([odd], []))
    assert "<b>" not in text
    assert "&lt;b&gt;" in text


# ---------------------------------------------------------------------------- window and decision


def test_a_windows_page_ranks_features_and_shows_them_then_and_now():
    page = window_page(STORY[4], STORY, STEPS, ModelPolicy())
    assert page.title == "Groups are treated differently"
    assert [column.ranked.drift.feature for column in page.features] == ["MIL", "age"]
    assert page.features[0].figure in page.figures
    (race,) = page.attributes
    assert [(g.name, g.is_least) for g in race.groups] == [("not white", True), ("white", False)]
    assert race.groups[0].lower < 0.26 < race.groups[0].upper
    assert page.before == links.window(STORY[3])
    assert page.after == links.window(STORY[5])
    assert len(page.answers.done) == 3


def test_a_window_that_no_decision_rests_on_shows_none():
    page = window_page(STORY[0], STORY, STEPS, ModelPolicy())
    assert page.answers.done[0].text == "Nothing, and nothing had to be."
    assert not page.attributes[0].groups[0].is_least


def test_what_turned_out_to_be_true_stands_on_the_windows_page_with_each_groups_share():
    labelled = replace(
        STORY[4],
        basis=Basis.LABELLED,
        labelled=900,
        fairness=(
            measure(
                0.5, 0.8, metric="equal_opportunity_difference", block=0.2, severity=Severity.BLOCK
            ),
            measure(0.5, 0.6, metric="accuracy_difference"),
        ),
        performance=(
            PerformanceMeasure(metric="accuracy", n=900, value=0.71, lower=0.68, baseline=0.82),
            PerformanceMeasure(
                metric="accuracy", n=200, value=0.55, attributes=("race",), group="not white"
            ),
            PerformanceMeasure(
                metric="precision", n=80, value=0.9, attributes=("race",), group="not white"
            ),
            PerformanceMeasure(
                metric="accuracy", n=700, value=0.76, attributes=("race",), group="white"
            ),
        ),
    )
    page = window_page(STORY[4], STORY, STEPS, ModelPolicy(), labelled=labelled)
    assert page.labels is not None
    assert page.labels.coverage == 0.75
    (race,) = page.labels.groups
    assert race.groups == (("not white", 200, (0.55, 0.9)), ("white", 700, (0.76, None)))
    ((_, broken),) = page.labels.broken
    assert broken.level == "0.2", "the level that it was judged by, not today's"
    assert len(page.labels.within) == 1
    text = show.page("window", now=NOW, viewer=None, page=page).body.decode()
    assert "900 of the predictions have a label, 75.0%." in text
    assert "equal opportunity difference of race" in text


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(accuracy=0.81, reference=0.83), "81.0% of the answers are right, 83.0% of the"),
        (Estimate(withheld="the inputs drift: MIL"), "expect nothing: the inputs drift: MIL."),
    ],
)
def test_before_labels_come_a_window_says_what_its_scores_let_expect(estimate, said):
    report = replace(STORY[0], estimate=estimate)
    page = window_page(report, STORY, [], ModelPolicy())
    assert said in show.page("window", now=NOW, viewer=None, page=page).body.decode()


def test_a_decisions_page_links_the_windows_that_are_still_kept():
    page = decision_page(STEPS, STORY[3:5], Audit(), ModelPolicy())
    assert page.title == "Rolled back from version 2 to 1, and confirmed"
    assert [(e.value, bool(e.href)) for e in page.evidence] == [
        (0.27, False), (0.28, True), (0.29, True),
    ]  # fmt: skip
    assert page.took == "3.0 seconds"
    assert page.answers.harmed[0].startswith("People with race not white")


@pytest.mark.parametrize("stage", Stage)
def test_each_stage_of_a_decision_has_its_words(stage: Stage):
    page = decision_page(rolled_back(stage), STORY, Audit(), ModelPolicy())
    assert "ersion 2" in page.title
    assert page.answers.done[0].text.endswith(".")
    assert shown_model(STORY, rolled_back(stage)).events[0].said == page.title


def test_an_audit_record_that_was_altered_is_no_proof(tmp_path):
    path = tmp_path / "audit.jsonl"
    assert "not on this machine" in audit_of(path, {"r:done"}).fault
    path.write_text('{"seq": 0}\n')
    assert "chain is broken" in audit_of(path, {"r:done"}).fault


# ------------------------------------------------------------------------------------------ reading


def test_a_store_is_read_once_for_all_who_look_and_a_late_revision_marks_its_model():
    asked, clock = [], SimpleNamespace(now=0.0)
    kept = [window(0), window(0, model="other")]

    def reports(*, limit: int) -> list[Report]:
        asked.append(limit)
        return list(kept)

    store = SimpleNamespace(reports=reports, decisions=lambda *, limit: [], newest=lambda: kept[:1])
    recent = Recent(lambda: store, clock=lambda: clock.now)
    before = recent.look()
    assert recent.look() is before
    assert len(asked) == 1
    kept[0] = replace(kept[0], revision=1)
    clock.now += 10
    after = recent.look()
    assert {m for m in after.marks if after.marks[m] != before.marks[m]} == {"credit"}


def test_among_hundreds_of_models_each_is_seen_at_its_newest_window_and_a_silent_one_stays(
    tmp_path,
):
    store, clock = SqliteStore(tmp_path / "fleet.db"), SimpleNamespace(now=0.0)
    models = [f"model-{number:03}" for number in range(1500)]
    store.write([window(0, model=model) for model in models], [])
    recent = Recent(lambda: store, clock=lambda: clock.now)
    assert set(recent.look().reports) == set(models)
    spoke = models[:-1]
    store.write([window(1, model=model) for model in spoke], [])
    clock.now += ALL_FRESH + 1
    seen = recent.look().reports
    assert {model: len(seen[model]) for model in models} == dict.fromkeys(spoke, 2) | {
        models[-1]: 1
    }
    store.close()


def test_a_page_does_not_wait_for_a_registry_that_hangs():
    go_on = threading.Event()

    def ask(_: str) -> str:
        go_on.wait(60)
        return "7"

    serving = Serving(ask)
    try:
        assert serving.version("credit") is None
        go_on.set()
        until(lambda: serving.version("credit") == "7", deadline=60)
    finally:
        go_on.set()
        serving.close()


def test_a_registry_that_is_away_leaves_the_version_unknown():
    def ask(model: str) -> str:
        raise RegistryUnavailable("MLflow does not answer", where=model)

    serving = Serving(ask)
    assert serving.version("credit") is None
    serving.close()


@pytest.mark.parametrize("name", ["a/b", "<b>", "50 %", "ü?x#y", "versions/1/windows/0-1"])
def test_any_name_makes_an_address_without_losing_itself(name):
    from urllib.parse import unquote

    address = links.model(name)
    assert address.count("/") == 2
    assert unquote(address.removeprefix("/models/")) == name
