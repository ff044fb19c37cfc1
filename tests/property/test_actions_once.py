"""Whatever happens in whatever order: one move for a breach, never to a bad version, never against a person.

A stateful test: verdicts come again and again, the process dies at any call, MLflow is away, a person moves the alias.
The one thing that may not be asked for is what no client of MLflow can do: compare and set the alias in one step.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.actions.actor import Actor
from monitor.actions.past import Past
from monitor.registry.versions import BAD, RESTORED_ID_TAG, STATE_TAG
from monitor.reports import Stage
from tests.acting import MODEL, Crash, World, verdict

CALLS = st.integers(min_value=1, max_value=25)


class Acting(RuleBasedStateMachine):
    """The alias, the log and the outbox outlive the actor; the actor does not outlive a crash."""

    @initialize(versions=st.integers(2, 4), bad=st.booleans())
    def start(self, versions, bad):
        self.world = World(versions=versions, cooldown=0)
        if bad:
            self.world.registry.tags["1"][STATE_TAG] = BAD
        self.actor = Actor(self.world.means)
        self.judged = str(versions)
        self.last = 3
        self.to_come: list = []
        self.breach = 0
        self.moves: list[tuple[int, bool]] = []
        self.between_reading_and_setting = False

    # ------------------------------------------------------------------------------------- the world

    @rule()
    def the_breach_goes_on(self):
        self.last += 1
        self.consider(verdict(self.judged, last=self.last, length=3, closed_at=self.world.time))

    @rule()
    def another_breach_begins_of_a_version_that_was_put_back(self):
        self.a_verdict_comes_again()
        self.last += 20
        self.breach += 1
        self.person(self.judged)

    @rule()
    def a_verdict_comes_again(self):
        self.consider(verdict(self.judged, last=self.last, length=3, closed_at=self.world.time))

    @rule(call=CALLS)
    def the_process_dies_at_some_call(self, call):
        self.interrupt(call, self.die)
        self.a_verdict_comes_again()
        self.interrupt(None, None)

    @rule(call=CALLS, to=st.integers(1, 4))
    def a_person_moves_the_alias_at_some_call(self, call, to):
        self.interrupt(call, lambda: self.person(str(min(to, int(self.judged)))))
        self.a_verdict_comes_again()
        self.interrupt(None, None)

    @rule(to=st.integers(1, 4))
    def a_person_moves_the_alias(self, to):
        self.person(str(min(to, int(self.judged))))

    @rule(call=CALLS)
    def the_registry_goes_away_at_some_call(self, call):
        self.interrupt(call, lambda: setattr(self.world.registry, "away", True))
        self.a_verdict_comes_again()
        self.interrupt(None, None)
        self.world.registry.away = False

    @rule()
    def the_process_is_started_anew(self):
        self.actor = Actor(self.world.means)

    # ---------------------------------------------------------------------------------------- inside

    def consider(self, asked):
        before = len(self.world.registry.moves)
        self.between_reading_and_setting = False
        try:
            self.actor.consider(asked)
        except Crash:
            self.actor = Actor(self.world.means)
        made = self.world.registry.moves[before:]
        intents = [d for d in self.world.log.decisions if d.stage is Stage.INTENT]
        for _, to, was in made:
            assert was == self.judged or self.between_reading_and_setting
            assert self.world.registry.tags[to].get(STATE_TAG) != BAD
            self.moves.append((self.breach, self.marked(intents[-1])))

    def marked(self, intent) -> bool:
        tags = self.world.registry.tags[intent.to_version]
        return tags.get(RESTORED_ID_TAG) == intent.rollback_id

    def interrupt(self, call, act):
        count = 0

        def come_between(name):
            nonlocal count
            count += 1
            if count == call:
                self.between_reading_and_setting = name == "set_alias"
                act()

        self.world.registry.before = come_between
        self.world.log.before = self.world.log.after = come_between

    def die(self):
        raise Crash

    def person(self, to):
        self.world.registry.aliases["champion"] = to

    # ------------------------------------------------------------------------------------ what holds

    @invariant()
    def a_breach_moves_the_alias_once(self):
        """A move whose mark was prevented, by a crash or an outage, is the exception that rollback.py names."""
        marked = [breach for breach, is_marked in self.moves if is_marked]
        assert len(marked) == len(set(marked))

    @invariant()
    def an_outcome_is_written_once_and_people_hear_of_it_once(self):
        ids = [decision.decision_id for decision in self.world.log.decisions]
        assert len(ids) == len(set(ids))
        rolled_back = {d.rollback_id for d in self.world.log.decisions if d.stage is Stage.DONE}
        told = [k for k in self.world.notices.notices if k.endswith(":rolled_back")]
        assert {key.partition(":")[0] for key in told} >= rolled_back

    @invariant()
    def what_is_settled_stays_settled(self):
        past = Past(self.world.log.decisions)
        for decision in self.world.log.decisions:
            if decision.stage is Stage.DONE:
                assert past.is_settled(decision.rollback_id)
        assert all(decision.model == MODEL for decision in self.world.log.decisions)

    def teardown(self):
        """Left alone, the breach is dealt with: nothing waits for a person but what was said to."""
        if not hasattr(self, "world"):
            return
        self.a_verdict_comes_again()
        steps = {
            d.rollback_id: d.stage
            for d in self.world.log.decisions
            if d.stage is not Stage.RECORDED
        }
        assert Stage.INTENT not in steps.values(), "an intent has no outcome"
        named = self.world.registry.aliases["champion"]
        stages = self.world.log.stages
        assert named != self.judged or Stage.FAILED in stages or self.was_overruled()

    def was_overruled(self) -> bool:
        """Whether a person put the judged version back, or came in between."""
        return {Stage.DONE, Stage.REFUSED} & set(self.world.log.stages) != set()


TestActing = Acting.TestCase
TestActing.settings = settings(max_examples=400, stateful_step_count=20, deadline=None)
