"""What an actor does with verdicts, on parts in memory."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from monitor.actions.actor import CONFIRM_WITHIN, Actor
from monitor.actions.by_hand import rollback_by_hand
from monitor.actions.rollback import OLDEST_VERDICT
from monitor.errors import (
    ActionRefused,
    NoticeError,
    RegistryError,
    RegistryUnavailable,
    VersionNotFound,
)
from monitor.registry.versions import (
    BAD,
    RESTORED_FROM_TAG,
    RESTORED_ID_TAG,
    ROLLED_BACK_AT_TAG,
    ROLLED_BACK_ID_TAG,
    ROLLED_BACK_WHY_TAG,
    STATE_TAG,
)
from monitor.reports import Action, Basis, Family, Severity, Stage
from monitor.stores.points import nanoseconds
from tests.acting import MODEL, Crash, World, verdict


@pytest.fixture
def world():
    return World()


@pytest.fixture
def actor(world):
    return Actor(world.means)


def test_the_alias_goes_back_to_the_latest_earlier_version_with_a_clean_record(world, actor):
    assert actor.consider(verdict())
    assert world.registry.aliases["champion"] == "2"
    assert world.log.stages == [Stage.INTENT, Stage.DONE]
    assert world.notices.kinds == ["rolled_back"]


def test_both_versions_say_afterwards_what_happened_to_them(world, actor):
    actor.consider(verdict())
    rollback_id = world.log.decisions[0].rollback_id
    left, target = world.registry.tags["3"], world.registry.tags["2"]
    assert left[STATE_TAG] == BAD
    assert left[ROLLED_BACK_ID_TAG] == target[RESTORED_ID_TAG] == rollback_id
    assert left[ROLLED_BACK_AT_TAG].startswith("1970-01-12T")
    assert "the gap is past 0.15" in left[ROLLED_BACK_WHY_TAG]
    assert target[RESTORED_FROM_TAG] == "3"


def test_a_version_without_a_baseline_or_tagged_bad_is_never_gone_back_to():
    world = World(versions=5)
    world.registry.baselines = {"1", "2", "3", "5"}
    world.registry.tags["3"][STATE_TAG] = BAD
    Actor(world.means).consider(verdict("5"))
    assert world.registry.aliases["champion"] == "2"


def test_without_a_clean_earlier_version_previous_champion_is_taken(world, actor):
    world.registry.baselines = {"3"}
    world.registry.aliases["previous_champion"] = "1"
    actor.consider(verdict())
    assert world.registry.aliases["champion"] == "1"


@pytest.mark.parametrize("previous", [None, "3", "2", "9"])
def test_where_there_is_no_way_back_a_person_is_asked_for_once(world, actor, previous):
    world.registry.baselines = {"3"}
    world.registry.tags["2"][STATE_TAG] = BAD
    if previous:
        world.registry.aliases["previous_champion"] = previous
    for last in range(3, 6):
        assert actor.consider(verdict(last=last, length=last))
    assert world.registry.moves == []
    assert world.log.stages == [Stage.FAILED]
    (notice,) = world.notices.notices.values()
    assert "a person is needed" in notice.title
    assert any(step.startswith("monitor rollback --model credit --to") for step in notice.steps)


def test_a_breach_is_acted_on_once_however_long_it_goes_on(world, actor):
    for last in range(3, 40):
        length = min(last, 5)  # the engine forgets old windows
        actor.consider(verdict(last=last, length=length))
    assert len(world.registry.moves) == 1
    assert set(world.log.stages[2:]) == {Stage.RECORDED}


def test_a_person_who_puts_the_version_back_is_not_overruled_while_the_breach_goes_on(world, actor):
    actor.consider(verdict(last=3))
    world.registry.aliases["champion"] = "3"
    for last in range(4, 40):
        world.time += 300
        actor.consider(verdict(last=last, length=3))
        actor = Actor(world.means)  # nor by the next process
    assert world.registry.aliases["champion"] == "3"


def test_nor_after_a_few_windows_of_the_target_that_were_well(world, actor):
    actor.consider(verdict(last=3))
    world.registry.aliases["champion"] = "3"
    for last in range(4, 31):
        actor.consider(verdict(last=last, length=min(last, 12)))
    for last in range(28, 31):  # confirmed, and resolved
        actor.consider(clean("2", last, closed_at=world.time + 9))
    assert world.log.stages[-1] is Stage.RESOLVED
    world.time += 4000
    Actor(world.means).consider(verdict(last=31, length=12, closed_at=world.time))
    assert len(world.registry.moves) == 1


def test_a_new_breach_of_a_version_that_was_put_back_is_acted_on(world, actor):
    actor.consider(verdict(last=3))
    world.registry.aliases["champion"] = "3"
    world.time += 7200
    actor.consider(verdict(last=30, closed_at=world.time))
    assert world.registry.aliases["champion"] == "2"
    assert len(world.registry.moves) == 2


def test_another_rule_of_the_same_windows_is_the_same_breach(world, actor):
    actor.consider(verdict(last=3, length=1, rule="psi[prediction]", severity=Severity.SEVERE))
    world.registry.aliases["champion"] = "3"
    world.time += 7200
    Actor(world.means).consider(verdict(last=3, length=3))
    assert len(world.registry.moves) == 1


def test_a_version_that_the_alias_does_not_name_is_not_rolled_back(world, actor):
    world.registry.aliases["champion"] = "1"
    actor.consider(verdict())
    actor.consider(verdict(last=4, length=4))
    assert world.registry.moves == []
    assert world.log.stages == [Stage.RECORDED]
    assert "champion names version 1, not 3" in world.log.decisions[0].reason


def test_a_person_who_moves_the_alias_between_intent_and_move_wins(world, actor):
    def person(_):
        world.registry.aliases["champion"] = "1"

    world.log.after = person
    actor.consider(verdict())
    world.registry.aliases["champion"] = "3"  # and back
    actor.consider(verdict(last=4, length=4))
    assert world.registry.moves == []
    assert world.log.stages == [Stage.INTENT, Stage.REFUSED]
    assert "a person moved champion to version 1" in world.log.decisions[1].reason


def test_a_person_who_moves_the_alias_just_after_it_was_moved_wins(world, actor):
    def person(call):
        if call == "tag":
            world.registry.aliases["champion"] = "1"

    world.registry.before = person
    actor.consider(verdict())
    assert world.registry.aliases["champion"] == "1"
    assert world.log.stages == [Stage.INTENT, Stage.REFUSED]
    assert STATE_TAG not in world.registry.tags["3"]


def test_a_target_that_turned_bad_meanwhile_is_not_gone_to_and_another_is_taken_next(world, actor):
    def person(_):
        world.registry.tags["2"][STATE_TAG] = BAD

    world.log.after = person
    actor.consider(verdict())
    assert world.log.stages == [Stage.INTENT, Stage.FAILED]
    actor.consider(verdict(last=4, length=4))
    assert world.registry.aliases["champion"] == "1"


def test_within_the_cooldown_nothing_is_moved_and_after_it_the_breach_is_acted_on(world):
    actor = Actor(world.means)
    actor.consider(verdict("3"))
    world.time += 60
    actor.consider(verdict("2", last=4, closed_at=world.time))
    assert world.registry.aliases["champion"] == "2"
    assert world.log.decisions[-1].stage is Stage.REFUSED
    world.time += 3600
    actor.consider(verdict("2", last=5, length=4, closed_at=world.time))
    assert world.registry.aliases["champion"] == "1"


@pytest.mark.parametrize("where", ["policy", "verdict"])
def test_a_dry_run_decides_and_tells_and_moves_nothing(where):
    world = World(dry_run=where == "policy")
    actor = Actor(world.means)
    for last in (3, 4):
        actor.consider(verdict(last=last, length=last, dry_run=where == "verdict"))
    assert world.registry.moves == []
    assert world.log.stages == [Stage.RECORDED]
    (notice,) = world.notices.notices.values()
    assert notice.title == "Dry run: credit: champion would go back from version 3 to 2"


def test_while_the_registry_is_away_the_verdict_waits_and_people_hear_of_it_once(world, actor):
    world.registry.away = True
    assert not actor.consider(verdict())
    assert not actor.consider(verdict())
    assert world.notices.kinds == ["waiting"]
    world.registry.away = False
    assert actor.consider(verdict())
    assert world.registry.aliases["champion"] == "2"


def test_an_outage_after_the_intent_is_waited_out_until_a_person_has_moved_the_alias(world, actor):
    def away(_):
        world.registry.away = True

    world.log.after = away
    assert not actor.consider(verdict())
    world.log.after = lambda _: None
    world.registry.away = False
    world.registry.aliases["champion"] = "1"
    assert actor.consider(verdict())
    assert world.log.stages == [Stage.INTENT, Stage.REFUSED]


def test_a_verdict_of_days_ago_moves_nothing_and_wakes_nobody(world, actor):
    world.time += OLDEST_VERDICT + 1
    actor.consider(verdict())
    actor.consider(verdict(action=Action.NOTIFY))
    assert world.registry.moves == []
    assert world.notices.kinds == []
    assert world.log.stages == [Stage.RECORDED, Stage.NOTIFIED]


@pytest.mark.parametrize(
    ("action", "stage", "kinds"),
    [(Action.NOTIFY, Stage.NOTIFIED, ["breach"]), (Action.RECORD, Stage.RECORDED, [])],
)
def test_what_asks_for_less_than_a_rollback_is_told_or_recorded_once(
    world, actor, action, stage, kinds
):
    for _ in range(3):
        actor.consider(verdict(action=action))
    assert world.log.stages == [stage]
    assert world.notices.kinds == kinds
    assert world.registry.moves == []


def test_a_rollback_is_confirmed_when_a_later_window_of_its_target_closes(world, actor):
    actor.consider(verdict(last=3))
    quiet = {"action": Action.NONE, "rule": None, "streak": 0}
    actor.consider(verdict("2", last=3, length=1, closed_at=world.time + 9, **quiet))
    actor.consider(verdict("2", last=4, length=1, closed_at=world.time - 9, **quiet))
    actor.consider(verdict("3", last=4, length=1, closed_at=world.time + 9, **quiet))
    assert Stage.CONFIRMED not in world.log.stages
    for last in (4, 5):
        actor.consider(verdict("2", last=last, length=1, closed_at=world.time + 9, **quiet))
    assert world.log.stages == [Stage.INTENT, Stage.DONE, Stage.CONFIRMED]
    assert world.notices.kinds == ["rolled_back", "confirmed"]


def test_a_rollback_that_serving_does_not_follow_is_told_once(world, actor):
    actor.consider(verdict())
    actor.doubt([MODEL])
    assert world.notices.kinds == ["rolled_back"]
    world.time += CONFIRM_WITHIN + 1
    actor.doubt([MODEL])
    actor.doubt([MODEL])
    assert world.notices.kinds == ["rolled_back", "unconfirmed"]


def test_nor_is_it_forgotten_when_the_process_is_started_anew_but_by_then_it_may_be_history(
    world, actor
):
    actor.consider(verdict())
    world.time += OLDEST_VERDICT + 1
    Actor(world.means).doubt([MODEL])
    assert world.notices.kinds == ["rolled_back"]
    world.time -= OLDEST_VERDICT - CONFIRM_WITHIN - 1
    Actor(world.means).doubt([MODEL])
    assert world.notices.kinds == ["rolled_back", "unconfirmed"]


def test_an_outbox_that_fails_does_not_stop_a_rollback(world, actor):
    def full(_):
        raise NoticeError("the disk is full")

    world.notices.put = full
    assert actor.consider(verdict())
    assert world.registry.aliases["champion"] == "2"


def test_the_notice_says_how_long_it_took_from_the_first_breach(world, actor):
    actor.consider(verdict(last=1, length=1, action=Action.NONE, closed_at=world.time - 61))
    actor.consider(verdict(last=3, length=3))
    (notice,) = world.notices.notices.values()
    assert dict(notice.facts)["First breach to rollback"] == "61 s"


def test_a_model_that_is_gone_is_recorded_as_failed(world, actor):
    def gone(call):
        if call == "alias":
            raise VersionNotFound("no such model", where=MODEL)

    world.registry.before = gone
    assert actor.consider(verdict())
    assert world.log.stages == [Stage.FAILED]


def test_a_rollback_whose_tags_are_refused_is_done_and_says_so(world, actor):
    def gone(call):
        if call == "tag":
            world.registry.tags.pop("3", None)  # deleted just after it was left

    world.registry.before = gone
    assert actor.consider(verdict())
    assert world.registry.aliases["champion"] == "2"
    assert world.log.stages == [Stage.INTENT, Stage.DONE]
    assert "not tagged: 3: no such version" in world.log.decisions[-1].reason
    assert world.notices.kinds == ["rolled_back"]


def test_a_version_whose_tags_were_refused_is_not_gone_back_to_either():
    world = World(versions=4)
    registry = world.registry
    registry.aliases["champion"] = "3"
    kept = registry.tags["3"]
    registry.before = lambda call: registry.tags.pop("3", None) if call == "tag" else None
    Actor(world.means).consider(verdict("3"))
    registry.before = lambda call: None
    registry.tags["3"] = kept
    registry.aliases["champion"] = "4"
    world.time += 4000
    Actor(world.means).consider(verdict("4", last=20, closed_at=world.time))
    assert registry.aliases["champion"] == "2"
    kept[ROLLED_BACK_ID_TAG] = "tagged later, and a person has deleted its state since"
    registry.aliases["champion"] = "4"
    world.time += 4000
    Actor(world.means).consider(verdict("4", last=40, closed_at=world.time))
    assert registry.aliases["champion"] == "3"


@pytest.mark.parametrize("family", [Family.FAIRNESS, Family.PREDICTION, Family.PERFORMANCE])
def test_a_version_that_is_in_breach_itself_is_not_gone_back_to_until_that_is_over(family):
    world = World(versions=4)
    world.registry.aliases["champion"] = "3"
    actor = Actor(world.means)
    actor.consider(verdict("2", action=Action.NOTIFY, family=family))
    actor.consider(verdict("3", last=9))
    assert world.registry.aliases["champion"] == "1"
    for last in (10, 11, 12):
        actor.consider(clean("2", last))
    world.registry.aliases["champion"] = "4"
    world.time += 4000
    actor.consider(verdict("4", last=20, closed_at=world.time))
    assert world.registry.aliases["champion"] == "2"


def test_nor_is_one_that_a_person_replaced_before_it_could_be_rolled_back_until_it_is_well(world):
    def person(_):
        world.registry.aliases["champion"] = "3"

    world.registry.aliases["champion"] = "2"
    world.log.after = person
    actor = Actor(world.means)
    actor.consider(verdict("2"))
    world.log.after = lambda _: None
    actor.consider(verdict("3", last=9))
    assert world.log.stages == [Stage.INTENT, Stage.REFUSED, Stage.INTENT, Stage.DONE]
    assert world.registry.aliases["champion"] == "1"
    for last in (10, 11, 12):
        actor.consider(clean("2", last))
    assert world.notices.kinds == ["held_back", "rolled_back", "resolved"]


def test_nor_is_one_whose_own_rollback_failed(world, actor):
    world.registry.baselines = {"2", "3"}
    world.registry.aliases |= {"champion": "2", "previous_champion": "2"}
    actor.consider(verdict("2"))
    world.registry.aliases["champion"] = "3"
    actor.consider(verdict("3", last=9))
    assert world.log.stages == [Stage.FAILED, Stage.FAILED]
    assert world.registry.moves == []


@pytest.mark.parametrize("family", [Family.DRIFT, Family.QUALITY, Family.TREND])
def test_what_every_version_would_meet_keeps_none_from_being_gone_back_to(world, actor, family):
    actor.consider(verdict("2", action=Action.NOTIFY, family=family))
    actor.consider(verdict("3", last=9))
    assert world.registry.aliases["champion"] == "2"


@pytest.mark.parametrize("step", range(1, 24))
def test_after_a_crash_at_any_call_it_is_gone_on_with(step):
    world = World()
    calls = 0

    def crash(_):
        nonlocal calls
        calls += 1
        if calls == step:
            raise Crash

    world.registry.before = world.log.before = world.log.after = crash
    crashed = False
    try:
        Actor(world.means).consider(verdict())
    except Crash:
        crashed = True
    assert crashed == (step <= calls)
    Actor(world.means).consider(verdict())
    assert len(world.registry.moves) == 1
    assert world.log.stages == [Stage.INTENT, Stage.DONE]
    assert world.notices.kinds == ["rolled_back"]


# -------------------------------------------------------------------------------------------- the end of it


def clean(version: str, last: int, **about):
    """A judged window that breaks no rule."""
    quiet = {"action": Action.NONE, "rule": None, "streak": 0, "severity": Severity.PASS}
    return verdict(version, last=last, length=1, baseline_sha256="b", **{**quiet, **about})


def test_people_hear_that_it_is_over_once_as_many_windows_are_clean_as_made_it_begin(world, actor):
    actor.consider(verdict(last=3, action=Action.NOTIFY))
    actor.consider(clean("3", 4))
    actor.consider(clean("3", 5))
    assert world.notices.kinds == ["breach"]
    actor.consider(
        verdict(last=6, length=1, action=Action.NONE)
    )  # a window that breaks a rule: from the start
    for last in (7, 8):
        actor.consider(clean("3", last))
    actor.consider(clean("3", 9, severity=Severity.INSUFFICIENT))  # says nothing either way
    assert world.notices.kinds == ["breach"]
    for last in range(10, 20):
        actor.consider(clean("3", last))
    assert world.notices.kinds == ["breach", "resolved"]
    assert world.log.stages == [Stage.NOTIFIED, Stage.RESOLVED]


def test_a_breach_that_flickers_is_told_once_and_again_after_it_was_over(world, actor):
    actor.consider(verdict(last=3, action=Action.NOTIFY))
    actor.consider(clean("3", 4))
    actor.consider(verdict(last=7, action=Action.NOTIFY))
    Actor(world.means).consider(verdict(last=7, action=Action.NOTIFY))  # nor by the next process
    assert world.notices.kinds == ["breach"]
    assert world.log.stages == [Stage.NOTIFIED, Stage.RECORDED]
    for last in range(8, 11):
        actor.consider(clean("3", last))
    actor.consider(verdict(last=14, action=Action.NOTIFY))
    assert world.notices.kinds == ["breach", "resolved", "breach"]


def test_a_breach_that_grows_severe_is_told_though_people_know_of_it(world, actor):
    actor.consider(verdict(last=3, action=Action.NOTIFY))
    actor.consider(verdict(last=7, action=Action.NOTIFY, severity=Severity.SEVERE))
    assert world.notices.kinds == ["breach", "breach"]


def test_a_rollback_is_over_when_the_restored_version_has_been_well(world, actor):
    actor.consider(verdict(last=3))
    for last in range(4, 9):
        actor.consider(clean("2", last, closed_at=world.time + 9))
        actor = Actor(world.means) if last == 7 else actor
    assert world.notices.kinds == ["rolled_back", "confirmed", "resolved"]
    (*_, resolved) = world.notices.notices.values()
    assert resolved.title == "credit: resolved, 3 windows of version 2 in a row break no rule"
    assert resolved.thread == "credit:3"


def test_a_failed_rollback_is_over_when_its_own_version_is_well_again(world, actor):
    world.registry.baselines = {"3"}
    actor.consider(verdict(last=3))
    for last in range(4, 9):
        actor.consider(clean("3", last))
    assert world.notices.kinds == ["failed", "resolved"]


def test_what_ends_together_is_told_once_and_each_has_a_microsecond_of_its_own(world, actor):
    for rule in ("psi[prediction]", "demographic_parity_difference[race]"):
        actor.consider(verdict(action=Action.NOTIFY, rule=rule))
    for last in (4, 5, 6):
        actor.consider(clean("3", last))
    *_, first, second = world.log.decisions
    assert (first.stage, second.stage) == (Stage.RESOLVED, Stage.RESOLVED)
    assert nanoseconds(first.at) < nanoseconds(second.at)
    assert world.notices.kinds == ["breach", "breach", "resolved"]


def test_its_end_finds_the_incident_that_was_paged_though_another_rule_speaks_for_it_since(
    world, actor
):
    def refuse(call):
        if call == "set_alias":
            raise RegistryError("not allowed")

    world.registry.before = refuse
    actor.consider(verdict(last=3))
    actor.consider(verdict(last=4, length=4, rule="disparate_impact[race]"))
    for last in (5, 6, 7):
        actor.consider(clean("3", last))
    assert world.notices.kinds == ["failed", "resolved"]
    paged, over = world.notices.notices.values()
    assert paged.incident == over.incident == "credit:3:demographic_parity_difference[race]"


def labelled(said):
    """The same, by the labels of its windows."""
    return replace(said, basis=Basis.LABELLED)


def test_what_labels_began_is_over_when_labels_say_so_and_not_before(world, actor):
    actor.consider(
        labelled(verdict(action=Action.NOTIFY, rule="accuracy_loss", family=Family.PERFORMANCE))
    )
    for last in range(100, 105):
        actor.consider(clean("3", last))
    assert world.notices.kinds == ["breach"]
    for last in (4, 5):
        actor.consider(labelled(clean("3", last)))
    actor.consider(labelled(clean("3", 6, severity=Severity.INSUFFICIENT)))
    assert world.notices.kinds == ["breach"]
    actor.consider(labelled(clean("3", 6)))
    assert world.notices.kinds == ["breach", "resolved"]


def test_nor_do_labels_end_what_they_did_not_begin_or_confirm_that_events_arrive(world, actor):
    actor.consider(verdict(last=3))
    for last in range(4, 8):
        actor.consider(labelled(clean("2", last, closed_at=world.time + 9)))
    assert world.notices.kinds == ["rolled_back"]
    for last in range(4, 8):
        actor.consider(clean("2", last, closed_at=world.time + 9))
    assert world.notices.kinds == ["rolled_back", "confirmed", "resolved"]


def test_a_version_that_is_restored_again_must_be_well_for_as_long_again():
    world = World(versions=4)
    world.registry.aliases["champion"] = "3"
    actor = Actor(world.means)
    actor.consider(verdict("3", last=3))
    for last in (4, 5, 6):
        actor.consider(clean("2", last, closed_at=world.time + 9))
    world.registry.aliases["champion"] = "4"
    world.time += 7200
    actor.consider(verdict("4", last=30, closed_at=world.time))
    assert world.registry.aliases["champion"] == "2"
    for last in (31, 32):
        actor.consider(clean("2", last, closed_at=world.time + 9))
    assert world.notices.kinds.count("resolved") == 1
    actor.consider(clean("2", 33, closed_at=world.time + 9))
    assert world.notices.kinds.count("resolved") == 2


def test_a_window_that_comes_again_revised_is_not_one_more_clean_window(world, actor):
    actor.consider(verdict(last=3, action=Action.NOTIFY))
    for revision in range(5):
        actor.consider(clean("3", 4, revision=revision))
    actor.consider(clean("3", 5))
    assert world.notices.kinds == ["breach"]
    actor.consider(clean("3", 6))
    assert world.notices.kinds == ["breach", "resolved"]


def test_nothing_is_said_twice_by_the_next_process(world, actor):
    story = [verdict(last=3), *(clean("2", n, closed_at=world.time + 9) for n in range(4, 9))]
    for said in story:
        actor.consider(said)
    again = Actor(world.means)
    for said in story:
        again.consider(said)
    assert world.notices.kinds == ["rolled_back", "confirmed", "resolved"]
    assert len(world.log.decisions) == len({d.decision_id for d in world.log.decisions})


# ------------------------------------------------------------------------------------------- by hand


def by_hand(world, to="2", reason="complaints", **about):
    return rollback_by_hand(
        world.registry,
        world.log,
        model=MODEL,
        to=to,
        reason=reason,
        actor="ada",
        now=lambda: world.time,
        **about,
    )


def test_a_person_rolls_back_on_record(world):
    done = by_hand(world)
    assert (done.stage, done.actor, done.from_version) == (Stage.DONE, "ada", "3")
    assert world.registry.aliases["champion"] == "2"
    assert world.registry.tags["3"][STATE_TAG] == BAD
    assert world.log.stages == [Stage.INTENT, Stage.DONE]


def test_going_forward_by_hand_does_not_tag_the_earlier_version_bad(world):
    world.registry.aliases["champion"] = "1"
    by_hand(world, to="2")
    assert STATE_TAG not in world.registry.tags["1"]


def test_a_dry_run_by_hand_moves_and_writes_nothing(world):
    assert by_hand(world, dry_run=True).dry_run
    assert world.registry.moves == []
    assert world.log.decisions == []


def test_what_a_person_may_not_do_is_refused_with_a_reason(world):
    world.registry.tags["2"][STATE_TAG] = BAD
    with pytest.raises(ActionRefused, match=r"delete its tag monitor\.state"):
        by_hand(world, to="2")
    with pytest.raises(ActionRefused, match="already"):
        by_hand(world, to="3")
    with pytest.raises(ActionRefused, match="no reason is given"):
        by_hand(world, to="1", reason=" ")
    with pytest.raises(VersionNotFound, match="Choose one of these: 1, 2, 3"):
        by_hand(world, to="7")
    world.registry.aliases.clear()
    with pytest.raises(ActionRefused, match="names no version"):
        by_hand(world, to="1")
    assert world.log.decisions == []


def test_two_people_at_once_are_told(world):
    def other(call):
        if call == "alias" and world.registry.moves:
            world.registry.aliases["champion"] = "1"

    world.registry.before = other
    with pytest.raises(ActionRefused, match="somebody else moved it to version 1"):
        by_hand(world)
    assert world.log.stages == [Stage.INTENT, Stage.FAILED]


def test_a_rollback_by_hand_that_could_not_tag_is_done_and_asked_again_it_tags(world):
    def away(call):
        world.registry.away = call == "tag"

    world.registry.before = away
    with pytest.raises(RegistryUnavailable):
        by_hand(world)
    assert world.registry.aliases["champion"] == "2"
    assert world.log.stages == [Stage.INTENT, Stage.DONE]
    assert "the tags are missing" in world.log.decisions[-1].reason
    world.registry.before = lambda call: None
    world.registry.away = False
    world.time += 60
    assert by_hand(world).rollback_id == world.log.decisions[0].rollback_id
    assert world.registry.tags["3"][STATE_TAG] == BAD
    assert len(world.registry.moves) == 1
    with pytest.raises(ActionRefused, match="already"):
        by_hand(world)


def test_a_rollback_by_hand_that_died_after_the_move_is_finished_when_it_is_asked_again(world):
    def crash(call):
        if call == "tag":
            raise Crash

    world.registry.before = crash
    with pytest.raises(Crash):
        by_hand(world)
    world.registry.before = lambda call: None
    by_hand(world)
    assert world.registry.tags["3"][STATE_TAG] == BAD
    assert world.log.stages == [Stage.INTENT, Stage.DONE]
