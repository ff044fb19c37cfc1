"""`monitor labels`: what turned out to be true, and what it says of the windows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from monitor.bootstrap import open_label_judge, open_publisher, shown_health
from monitor.cli.options import PATH, as_json, print_json, settings_option
from monitor.cli.run import log_as_json
from monitor.cli.screen import instant, spoken
from monitor.cli.supervised import asked_to_stop, supervised
from monitor.errors import KafkaError, RegistryUnavailable, StoreError
from monitor.settings import Settings
from monitor.supervise import FAILED, follow_parent

#: Labels handed over before the broker is waited for: fewer than the publisher's queue holds.
_AT_ONCE = 20_000


@click.group()
def labels() -> None:
    """Load labels, and judge windows by them."""


@labels.command()
@click.argument("file", type=PATH)
@click.option("--model", metavar="M", help="Where FILE has no column model.")
@click.option("--timeout", type=click.FloatRange(min=1), default=60.0, show_default=True)
@settings_option
@as_json
def load(
    file: Path, model: str | None, timeout: float, settings: Settings, *, as_json: bool
) -> None:
    """Publish FILE (parquet or CSV) to topic `labels`; `monitor archive` takes them from there.

    Columns: prediction_id, label, label_time (or event_time), and optionally revision, source, model, version.
    Loading a file twice changes nothing: of labels that say the same the last one holds.
    """
    from monitor.desk.labels import read_labels  # pandas: the help lives without it

    read = read_labels(file, model)
    with open_publisher(settings) as publisher:
        for start in range(0, len(read.labels), _AT_ONCE):
            for label in read.labels[start : start + _AT_ONCE]:
                publisher.publish_label(label)
            if not publisher.labels.flush(timeout):
                delivered = publisher.labels.counts.delivered
                raise KafkaError(
                    f"{delivered:,} of {len(read.labels):,} labels were confirmed in {timeout:g} s",
                    where=settings.kafka.bootstrap,
                    fix="Look at the broker, and load the file again: nothing counts twice.",
                )
        counts = publisher.labels.counts
    lost = counts.dropped + counts.invalid
    if lost:
        raise KafkaError(
            f"{lost:,} of {len(read.labels):,} labels were refused, the others are published",
            where=settings.kafka.bootstrap,
            fix="The log above says why; mend those, and load the file again: nothing counts twice.",
        )
    done = {"file": str(file), "labels": len(read.labels), "unlabelled_rows": read.unlabelled}
    if as_json:
        print_json(done)
        return
    click.echo(f"{len(read.labels):,} labels published, {read.unlabelled:,} rows without one.")


@labels.command()
@click.option("--once", is_flag=True, help="Judge what there is, say what came of it, and end.")
@click.option("--unsupervised", is_flag=True, help="Do not start it again when it fails.")
@settings_option
@as_json
@click.pass_context
def judge(
    context: click.Context, settings: Settings, *, once: bool, unsupervised: bool, as_json: bool
) -> None:
    """Measure windows again as their labels come: performance and fairness, reports and verdicts.

    Until SIGTERM or Ctrl-C. One such process is enough; a second one says the same again. One that fails is started
    again, with growing pauses; it answers /livez, /readyz and /metrics as `monitor run` does.
    """
    if not once:
        log_as_json()
        if unsupervised:
            follow_parent(os.environ)
            context.exit(_judge(settings))
        context.exit(supervised(context, "labels", "judge", "--unsupervised"))
    with open_label_judge(settings) as judging:
        done = judging.cycle()
    if as_json:
        print_json(
            {
                "labels": done.labels,
                "waiting": done.waiting,
                "unmatched": done.unmatched,
                "reports": done.reports,
                "verdicts": done.verdicts,
                "refused": {"/".join(version): why for version, why in done.refused.items()},
            }
        )
        sys.exit(1 if done.refused else 0)
    for report in done.reports:
        accuracy = next((m.value for m in report.performance if m.metric == "accuracy"), None)
        click.echo(
            f"{report.model}/{report.version} {instant(report.window.end)}: {report.severity.value}, "
            f"{report.coverage:.0%} of {report.n:,} labelled"
            + ("" if accuracy is None else f", accuracy {accuracy:.3f}")
        )
        for breach in report.breaches:
            click.echo(f"  {spoken(breach.rule)} {breach.value:.3f}, level {breach.threshold:g}")
    click.echo(
        f"{done.labels:,} new labels, {len(done.reports):,} windows judged, "
        f"{done.waiting:,} labels wait for a window, {len(done.unmatched):,} of unknown predictions."
    )
    for version, why in done.refused.items():
        click.echo(f"Not judged: {'/'.join(version)}: {why}", err=True)
    sys.exit(1 if done.refused else 0)


def _judge(settings: Settings) -> int:
    """Judge as labels come; what may be cured by waiting ends with a status that has the parent try again."""
    stop = asked_to_stop()
    try:
        with shown_health(settings) as health, open_label_judge(settings, health) as judging:
            judging.run(stop, seconds=settings.log.judge_seconds)
    except (KafkaError, RegistryUnavailable, StoreError) as error:
        click.echo(f"monitor: {error}", err=True)
        return FAILED
    return 0
