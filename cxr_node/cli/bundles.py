"""`cxr-node bundle`: list, show, verify, install and export bundles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from cxr_node import config
from cxr_node.audit.events import SOFTWARE_CONFIGURATION
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, out, reporting_errors
from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import CARDIOMEGALY, CARDIOMEGALY_BY_RATIO, HEART
from cxr_node.ops import operator_log
from cxr_node.queries.tables.columns import PERCENT
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process

if TYPE_CHECKING:
    from cxr_node.infer.card import Card, CodeEntry

app = typer.Typer(help="Bundles (models): built-in and installed.", no_args_is_help=True)

BundleArgument = Annotated[
    str, typer.Argument(help="NAME or NAME@VERSION of an installed bundle, or a bundle's folder.")
]
_DIGEST_DIGITS = 12
"""Digits of a digest shown in a table."""
_MAX_LABELS = 3
"""Labels shown in a table."""
_LICENCE_CHARACTERS = 40
"""Characters of a licence shown in a table; `show` prints all."""


@contextmanager
def bundle_errors() -> Iterator[None]:
    """Print errors of a bundle as sentences and exit with status 1."""
    # Imports torch, which takes seconds.
    from cxr_node.infer.bundle import BundleError

    with reporting_errors():
        try:
            yield
        except BundleError as error:
            raise CommandError(str(error)) from None


@app.command("list")
def list_bundles(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List the bundles that the settings can name."""
    from cxr_node.infer import bundle, bundle_registry

    with bundle_errors():
        installed = bundle_registry.installed(_settings(path).node.bundles_folder)
        folders = [*map(bundle_registry.find, bundle_registry.built_in()), *installed]
        cards = [bundle.read_card(folder) for folder in folders]
    origins = ["built-in"] * (len(folders) - len(installed)) + ["installed"] * len(installed)
    if as_json:
        rows = [_plain(card, origin) for card, origin in zip(cards, origins, strict=True)]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("name", "version", "from", "labels", "network", "licence")
    for card, origin in zip(cards, origins, strict=True):
        keys = [label.key for label in card.labels]
        labels = (
            ", ".join(keys)
            if len(keys) <= _MAX_LABELS
            else f"{', '.join(keys[:_MAX_LABELS])} and {len(keys) - _MAX_LABELS} more"
        )
        network = card.network.sha256[:_DIGEST_DIGITS]
        table.add_row(card.name, card.version, origin, labels, network, _shortened(card.licence))
    out.print(table)


@app.command("show")
def show(which: BundleArgument, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Print a bundle's card: intended use, training and test data, metrics and limits."""
    from cxr_node.infer import bundle

    with bundle_errors():
        card = bundle.read_card(_find(which, path))
    if as_json:
        typer.echo(card.model_dump_json(indent=2, exclude_none=True))
        return
    for name, value in _card_items(card).items():
        out.print(f"[bold]{name}[/bold]")
        out.print(f"  {value}", markup=False)
    out.print(_labels(card))
    if card.evidence.metrics:
        out.print(_metrics(card))


@app.command("verify")
def verify(which: BundleArgument, path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Load a bundle as the node does at its start: exit status 0 if it can be used."""
    from cxr_node.infer import bundle

    with bundle_errors():
        card = bundle.check(_find(which, path))
    place = "" if card.network.file else f", which {card.network.remote} runs; `cxr-node doctor` checks it"
    typer.echo(
        f"{card.name} {card.version} can be used: {len(card.labels)} labels, network {card.network.sha256}{place}"
    )


@app.command("install")
def install_bundle(
    source: Annotated[Path, typer.Argument(help="A bundle's folder, or a zip file of it.")],
    path: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Check a bundle and copy it into the data folder, so that its name finds it."""
    from cxr_node.infer import bundle, install

    with bundle_errors():
        settings = _settings(path)
        folder = install.install(source, settings.node.bundles_folder)
        card = bundle.read_card(folder)
    what = f"bundle {card.name} {card.version} installed"
    with Process.open(settings) as process:
        operator_log.record(process, what, subject="bundles", kind=SOFTWARE_CONFIGURATION)
    typer.echo(
        f"{card.name} {card.version} is installed; to read with it, set under [read]: bundle = {json.dumps(card.name)}"
    )


@app.command("export")
def export_bundle(
    which: BundleArgument,
    file: Annotated[Path, typer.Argument(help="The zip file to write.")],
    path: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Write a bundle as one zip file, byte-identical each time, for `cxr-node bundle install` on another host."""
    from cxr_node.infer import install

    with bundle_errors():
        install.export(_find(which, path), file)
    typer.echo(f"{file}: {file.stat().st_size:,} bytes")


def _settings(path: Path) -> Settings:
    """Return the settings; the defaults if there is no file at the default path."""
    return config.load(path) if path.exists() or path != DEFAULT_CONFIG else Settings()


def _find(which: str, path: Path) -> Path:
    from cxr_node.infer import bundle_registry

    return bundle_registry.find(which, _settings(path).node.bundles_folder)


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= _LICENCE_CHARACTERS else sentence[: _LICENCE_CHARACTERS - 1].rstrip() + "…"


def _plain(card: "Card", origin: str) -> dict[str, object]:
    return {
        "name": card.name,
        "version": card.version,
        "from": origin,
        "labels": [label.key for label in card.labels],
        "network": card.network.sha256,
        "licence": card.licence,
    }


def _card_items(card: "Card") -> dict[str, str]:
    """Return the card's texts by title."""
    items = {
        "bundle": f"{card.name} {card.version}, {card.manufacturer}",
        "intended use": card.intended_use,
        "licence": card.licence,
        "limits": card.evidence.limits,
        "trained on": card.evidence.training,
        "tested on": card.evidence.test,
        "input": f"{card.input.rows} x {card.input.columns}, {card.input.preparation}: {card.input.description}",
        "network": f"SHA-256 {card.network.sha256}; outputs {', '.join(card.network.outputs)}",
        "thresholds": card.operating_points.name,
    }
    if card.network.remote:
        items["runs at a server as"] = str(card.network.remote)
    if card.source:
        items["imported from"] = f"{card.source.url} (SHA-256 {card.source.file_sha256})"
    if card.structures:
        items["outlines"] = ", ".join(card.anatomy)
    return items


def _labels(card: "Card") -> Table:
    table = Table(Column("label", no_wrap=True), "code", "site", "threshold", "undetermined", "calibrated")
    for label in card.labels:
        point = card.point_of(label)
        table.add_row(
            label.key,
            _coded(label.code),
            _coded(label.site) if label.site else "",
            f"{PERCENT * point.score:g}",
            f"{PERCENT * point.undetermined_from:g} to {PERCENT * point.undetermined_to:g}",
            "yes" if label.calibrated else "no",
        )
    if card.cardiomegaly_by_ratio is not None:
        for view, limits in (("PA", card.cardiomegaly_by_ratio.pa), ("other views", card.cardiomegaly_by_ratio.ap)):
            table.add_row(
                f"{CARDIOMEGALY_BY_RATIO}, {view}",
                _coded(CARDIOMEGALY),
                _coded(HEART),
                f"ratio {limits.score:g}",
                f"{limits.undetermined_from:g} to {limits.undetermined_to:g}",
                "no",
            )
    return table


def _coded(entry: "CodeEntry | Code") -> str:
    return f'({entry.value}, {entry.scheme_designator}, "{entry.meaning}")'


def _metrics(card: "Card") -> Table:
    table = Table(Column("label", no_wrap=True), "view", "metric", "value (95 % interval)", "films (with finding)")
    for metric in card.evidence.metrics:
        value = f"{metric.value:g} ({metric.low:g} to {metric.high:g})"
        table.add_row(metric.label, metric.view, metric.metric, value, f"{metric.films} ({metric.with_finding})")
    return table
