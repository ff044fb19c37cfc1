"""grafana/ asks for what the code writes, and everything in it that points somewhere points at something."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from msgspec.structs import replace

from grafana.files import POLICY, files
from grafana.runbook import sections
from monitor.cli.main import cli
from monitor.policy.load import parse_policy
from monitor.reports import (
    Action,
    Basis,
    Breach,
    ColumnDrift,
    Decision,
    Distribution,
    DistributionCell,
    FairnessMeasure,
    Family,
    Finding,
    GroupRate,
    PerformanceMeasure,
    Report,
    Severity,
    Stage,
    Status,
    Window,
)
from monitor.stores.health import health_points
from monitor.stores.points import decision_point, report_points
from tests.grafana_reader import (
    DASHBOARDS,
    GRAFANA,
    RULES,
    panel_queries,
    rule_queries,
    variable_queries,
)
from tests.health_samples import busy_health

REPOSITORY = GRAFANA.parent
RUNBOOK = (REPOSITORY / "docs/runbook.md").read_text()
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
(SOURCE,) = yaml.safe_load((GRAFANA / "provisioning/datasources/influxdb.yml").read_text())[
    "datasources"
]
(PROVIDER,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/monitor.yml").read_text())[
    "providers"
]
QUERIES = [*panel_queries(), *variable_queries(), *rule_queries()]
TITLES = {(board["uid"], panel["id"]) for board in DASHBOARDS.values() for panel in board["panels"]}


def every_measure(type_, **known):
    """A value with a number in every field that may have one."""
    numbers = {
        name: 0.5
        for name in type_.__struct_fields__
        if name not in known and "float" in type_.__annotations__[name]
    }
    return type_(**numbers, **known)


@pytest.fixture(scope="module")
def written():
    """By measurement: the tags and the fields that the code writes."""
    rates = every_measure(GroupRate, n=9)
    report = Report(
        model="m",
        version="1",
        window=Window(0, 300),
        revision=0,
        status=Status.OK,
        severity=Severity.BLOCK,
        n=9,
        n_reference=9,
        drift=(every_measure(ColumnDrift, feature="a", kind="numeric", others={}),),
        fairness=(
            every_measure(
                FairnessMeasure,
                attributes=("sex",),
                metric="demographic_parity_difference[yes]",
                highest="a",
                lowest="b",
                groups={"a": rates},
            ),
        ),
        distributions=(Distribution(feature="a", cells=(DistributionCell("x", 0.5, 0.5),)),),
        quality=(every_measure(Finding, check="constant", feature="a"),),
        breaches=(
            every_measure(Breach, rule="psi[a]", family=Family.DRIFT, severity=Severity.BLOCK),
        ),
    )
    labelled = replace(
        report,
        basis=Basis.LABELLED,
        labelled=4,
        performance=(
            every_measure(PerformanceMeasure, metric="accuracy", n=9),
            every_measure(
                PerformanceMeasure, metric="accuracy", n=9, attributes=("sex",), group="a"
            ),
        ),
    )
    decision = Decision(
        decision_id="d",
        rollback_id="r",
        model="m",
        from_version="2",
        to_version="1",
        action=Action.ROLLBACK,
        stage=Stage.DONE,
        reason="unfair",
        at=1.0,
    )
    names = {}
    health = health_points(busy_health().registry.collect(), host="a", at=1.0)
    points = [*report_points(report), *report_points(labelled), decision_point(decision)]
    for point in [*points, *health]:
        tags, fields = names.setdefault(point["measurement"], (set(), set()))
        tags.update(point["tags"])
        fields.update(point["fields"])
    return names


# ------------------------------------------------------------------------------------------- files


def test_make_dashboards_would_change_nothing():
    made = files()
    assert {name: (GRAFANA / name).read_text() for name in made} == made
    found = {f"dashboards/{path.name}" for path in (GRAFANA / "dashboards").iterdir()}
    assert found == {name for name in made if name.startswith("dashboards/")}


def test_the_levels_drawn_are_those_of_the_policy_that_the_monitor_gets():
    assert (
        f"./{POLICY.relative_to(REPOSITORY)}:/etc/monitor/policy.yaml:ro"
        in (COMPOSE["services"]["monitor"]["volumes"])
    )
    policy = parse_policy(POLICY.read_text(), where="").defaults
    (heat,) = (p for p in DASHBOARDS["version"]["panels"] if p["type"] == "status-history")
    steps = [step["value"] for step in heat["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert steps == [None, policy.drift.psi.warn, policy.drift.psi.block]


def test_another_policy_draws_other_levels(tmp_path):
    other = tmp_path / "policy.yaml"
    other.write_text("defaults: {consecutive: 5, drift: {psi: {warn: 0.11, block: 0.44}}}")
    made = files(other)
    assert '"value": 0.44' in made["dashboards/version.json"]
    (streak,) = (
        rule
        for rule in yaml.safe_load(made["provisioning/alerting/rules.yml"])["groups"][0]["rules"]
        if rule["uid"] == "monitor-streak"
    )
    assert streak["data"][2]["model"]["conditions"][0]["evaluator"]["params"] == [4]


# ----------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_query_asks_for_a_measurement_tags_and_fields_that_the_code_writes(query, written):
    measurements = re.findall(r'r\._measurement == "(\w+)"', query.text)
    assert measurements
    tags = set().union(*(written[name][0] for name in measurements))
    fields = set().union(*(written[name][1] for name in measurements))
    assert set(re.findall(r'r\._field == "(\w+)"', query.text)) <= fields
    assert set(re.findall(r'tag: "(\w+)"', query.text)) <= tags
    computed = set(re.findall(r"r with (\w+):", query.text))
    named = set(re.findall(r"\br\.([a-z]\w*)", query.text))
    assert named <= tags | fields | computed


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_a_variable_stands_only_within_a_regular_expression_and_is_escaped_for_one(query):
    for match in re.finditer(r"\$", query.text):
        around = query.text[max(match.start() - 4, 0) : match.start() + 20]
        assert re.match(r"\$(\{\w+:regex\}|/)", query.text[match.start() :]), around
    for line in query.text.splitlines():
        for value in re.finditer(r"\$\{", line):
            assert line[: value.start()].endswith(("/^", "/\\["))


def test_a_dashboards_queries_use_only_the_variables_that_it_has():
    for board in DASHBOARDS.values():
        there = {variable["name"] for variable in board["templating"].get("list", ())}
        used = set(re.findall(r"\$\{(\w+):regex\}", str(board)))
        assert used <= there


def test_each_panel_has_a_title_and_says_what_it_shows_in_a_unit():
    for board in DASHBOARDS.values():
        for panel in board["panels"]:
            assert panel["title"]
            if panel["type"] not in {"row", "text"}:
                assert panel["description"]
            if (
                panel["type"] in {"timeseries", "stat"}
                and "mappings" not in (panel["fieldConfig"]["defaults"])
            ):
                assert panel["fieldConfig"]["defaults"]["unit"]


def test_every_number_of_a_panel_is_given_once():
    for board in DASHBOARDS.values():
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(set(numbers)) == len(numbers)


# ------------------------------------------------------------------------------------------- links


def named_sources(value):
    if isinstance(value, dict):
        if value.get("type") == "influxdb":
            yield value["uid"]
        for part in value.values():
            yield from named_sources(part)
    elif isinstance(value, list):
        for part in value:
            yield from named_sources(part)


def addresses(value):
    if isinstance(value, dict):
        if "url" in value:
            yield value["url"]
        for part in value.values():
            yield from addresses(part)
    elif isinstance(value, list):
        for part in value:
            yield from addresses(part)


def test_every_datasource_that_is_named_is_the_one_that_is_provisioned():
    assert SOURCE["type"] == "influxdb"
    assert SOURCE["jsonData"]["version"] == "Flux"
    assert set(named_sources([*DASHBOARDS.values(), RULES])) == {SOURCE["uid"]}
    assert {step["datasourceUid"] for rule in RULES for step in rule["data"]} == {
        SOURCE["uid"],
        "__expr__",
    }


def test_every_link_leads_to_a_dashboard_and_carries_its_variables():
    boards = {board["uid"]: board for board in DASHBOARDS.values()}
    assert len(boards) == len(DASHBOARDS)
    links = list(addresses(list(DASHBOARDS.values())))
    assert len(links) > len(DASHBOARDS) ** 2
    for link in links:
        uid, variables = re.fullmatch(r"/d/([\w-]+)(?:\?(.*))?", link).groups("")
        there = {variable["name"] for variable in boards[uid]["templating"].get("list", ())}
        assert set(re.findall(r"var-(\w+)=", variables)) <= there


def test_links_and_marks_are_in_sight():
    for board in DASHBOARDS.values():
        assert len(board["links"]) == len(DASHBOARDS) - 1
        assert "inControlsMenu" not in str(board)


# ------------------------------------------------------------------------------------------ alerts


def test_dashboards_and_rules_are_in_one_folder():
    groups = yaml.safe_load((GRAFANA / "provisioning/alerting/rules.yml").read_text())["groups"]
    assert [group["folder"] for group in groups] == [PROVIDER["folder"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
class TestARule:
    def test_says_how_grave_it_is_and_what_to_do(self, rule):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]
        anchor = rule["annotations"]["runbook"].removeprefix("docs/runbook.md#")
        assert anchor == rule["uid"]
        assert f'<a id="{anchor}"></a>' in RUNBOOK
        assert rule["annotations"]["runbook_url"].endswith(f"/d/{DASHBOARDS['runbook']['uid']}")

    def test_has_a_section_of_the_runbook_that_answers_the_four_questions(self, rule):
        (body,) = (body for heading, body in sections(RUNBOOK) if heading == rule["title"])
        for question in ("What broke.", "Who is harmed.", "What has been done.", "What do I do."):
            assert f"**{question}**" in body

    def test_leads_to_a_panel_that_is_there(self, rule):
        assert (rule["dashboardUid"], rule["panelId"]) in TITLES

    def test_ends_in_its_condition(self, rule):
        query, reduce, threshold = rule["data"]
        assert rule["condition"] == threshold["refId"]
        assert threshold["model"]["expression"] == reduce["refId"]
        assert reduce["model"]["expression"] == query["refId"]

    def test_holds_nothing_that_provisioning_takes_for_a_variable_of_the_environment(self, rule):
        assert "$" not in str(rule)


def test_nothing_found_is_well_but_for_the_rules_of_silence_of_which_one_speaks_of_the_database():
    states = {rule["uid"]: (rule["noDataState"], rule["execErrState"]) for rule in RULES}
    assert states.pop("monitor-silent") == ("Alerting", "Error")
    assert states.pop("monitor-dead") == ("Alerting", "KeepLast")
    assert set(states.values()) == {("OK", "KeepLast")}


def test_only_what_cannot_wait_until_morning_is_critical():
    critical = {rule["uid"] for rule in RULES if rule["labels"]["severity"] == "critical"}
    assert critical == {
        "monitor-rollback",
        "monitor-rollback-failed",
        "monitor-silent",
        "monitor-dead",
    }


# ----------------------------------------------------------------------------------------- opt-in


def test_contact_points_and_policies_are_opt_in_and_fit_each_other():
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    assert "grafana/provisioning/alerting/notify.yml" in ignored
    opted = yaml.safe_load((GRAFANA / "opt-in/notify.yml").read_text())
    names = {point["name"] for point in opted["contactPoints"]}
    (tree,) = opted["policies"]
    assert {tree["receiver"], *(route["receiver"] for route in tree["routes"])} == names
    matched = {value for route in tree["routes"] for _, _, value in route["object_matchers"]}
    assert matched == {"critical", "info"}
    secrets = set(re.findall(r"\$__file\{/run/secrets/(\w+)\}", str(opted)))
    more = yaml.safe_load((GRAFANA / "opt-in/compose.yml").read_text())["services"]["grafana"]
    assert secrets == set(more["secrets"]) <= set(COMPOSE["secrets"])


# ----------------------------------------------------------------------------------------- compose


def test_grafana_finds_what_is_provisioned_where_compose_mounts_it():
    service = COMPOSE["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert mounts["./grafana/dashboards"] == PROVIDER["options"]["path"]
    home = Path(service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == PROVIDER["options"]["path"]
    assert home.stem in DASHBOARDS


# ----------------------------------------------------------------------------------------- runbook


def commands():
    blocks = re.findall(r"```\n(.*?)```", RUNBOOK, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("monitor ")]


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_runbook_exists_with_these_options(line):
    command, words = cli, shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    command.make_context(command.name, words)


def test_the_runbook_uses_commands_at_all():
    assert len(commands()) > 5
