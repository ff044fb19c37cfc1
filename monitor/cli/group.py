"""The command's own group: it loads a command when that is called, and teaches by examples."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from difflib import get_close_matches

import click
from click.shell_completion import CompletionItem

from monitor.cli.contents import EXAMPLES, EXIT_CODES, SECTIONS


class Page(click.HelpFormatter):
    """A page of help, its headings bold where the terminal can."""

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        self.write(click.style(f"{'':>{self.current_indent}}{heading}:\n", bold=True))

    def write_text(self, text: str) -> None:
        r"""Write text; what begins with ``\b`` as it stands, at the margin."""
        if text.startswith("\b\n"):
            self.write(f"{text[2:]}\n")
        else:
            super().write_text(text)


class Teaching(click.Context):
    """Writes help on such pages."""

    formatter_class = Page


class LazyGroup(click.Group):
    """Imports a command's module when it is asked for: `monitor --help` and completion need no pandas.

    Parameters
    ----------
    places
        Command to the place of its click object, as ``module:attribute``.
    """

    context_class = Teaching

    def __init__(self, *args: object, places: Mapping[str, str], **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self._places = places

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands' names."""
        return sorted(self._places)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Return a command by name, with its examples."""
        if name not in self._places:
            return None
        module, attribute = self._places[name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        teach(command, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; to a typo say the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := get_close_matches(args[0], self._places, n=1):
                error.message += f" Did you mean {near[0]}?"
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without loading them; click's own would load each."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        lines = {name: line for section in SECTIONS.values() for name, line in section.items()}
        return [
            CompletionItem(name, help=lines.get(name))
            for name in self.list_commands(ctx)
            if name.startswith(incomplete)
        ]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, in words that are known without loading them."""
        told = {name for section in SECTIONS.values() for name in section}
        rest = {name: "" for name in sorted(self._places) if name not in told}
        for title, section in {**SECTIONS, "More": rest}.items():
            rows = [(name, line) for name, line in section.items() if name in self._places]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the exit codes mean, and how a shell learns the names."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])
        with formatter.section("Completion"):
            formatter.write_text('eval "$(_MONITOR_COMPLETE=bash_source monitor)"')
            formatter.write_text("in ~/.bashrc; zsh_source and fish_source likewise.")


def teach(command: click.Command, path: str) -> None:
    """Let a command's help, and that of the commands below it, end with its examples."""
    command.context_class = Teaching
    if path in EXAMPLES:
        lines = [f"  # {example.aim}\n  {_indent(example.line)}" for example in EXAMPLES[path]]
        command.epilog = "\n".join(["\b", click.style("Examples:", bold=True), *lines])
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            teach(below, f"{path} {name}")


def _indent(line: str) -> str:
    return line.replace("\n", "\n  ")
