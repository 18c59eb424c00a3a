"""Arguments of commands that select by time: `--since`, `--until`, `--at-most`."""

from datetime import datetime
from typing import Annotated

import typer

from cxr_node.cli.terminal import CommandError
from cxr_node.domain.clock import utc_now
from cxr_node.queries import time_text
from cxr_node.queries.time_text import InvalidTime

SinceOption = Annotated[
    str, typer.Option(help="From this time on: 2026-01-31, 2026-01-31T12:00, today, yesterday, or 24h, 7d ago.")
]
UntilOption = Annotated[
    str, typer.Option(help="Before this time; the films of a week: --since 2026-01-26 --until 2026-02-02.")
]
TimeoutOption = Annotated[float, typer.Option("--at-most", min=0.1, help="Give up after this many seconds.")]


def parse_time(text: str) -> datetime | None:
    """Return the time that an argument names, absolute (local unless it has an offset) or relative to now."""
    try:
        return time_text.parse_time(text, now=utc_now())
    except InvalidTime as error:
        raise CommandError(str(error)) from None
