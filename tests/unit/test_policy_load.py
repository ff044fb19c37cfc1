from __future__ import annotations

import pytest

from monitor.errors import PolicyError
from monitor.policy.load import parse_policy
from monitor.policy.model import Policy
from monitor.reports import Action


def parse(text: str) -> Policy:
    return parse_policy(text, where="policy.yaml")


def complaint(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "defaults:\nmodels:\n", "models: {}"])
def test_a_file_that_says_nothing_is_the_built_in_policy(text: str):
    assert parse(text) == Policy()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5m", 300),
        ("1h", 3600),
        ("30s", 30),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("45", None),
        (45, 45),
    ],
)
def test_durations_are_seconds_or_friendly(written: str | int, seconds: int | None):
    text = f"defaults: {{windows: {{length: {written!r}, max_length: 3d}}}}"
    if seconds is None:
        assert "30s" in complaint(text)
    else:
        assert parse(text).defaults.windows.length == seconds


def test_a_model_inherits_key_by_key_from_the_defaults_of_the_file():
    policy = parse(
        """
        defaults: {consecutive: 5, windows: {length: 1m, min_events: 50}}
        models:
          credit: {windows: {min_events: 70}}
        """
    )
    credit = policy.of("credit")
    assert (credit.consecutive, credit.windows.length, credit.windows.min_events) == (5, 60, 70)
    assert policy.of("another").windows.min_events == 50


def test_one_level_of_a_pair_may_be_given_alone():
    levels = parse("models: {m: {drift: {psi: {block: 0.4}}}}").of("m").drift.psi
    assert (levels.warn, levels.block) == (0.1, 0.4)


def test_the_favourable_answer_is_written_as_profiles_write_it():
    text = "models: {a: {fairness: {favourable: 1}}, b: {fairness: {favourable: true}}}"
    policy = parse(text)
    assert policy.of("a").fairness.favourable == "1"
    assert policy.of("b").fairness.favourable == "true"


def test_the_action_is_one_of_three():
    assert parse("defaults: {action: notify}").defaults.action is Action.NOTIFY
    assert "'record', 'notify' or 'rollback'" in complaint("defaults: {action: none}")


@pytest.mark.parametrize(
    ("text", "path", "nearest"),
    [
        ("default: {}", "default", "defaults"),
        ("models: {credit: {windows: {lenght: 5m}}}", "models.credit.windows.lenght", "length"),
        ("defaults: {drift: {psi: {wran: 1}}}", "defaults.drift.psi.wran", "warn"),
        ("defaults: {fairnes: {}}", "defaults.fairnes", "fairness"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest_valid_one(
    text: str, path: str, nearest: str
):
    sentence = complaint(text)
    assert sentence.startswith(f"policy.yaml: {path}: unknown key")
    assert f"did you mean {nearest!r}?" in sentence


def test_a_key_like_no_other_is_answered_with_all_that_are_known():
    assert "known keys: warn, block" in complaint("defaults: {drift: {psi: {zzzz: 1}}}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defaults: {consecutive: 0}", ("defaults.consecutive", "0", "greater than or equal to 1")),
        ("defaults: {drift: {psi: {warn: 0.3}}}", ("defaults.drift.psi", "must not exceed block")),
        ("defaults: {windows: {max_length: 60}}", ("defaults.windows", "must not be below length")),
        (
            "defaults: {fairness: {disparate_impact: 1.2}}",
            ("disparate_impact", "1.2", "equal to 1"),
        ),
        ("defaults: {drift: {ks: {warn: .nan}}}", ("defaults.drift.ks.warn", "finite")),
        ("defaults: {windows: 5}", ("defaults.windows", "5", "mapping")),
        ("models: [a]", ("models", "mapping")),
        ("models: {a: 7}", ("models.a", "7", "mapping")),
        ("version: 2", ("version", "2", "1")),
    ],
)
def test_a_wrong_value_is_named_with_its_path_and_what_is_allowed(
    text: str, words: tuple[str, ...]
):
    sentence = complaint(text)
    assert all(word in sentence for word in words), sentence


def test_every_fault_of_a_file_is_said_at_once():
    sentence = complaint("defaults: {consecutive: 0, aliass: champion}")
    assert "defaults.consecutive" in sentence
    assert "defaults.aliass" in sentence


def test_a_fault_in_the_defaults_is_not_repeated_for_each_model():
    sentence = complaint("defaults: {consecutive: 0}\nmodels: {a: {}, b: {}}")
    assert sentence.count("consecutive") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' is given twice"),
        ("models: {a: {alias: x, alias: y}}", "the key 'alias' is given twice"),
        ("defaults: [", "line 1"),
        ("just words", "a policy is a mapping"),
        ("defaults: !!python/object:os.system {}", "line 1"),
        ("a: \x00", "not YAML"),
    ],
)
def test_what_is_not_a_policy_in_yaml_is_refused_with_its_place(text: str, words: str):
    assert words in complaint(text)


def test_the_hash_is_of_what_is_said_whatever_the_layout():
    a = parse("models: {m: {windows: {length: 5m}, consecutive: 4}}")
    b = parse("models:\n  m:\n    consecutive: 4\n")
    assert a.sha256 == b.sha256
    assert a.sha256 != Policy().sha256
