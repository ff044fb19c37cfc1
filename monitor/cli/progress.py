"""Something that moves while a person waits; nothing of it where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working(sentence: str) -> Iterator[None]:
    """Show on stderr, while the block runs, what is being done and since when; nothing without a terminal.

    It is gone afterwards, so that what is printed is the answer alone.
    """
    from rich.console import Console  # here, so that help and completion do without
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(sentence, total=None)
        yield
