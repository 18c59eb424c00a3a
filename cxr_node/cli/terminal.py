"""Shared by all commands: options, exit statuses, consoles and error messages."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cxr_node.config import ConfigurationError
from cxr_node.db.schema_version import TooNew
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid, parse_uid

EXIT_FAILED = 1
"""The command failed, or found something that needs action."""
EXIT_USAGE = 2
"""A setting or an argument is invalid."""

DEFAULT_CONFIG = Path("cxr-node.toml")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", envvar="CXR_NODE_CONFIG", help="Settings file (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# Piped output is not wrapped at the width of a terminal.
_PIPED_COLUMNS = 220
out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


class CommandError(Exception):
    """The command cannot be done; the sentence says why and what to do."""


def uid_of(text: str) -> Uid:
    """Return the UID that a person gave; raise CommandError if it is none."""
    try:
        return parse_uid(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a UID") from None


def read_password() -> str:
    """Return a password: prompted for twice at a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise CommandError("standard input has no password; write it there, in one line")
    return text


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print expected errors as sentences and exit with their status."""
    try:
        yield
    except ConfigurationError as error:
        for problem in error.problems:
            err.print(f"configuration: {problem}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    except (CommandError, RetryLater, TooNew) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(EXIT_FAILED) from None
