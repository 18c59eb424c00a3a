"""`cxr-node route test`: gate, priority and destinations of a film, with reasons."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cxr_node import config
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.composing.route import Route
from cxr_node.deliver.routing import Decision, FilmFacts, film_decision
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.identifiers import AeTitle, Uid
from cxr_node.domain.instance import Sender
from cxr_node.pixels import elements, suitability
from cxr_node.pixels.geometry import geometry
from cxr_node.pixels.parsing import parse
from cxr_node.receive.priority import priority_boost_of_file_s
from cxr_node.settings.notify import NotifyRuleSection
from cxr_node.settings.root import Settings
from cxr_node.wiring import compose, preprocessing
from cxr_node.wiring.receive import priority_rules

app = typer.Typer(help="Routing of results.", no_args_is_help=True)
_WORDS = {True: "yes", False: "no", None: "depends"}


@app.command("test")
def explain(
    file: Annotated[Path, typer.Argument(help="A DICOM file.")],
    path: ConfigOption = DEFAULT_CONFIG,
    calling: Annotated[str, typer.Option("--calling", help="Calling AE title of the sender.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show whether a film would be read, and which destinations its study's results would have, with reasons."""
    with reporting_errors():
        settings = config.load(path)
        gate, facts = _gate_and_facts(file, calling, settings)
        priority_boost_s = _priority_boost_s(file, calling, settings)
        routes = compose.routes(settings)
        decisions = {name: film_decision(route.condition, facts) for name, route in routes.items()}
        priors = _priors(facts, settings)
    if as_json:
        document = {
            "read": gate.met,
            "reason": gate.reason,
            "priority_boost_s": priority_boost_s,
            "destinations": _plain(settings, routes, decisions),
            "notifications": [_notification(row) for row in settings.notify.rules],
            "priors": priors,
        }
        typer.echo(json.dumps(document, indent=2))
        return
    out.print(f"would be read: {_WORDS[gate.met]} ({gate.reason})", markup=False)
    if priority_boost_s:
        out.print(f"has priority by {priority_boost_s} s: it matches [[receive.urgent]]")
    out.print(f"prior film: {priors}", markup=False)
    table = Table("destination", "delivered", "results", "reason", "withdrawn by")
    for row in _plain(settings, routes, decisions):
        table.add_row(
            row["name"], _WORDS[row["delivered"]], ", ".join(row["results"]), row["reason"], row["withdrawn_by"]
        )
    for rule in settings.notify.rules:
        out.print(f"notification {rule.name}: {_notification(rule)['reason']}", markup=False)
    out.print(table if decisions else "no destination is configured: results are archived but not delivered")


def _gate_and_facts(file: Path, calling: str, settings: Settings) -> tuple[Decision, FilmFacts]:
    try:
        dataset = parse(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file}: cannot be read ({error.strerror})") from None
    except GiveUp as error:
        raise CommandError(f"{file}: {error}") from None
    verdict = suitability.judge_header(dataset, preprocessing.gate_rules(settings))
    rejected = verdict.refused
    return Decision(
        met=rejected is None,
        reason=f"{rejected.meaning}: {verdict.detail}" if rejected else "its header passes the gate",
    ), FilmFacts(
        calling_ae_title=calling,
        station_name=elements.text(dataset, "StationName"),
        view=geometry(dataset).view,
        findings=frozenset() if rejected else None,
    )


def _priority_boost_s(file: Path, calling: str, settings: Settings) -> int:
    content = file.read_bytes()
    sender = Sender(calling_ae_title=AeTitle(calling), called_ae_title=AeTitle(settings.receive.ae_title), address="")
    meta = parse(content).file_meta
    rules = priority_rules(settings)
    return priority_boost_of_file_s(content, sender, rules, transfer_syntax_uid=Uid(meta.TransferSyntaxUID))


def _plain(settings: Settings, routes: dict[str, Route], decisions: dict[str, Decision]) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "delivered": decisions[row.name].met,
            "results": _results(routes[row.name]),
            "reason": decisions[row.name].reason,
            "withdrawn_by": row.withdrawn_by if row.takes_rejection_notes else "a person",
        }
        for row in settings.deliver.destinations
    ]


def _priors(facts: FilmFacts, settings: Settings) -> str:
    """Return where the prior film of a film would be looked for."""
    section = settings.priors
    if not section.compare:
        return "films are not compared"
    if not facts.view.is_frontal:
        return "none, as the header states no frontal view"
    places = ", then ".join(["of this node", *(source.name for source in section.sources)])
    return f"{places}: the newest {facts.view.value} film of the patient of {section.maximum_age_days} days"


def _notification(row: NotifyRuleSection) -> dict[str, object]:
    findings = f"one of {', '.join(row.findings)}" if row.findings else "any finding"
    reason = f"depends on the reading: {findings}, present with a score of at least {row.minimum_score:g}"
    return {"name": row.name, "notified": None, "reason": reason}


def _results(route: Route) -> list[str]:
    return sorted(route.kinds) + (["report-best"] if route.forms else [])
