"""`cxr-node explain`: what a code of the node means, and what to do."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer
from rich.table import Table

from cxr_node.cli.terminal import CommandError, JsonOption, out, reporting_errors
from cxr_node.domain.explanations import Explanation, explanations, find_explanations

_LABELS = (("so", "fact"), ("means", "effect"), ("to do", "remedy"))


def explain(
    code: Annotated[
        str, typer.Argument(help="Reason, note, status or rejection, as BODYPART or 0xA700; empty: all.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Explain a code of the node: what is so, what it means, what to do."""
    with reporting_errors():
        rows = [explanation.as_row() for explanation in _explanations(code)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif code:
        print_explanations(rows)
    else:
        table = Table("where", "code", "meaning")
        for row in rows:
            name = f"{row['name']} ({row['code']})" if row["code"] else row["name"]
            table.add_row(row["group"].replace("_", " "), name, row["title"])
        out.print(table)


def print_explanations(rows: Iterable[Mapping[str, str]]) -> None:
    """Print explanations, given as rows; four lines each."""
    for row in rows:
        code = f", {row['code']}" if row["code"] else ""
        out.print(f"{row['name']}{code}: {row['title']}", markup=False)
        for label, key in _LABELS:
            out.print(f"  {label:6} {row[key]}", markup=False)


def _explanations(code: str) -> list[Explanation]:
    if not code:
        return [explanation for entries in explanations().values() for explanation in entries.values()]
    matching = find_explanations(code)
    if not matching:
        raise CommandError(f"{code!r} is no code of this node; `cxr-node explain` lists them")
    return matching
