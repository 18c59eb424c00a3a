"""`cxr-node backup` and `restore`: a consistent copy of database, archive and bundles while the node runs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cxr_node import config
from cxr_node.cli.database import read_only
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.ops import backup as backups
from cxr_node.ops import operator_log
from cxr_node.ops.backup import BackupError
from cxr_node.ops.single_instance import AlreadyRunning, data_folder_lock
from cxr_node.wiring.process import Process

_TIMEOUT_S = 24 * 3600.0

FolderArgument = Annotated[Path, typer.Argument(help="The backup's folder.")]


def backup(folder: FolderArgument, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Back up database, films, results and installed bundles; the node may run.

    The backup holds every film that got Success before it began, but not the settings file. An earlier backup in the
    folder is updated.
    """
    with reporting_errors():
        try:
            with read_only(config.load(path), at_most_s=_TIMEOUT_S) as process:
                manifest = backups.write(process, folder)
        except BackupError as error:
            raise CommandError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), **asdict(manifest)}))
    else:
        files = f"{manifest.files} files, {manifest.bytes:,} bytes"
        typer.echo(f"{folder}: the database of {manifest.begun_at} and {files}")


def restore(folder: FolderArgument, path: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Restore a backup into an empty node, and check each file against its digest. The node must not run.

    The database may be of the other kind than the one that was backed up.
    """
    with reporting_errors(), Process.open(config.load(path)) as process:
        try:
            manifest = backups.read_manifest(folder)
            with data_folder_lock(process.settings.node.data_folder, timeout_s=0.0):
                backups.restore(process, folder, manifest)
        except BackupError as error:
            raise CommandError(str(error)) from None
        except AlreadyRunning:
            raise CommandError("a node runs in this data folder: stop it first") from None
        operator_log.record(process, f"restored from the backup of {manifest.begun_at}", subject="node")
    if as_json:
        typer.echo(json.dumps(asdict(manifest)))
    else:
        typer.echo(f"restored {manifest.files} files and the database of {manifest.begun_at}; start the node")
