"""`monitor log`: ask the prediction log, and have it forget."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from monitor.bootstrap import load_policy, open_prediction_log
from monitor.cli.options import PATH, as_json, print_json, settings_option
from monitor.cli.progress import working
from monitor.cli.screen import plain_table
from monitor.errors import InputError
from monitor.predictionlog.where import instant, parse_condition
from monitor.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

#: What the table on the screen shows; the other formats have every column.
_SHOWN = ("event_time", "version", "prediction_id", "prediction", "score", "features", "groups")


class Instant(click.ParamType):
    """A date or time; in UTC unless it says otherwise."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, context: click.Context | None
    ) -> dt.datetime:
        """Return the time."""
        try:
            return instant(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a date nor a time (RFC 3339)", param, context)


@click.group()
def log() -> None:
    """Ask the prediction log, expire it, erase a person from it, rotate its keys."""


@log.command()
@click.option("--model", metavar="M", required=True)
@click.option("--version", metavar="V")
@click.option("--since", type=Instant(), help="From this event time on.")
@click.option("--until", type=Instant(), help="Before this event time.")
@click.option("--subject", metavar="S", help="As the serving code names the person.")
@click.option("--prediction-id", metavar="P")
@click.option(
    "--where", multiple=True, metavar="COND", help="Such as 'features.age > 40'; all must hold."
)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--protected", is_flag=True, help="Open protected attributes; needs the master key.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table"
)
@click.option("--output", type=PATH, help="File to write to; parquet needs one.")
@settings_option
@as_json
def query(
    model: str,
    version: str | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    subject: str | None,
    prediction_id: str | None,
    where: tuple[str, ...],
    limit: int,
    form: str,
    output: Path | None,
    settings: Settings,
    *,
    protected: bool,
    as_json: bool,
) -> None:
    """Show the newest predictions that are asked for, oldest first. The question goes on the record."""
    from monitor.predictionlog.query import Query  # brings pyarrow

    form = "json" if as_json else form
    if form == "parquet" and output is None:
        raise InputError("parquet is no text", where="--format", fix="Name a file with --output.")
    asked = Query(
        model=model,
        version=version,
        since=since,
        until=until,
        subject=subject,
        prediction_id=prediction_id,
        where=tuple(map(parse_condition, where)),
        limit=limit,
    )
    with working("asking the prediction log"):
        opened = open_prediction_log(settings, getpass.getuser())
        rows = opened.ask(asked, protected=protected)
    try:
        _show(rows, form, output)
    except OSError as error:
        raise InputError(f"it cannot be written: {error}", where=str(output)) from error


@log.command()
@click.option("--dry-run", is_flag=True, help="Say what is due, delete nothing.")
@settings_option
@as_json
def expire(settings: Settings, *, dry_run: bool, as_json: bool) -> None:
    """Delete what the policy's retention says: rows, their files, and keys. Legal holds stand."""
    opened, policy = open_prediction_log(settings, getpass.getuser()), load_policy(settings)
    with working("looking for what is due"):
        found = opened.due(policy) if dry_run else opened.expire(policy)
    if as_json:
        print_json({"dry_run": dry_run, "models": found})
        return
    would = "would be " if dry_run else ""
    for one in found:
        click.echo(
            f"{one.model}: {one.rows:,} rows of {len(one.days)} days {would}deleted, "
            f"{len(one.keys)} keys {would}destroyed, {len(one.held)} days held."
        )
    if not found:
        click.echo("Nothing is due.")


@log.command()
@click.option("--subject", required=True, metavar="S", help="As the serving code names the person.")
@settings_option
@as_json
def erase(subject: str, settings: Settings, *, as_json: bool) -> None:
    """Delete every row of one person, and the files that held them. Legal holds stand."""
    opened = open_prediction_log(settings, getpass.getuser())
    with working("erasing"):
        done = opened.erase(subject, load_policy(settings))
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.rows:,} rows deleted, {done.held:,} kept by a legal hold.")


@log.command()
@settings_option
@as_json
def rotate(settings: Settings, *, as_json: bool) -> None:
    """Wrap every key with log.master_key, from log.previous_master_key; no row is touched."""
    with working("wrapping keys anew"):
        done = open_prediction_log(settings, getpass.getuser()).rotate()
    if as_json:
        print_json(done)
        return
    click.echo(f"{done.changed:,} keys wrapped anew, {done.unchanged:,} were so already.")


def _show(rows: pa.Table, form: str, output: Path | None) -> None:
    from monitor.predictionlog.export import plain, to_csv, to_parquet  # brings pyarrow

    if form == "parquet":
        assert output is not None
        output.write_bytes(to_parquet(rows))
        return
    if form == "table" and output is None:
        _print_table(rows)
        return
    with output.open("w", newline="") if output else click.open_file("-", "w") as out:
        if form == "json":
            json.dump(list(plain(rows)), out, indent=2)
            out.write("\n")
        elif form == "csv":
            out.write(to_csv(rows))
        else:
            _print_table(rows, Console(file=out, width=200))


def _print_table(rows: pa.Table, console: Console | None = None) -> None:
    from monitor.predictionlog.export import text  # brings pyarrow

    shown = [name for name in _SHOWN if name in rows.column_names]
    table = plain_table(*shown)
    for row in rows.to_pylist():
        table.add_row(
            *("-" if row[name] is None else escape(str(text(row[name]))) for name in shown)
        )
    (console or Console()).print(table)
    click.echo(f"{rows.num_rows:,} rows", err=True)
