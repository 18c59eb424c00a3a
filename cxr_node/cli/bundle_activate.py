"""`cxr-node bundle activate`, `deactivate` and `uses`: one bundle for all readers, without a restart."""

import json
import tempfile
from pathlib import Path

import typer

from cxr_node import config
from cxr_node.archive.store import bundle_key
from cxr_node.audit.events import SOFTWARE_CONFIGURATION
from cxr_node.cli.bundles import BundleArgument, bundle_errors
from cxr_node.cli.database import read_write
from cxr_node.cli.terminal import DEFAULT_CONFIG, ConfigOption, JsonOption, reporting_errors
from cxr_node.domain.clock import local_time
from cxr_node.domain.identifiers import digest_of
from cxr_node.ops import operator_log
from cxr_node.records import bundles
from cxr_node.records.bundles import ArchivedBundle
from cxr_node.wiring.process import Process


def activate(which: BundleArgument, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Activate a bundle for all readers on every host, from their next films on, without a restart."""
    from cxr_node.infer import bundle, bundle_registry, install

    with bundle_errors():
        settings = config.load(path)
        folder = bundle_registry.find(which, settings.node.bundles_folder)
        card = bundle.read_card(folder)
        with tempfile.TemporaryDirectory() as temporary:
            packed = Path(temporary) / "bundle.zip"
            install.export(folder, packed)
            content = packed.read_bytes()
        digest = digest_of(content)
        key = bundle_key(digest)
        with read_write(path) as process:
            process.archive.put(key, content)
            chosen = ArchivedBundle(name=card.name, version=card.version, digest=digest, archive_key=key)
            _record_choice(process, chosen, what=f"bundle {card.name} {card.version} activated for all readers")
    if as_json:
        typer.echo(json.dumps({"name": card.name, "version": card.version, "network": card.network.sha256}))
    else:
        typer.echo(
            f"{card.name} {card.version} is activated for all readers; `cxr-node bundle uses` shows which hosts use it"
        )


def deactivate(path: ConfigOption = DEFAULT_CONFIG) -> None:
    """Return every reader to the bundle of its own settings."""
    with bundle_errors(), read_write(path) as process:
        _record_choice(process, None, what="bundle deactivated: readers use their settings")
    typer.echo("every reader uses read.bundle of its own settings again")


def uses(path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the activated bundle, and for each reading host whether it uses it or why not."""
    with reporting_errors(), read_write(path) as process, process.database.read() as connection:
        choice, hosts = bundles.newest(connection), bundles.uses(connection)
    bundle = choice.bundle if choice else None
    if as_json:
        rows = [{"host": use.host, "rejected": use.is_rejected, "detail": use.detail} for use in hosts]
        typer.echo(json.dumps({"bundle": bundle and f"{bundle.name}@{bundle.version}", "hosts": rows}, indent=2))
        return
    by = f", by {choice.activated_by} at {local_time(choice.activated_at)}" if choice else ""
    typer.echo(f"activated: {f'{bundle.name} {bundle.version}' if bundle else 'none, readers use their settings'}{by}")
    for use in hosts:
        typer.echo(f"{use.host}: {f'REJECTED: {use.detail}' if use.is_rejected else 'uses it'}")


def _record_choice(process: Process, bundle: ArchivedBundle | None, *, what: str) -> None:
    with process.database.write() as transaction:
        bundles.activate(transaction, bundle, by=operator_log.operator_name(), now=process.clock())
    operator_log.record(process, what, subject="bundles", kind=SOFTWARE_CONFIGURATION)
