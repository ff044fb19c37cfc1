"""The command line teaches: every command has its sentence, its examples and --json, and asking for help costs little."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys

import click
import pytest

from monitor.cli.contents import EXAMPLES, EXIT_CODES, SECTIONS
from monitor.cli.main import BAD_INPUT, BREACH, BROKEN, COMMANDS, INTERRUPTED, OK, cli
from tests.command import call

#: They go on until they are stopped; what they say is a log, or a screen.
LASTING = {"archive", "run", "web"}


def leaves(command: click.Command = cli, path: str = "") -> dict[str, click.Command]:
    """Each command that can be called, by its words."""
    if not isinstance(command, click.Group):
        return {path: command}
    context = click.Context(command)
    found = {}
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        found |= leaves(below, f"{path} {name}".strip())
    return found


LEAVES = leaves()


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def on_a_terminal(code: str, **environment: str) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=theirs) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                got = os.read(ours, 65536)
            except OSError:  # Linux says so at the end
                break
            if not got:
                break
            said += got
        child.wait()
    os.close(ours)
    return said.decode()


HELP = "from monitor.cli.main import main; main(['--help'])"


@pytest.mark.parametrize("words", [[], ["compare"], ["replay"], ["baseline", "create"], ["demo"]])
def test_help_loads_nothing_heavy(words):
    heavy = ("fairlearn", "faust", "mlflow", "pandas", "pyarrow", "scipy", "sklearn")
    said = python(
        "import sys\nfrom monitor.cli.main import main\n"
        f"try: main([*{words!r}, '--help'])\n"
        f"finally: print('LOADED', [m for m in {heavy!r} if m in sys.modules])"
    )
    assert "Usage: monitor" in said
    assert said.endswith("LOADED []\n")


def test_each_command_has_its_place_and_its_sentence_in_the_help(capsys):
    told = [name for section in SECTIONS.values() for name in section]
    assert sorted(told) == sorted(COMMANDS)
    shown = call(capsys, "--help").out
    for section in SECTIONS.values():
        for name, sentence in section.items():
            assert sentence.endswith((".", "?"))
            assert name in shown
            assert sentence in shown


def test_the_help_says_what_each_exit_code_means(capsys):
    assert set(EXIT_CODES) == {OK, BREACH, BAD_INPUT, BROKEN, INTERRUPTED}
    shown = call(capsys, "--help").out
    assert all(meaning in shown for meaning in EXIT_CODES.values())


def test_an_error_that_nobody_expected_is_told_from_a_breach(capsys, monkeypatch):
    monkeypatch.setattr("monitor.cli.policy.read_policy", lambda _: 1 // 0)
    ended = call(capsys, "policy", "validate", "x")
    assert ended.code == BROKEN
    assert "Please report it" in ended.err


@pytest.mark.parametrize("path", LEAVES)
def test_each_command_teaches_by_examples_that_it_understands(path, capsys):
    assert path in EXAMPLES, f"give `monitor {path}` an example in monitor/cli/contents.py"
    for example in EXAMPLES[path]:
        said = shlex.split(example.line.replace("\\\n", " "))
        program, *words = said[said.index("monitor") :]  # before it: variables
        assert [program, *words[: path.count(" ") + 1]] == ["monitor", *path.split()]
        assert all(len(line) <= 78 for line in (f"# {example.aim}", *example.line.splitlines()))
        command = LEAVES[path]
        context = click.Context(command)
        given, _, _ = command.make_parser(context).parse_args(words[path.count(" ") + 1 :])
        needed = {p.name for p in command.params if p.required}
        assert needed <= given.keys()
    shown = call(capsys, *path.split(), "--help").out
    assert "Examples:" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("path", sorted(LEAVES.keys() - LASTING))
def test_each_command_can_answer_in_json(path):
    options = {name for parameter in LEAVES[path].params for name in parameter.opts}
    assert "--json" in options


def test_a_shell_learns_the_commands_and_their_options():
    code = "from monitor.cli.main import main; main()"
    said = python(code, _MONITOR_COMPLETE="bash_complete", COMP_WORDS="monitor re", COMP_CWORD="1")
    assert said.split() == ["plain,replay", "plain,reports"]
    said = python(
        code, _MONITOR_COMPLETE="bash_complete", COMP_WORDS="monitor reports --m", COMP_CWORD="2"
    )
    assert said.split() == ["plain,--model"]
    assert "_monitor_completion" in python(code, _MONITOR_COMPLETE="zsh_source")


def test_a_terminal_gets_bold_headings_unless_it_asks_for_no_colour():
    assert "\x1b[1m" in on_a_terminal(HELP)
    assert "\x1b" not in on_a_terminal(HELP, NO_COLOR="1")
    assert "\x1b" not in python(HELP)
