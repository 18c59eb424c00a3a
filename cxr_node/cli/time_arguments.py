"""Arguments of commands that select by time: `--since`, `--until`, `--at-most`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cxr_node.cli.terminal import CommandError
from cxr_node.domain.clock import utc_now

SinceOption = Annotated[str, typer.Option(help="From this time on: 2026-01-31, 2026-01-31T12:00, or 24h, 7d ago.")]
UntilOption = Annotated[
    str, typer.Option(help="Before this time; the films of a week: --since 2026-01-26 --until 2026-02-02.")
]
TimeoutOption = Annotated[float, typer.Option("--at-most", min=0.1, help="Give up after this many seconds.")]

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(text: str) -> datetime | None:
    """Return the time that an argument names, absolute (local unless it has an offset) or relative to now."""
    if not text:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return utc_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise CommandError(f"{text!r} is not a time; expected 2026-01-31, 2026-01-31T12:00, 24h or 7d") from None
