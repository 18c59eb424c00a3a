"""What every command shares: the settings option, exit statuses, and errors as sentences."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cxr_node.config import ConfigurationError
from cxr_node.db.migrate import TooNew
from cxr_node.domain.errors import RetryLater

EXIT_FAILED = 1
"""What was asked for did not succeed."""
EXIT_USAGE = 2
"""A setting or an argument is wrong."""

DEFAULT_CONFIG = Path("cxr-node.toml")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="CXR_NODE_CONFIG", help="The settings, a TOML file.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# What is piped on has no edge to fold at.
_PIPED_COLUMNS = 220
out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_COLUMNS)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandError(Exception):
    """What was asked for cannot be done; the sentence says what to do instead."""


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn the errors that a person can mend into a sentence and an exit status."""
    try:
        yield
    except ConfigurationError as error:
        for problem in error.problems:
            err.print(f"configuration: {problem}", markup=False)
        raise typer.Exit(EXIT_USAGE) from None
    except (CommandError, RetryLater, TooNew) as error:
        err.print(str(error), markup=False)
        raise typer.Exit(EXIT_FAILED) from None
