"""Argument of commands that group films: `--by`."""

from typing import Annotated

import typer

from cxr_node.queries.grouping import GroupBy

ByOption = Annotated[
    GroupBy, typer.Option(help="Group by day (UTC), sender (AE title), or equipment as the header states it.")
]
NO_FILMS = "no film was received in this time"
