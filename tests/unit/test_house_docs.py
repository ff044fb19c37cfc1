"""What the README and docs/ promise is there: commands, options, settings, files, make targets, code."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from monitor import reference
from monitor.cli.main import cli
from monitor.policy.load import parse_policy
from monitor.publish.settings import _PUBLISH_SETTINGS
from monitor.settings import Settings, load, variable
from tests.command import call
from tests.conftest import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    REPOSITORY / "grafana/README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
README = PAGES[0].read_text()

#: Stands for any setting.
PLACEHOLDERS = {"MONITOR_SECTION__NAME"}


def blocks(text: str, language: str) -> list[str]:
    """The text of each fenced block of a language, without its indentation."""
    # Every block is looked for, so that the end of one is not taken for the beginning of another.
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [
        re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        for indent, named, body in found
        if named == language
    ]


def commands(text: str) -> list[str]:
    """Each call of `monitor` in a code span or at the start of a line of a block, joined where it goes on."""
    text = re.sub(r"\\\n\s*", " ", text)
    spans = re.findall(r"`(monitor [a-z][^`]*)`", text)
    for block in blocks(text, ""):
        spans += re.findall(r"^ *(monitor [a-z].*)$", block, re.MULTILINE)
    return spans


def resolve(said: str) -> tuple[click.Command, list[str]]:
    """The command that a text calls, and what follows its name."""
    _, *words = shlex.split(said, comments=True)
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"`{said}`: there is no command {words[0]}"
        command = found
        words = words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_and_option_that_a_page_names_exists(page: Path):
    for said in commands(page.read_text()):
        command, words = resolve(said)
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        options = {word.strip("[],.") for word in words if word.lstrip("[").startswith("--")}
        assert options <= known, f"`{said}`: no such option"


def test_each_command_in_the_readmes_table_says_what_it_does(capsys):
    rows = [row for row in README.splitlines() if row.startswith("| `monitor ")]
    named = {said for row in rows for said in commands(row)}
    assert len(named) >= 8
    for said in sorted(named):
        path = re.match(r"monitor((?: [a-z]+)+)", said)
        assert path is not None
        ended = call(capsys, *path.group(1).split(), "--help")
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: monitor{path.group(1)}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_variable_that_a_page_names_is_a_setting(page: Path):
    named = set(re.findall(r"\bMONITOR_[A-Z]+(?:__[A-Z]+(?:_[A-Z]+)*)+\b", page.read_text()))
    known = {variable(path) for path, _ in load._leaves(Settings)}
    known |= {f"{variable(path)}_FILE" for path, secret in load._leaves(Settings) if secret}
    known |= {f"MONITOR_PUBLISH__{name.upper()}" for name in _PUBLISH_SETTINGS}
    assert named - PLACEHOLDERS <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_file_that_a_page_links_to_is_there(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_each_make_target_that_the_readme_names_is_there():
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^ *make ([a-z]+)", README, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_readmes_policy_is_valid():
    (policy,) = blocks(README, "yaml")
    assert parse_policy(policy, where="README").of("credit").consecutive == 3


def test_what_the_readmes_python_imports_is_there():
    imports = [
        node
        for block in blocks(README, "python")
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom)
    ]
    assert imports
    for node in imports:
        module = importlib.import_module(node.module or "")
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


# ------------------------------------------------------------------------------------------------ snippets

#: What a line of a block may begin with: programs, and the words of a shell.
PROGRAMS = {
    *("monitor", "make", "python", "pip", "docker", "cp", "mkdir", "export", "for", "done", "kubectl", "curl"),
    *(".venv/bin/python", "openssl", "sqlite3", "eval", "do"),
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_block_of_commands_is_one_that_a_shell_understands(page: Path):
    for language in ("", "sh", "console"):
        for block in blocks(page.read_text(), language):
            first = block.split()[0]
            if first not in PROGRAMS:
                continue  # a picture, an answer
            done = subprocess.run(
                ["bash", "-n", "-c", block], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stderr}"
            for line in re.sub(r"\\\n", " ", block).splitlines():
                if line.strip() and not line.strip().startswith("#"):
                    assert line.split()[0] in PROGRAMS, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_block_is_indented_only_where_these_tests_do_not_see_it(page: Path):
    fenced = r"^ *```.*?^ *```$"
    outside = re.sub(fenced, "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"\n\n(    \S.*)", outside) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_python_block_compiles_and_imports_what_is_there(page: Path):
    for block in blocks(page.read_text(), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("monitor"):
                module = importlib.import_module(node.module or "")
                assert [a.name for a in node.names if not hasattr(module, a.name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_policy_on_a_page_is_valid(page: Path):
    for block in blocks(page.read_text(), "yaml"):
        if re.search(r"^(models|defaults):", block, re.MULTILINE):
            parse_policy(block, where=page.name)


def test_each_test_file_and_script_that_a_page_names_is_there():
    for page in PAGES:
        for named in re.findall(
            r"\b((?:tests|monitor|examples|benchmarks)/[\w/]+\.\w+)", page.read_text()
        ):
            assert (REPOSITORY / named).exists(), f"{page.name} names {named}"


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\(([^)#:]+)\)", README))
    pages = {
        str(page.relative_to(REPOSITORY)) for page in PAGES[1:] if "decisions" not in str(page)
    }
    assert pages - linked == set()


# ---------------------------------------------------------------------------------------------- references


@pytest.mark.parametrize("name", reference.pages())
def test_the_references_are_what_the_types_say(name):
    written = (REPOSITORY / "docs" / name).read_text()
    assert written == reference.pages()[name], "run: python -m monitor.reference docs"


def test_every_setting_and_every_key_of_a_policy_says_what_it_means():
    for page in reference.pages().values():
        for row in re.findall(r"^\| `.*$", page, re.MULTILINE):
            name, default, meaning = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
            assert default, name
            assert meaning not in {"", "None"}, f"{name} is not described where it is declared"


def test_every_setting_is_on_the_page_of_settings():
    page = reference.pages()["settings.md"]
    for path, _ in load._leaves(Settings):
        assert f"`{variable(path)}`" in page
    for name in _PUBLISH_SETTINGS:
        assert f"`MONITOR_PUBLISH__{name.upper()}`" in page
