"""`cxr-node compare`: agreement of a shadow bundle with the reading bundle."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node.cli.database import reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.cli.time_arguments import parse_time
from cxr_node.ops.formatting import score_words
from cxr_node.ops.shadow_agreement import shadow_agreement, shadow_findings
from cxr_node.queries.tables.columns import PERCENT

_NO_FILMS = "no film was read by a shadow bundle in this time: set read.shadow, and wait for films"


def compare(
    path: ConfigOption = DEFAULT_CONFIG,
    bundle: Annotated[str, typer.Option(help="NAME or NAME@VERSION of the shadow bundle; default: the newest.")] = "",
    since: Annotated[str, typer.Option(help="Films received from this time on: 2026-01-31, or 7d ago.")] = "31d",
    until: Annotated[str, typer.Option(help="Films received before this time.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="List at most this many differing films.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Compare a shadow bundle with the reading bundle: kappa, agreement, shift of scores, differing films.

    Neither bundle is taken as the reference.
    """
    with reporting_errors():
        with reading_database(path) as connection:
            rows = shadow_findings(connection, bundle=bundle, since=parse_time(since), until=parse_time(until))
        if not rows:
            raise CommandError(_NO_FILMS)
        comparison = shadow_agreement(rows)
    if as_json:
        differing = comparison["differing"][:limit]
        typer.echo(json.dumps({**comparison, "differing": differing}, indent=2, default=str))
        return
    _print(comparison, limit)


def _print(comparison: dict[str, Any], limit: int) -> None:
    out.print(
        f"{comparison['shadow']} as the shadow of {comparison['first']}, {comparison['films']} films", markup=False
    )
    alone = comparison["not_analysed_by_shadow_alone"], comparison["not_analysed_by_first_alone"]
    out.print(f"not analysed by the shadow alone {alone[0]}, by the first alone {alone[1]}")
    calls = "both / first / shadow / neither"
    table = Table("finding", "films", calls, "kappa", "positive", "negative", "shift of 100 (limits)")
    for key, agreement in comparison["findings"].items():
        counts = " / ".join(str(agreement[name]) for name in ("both", "first_only", "second_only", "neither"))
        bounds = [PERCENT * limit for limit in agreement["limits"] or ()]
        limits = " ({:+.1f} to {:+.1f})".format(*bounds) if bounds else ""
        intervals = (_interval(agreement[name]) for name in ("kappa", "positive", "negative"))
        table.add_row(key, str(agreement["films"]), counts, *intervals, f"{PERCENT * agreement['shift']:+.1f}{limits}")
    out.print(table)
    differing = comparison["differing"]
    out.print(f"{len(differing)} findings differ at the thresholds{', largest first:' if differing else ''}")
    if differing and limit:
        table = Table("film", "SOP Instance UID", "finding", "first: score / threshold", "shadow: score / threshold")
        for row in differing[:limit]:
            first = score_words(row["key"], row["primary_score"], row["primary_operating_point"])
            second = score_words(row["key"], row["score"], row["operating_point"])
            table.add_row(str(row["film_id"]), row["sop_instance_uid"], row["key"], first, second)
        out.print(table)


def _interval(interval: dict[str, float] | None) -> str:
    return "" if interval is None else f"{interval['value']:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"
