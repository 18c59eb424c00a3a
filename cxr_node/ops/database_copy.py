"""Copy of a node's rows into another database: what must hold before, and the copy."""

from cxr_node.ops.single_instance import AlreadyRunning, data_folder_lock
from cxr_node.queries import claims
from cxr_node.records import dump
from cxr_node.wiring.process import Process


class CopyError(Exception):
    """The database cannot be copied; the sentence says what to do."""


def copy(source: Process, target: Process) -> dict[str, int]:
    """Copy all rows from the database of one process into that of another; return the rows of each table.

    Raises
    ------
    CopyError
        If a node runs, here or on another host; if the target has rows; or if both name the same database, or
        different folders for films.
    """
    folder, database_url = source.settings.node.data_folder, source.settings.database_url
    if folder.resolve() != target.settings.node.data_folder.resolve():
        raise CopyError("both settings must have the same node.data_folder: films and results are not copied")
    if database_url == target.settings.database_url:
        raise CopyError("both settings name the same database: set database.url in those to copy to")
    try:
        with data_folder_lock(folder, timeout_s=0.0):
            with source.database.read() as connection:
                holders = claims.holders(connection, now=source.clock())
            if holders:
                raise CopyError(
                    f"jobs are claimed by {', '.join(holders)}: stop that node, or wait for its leases to expire"
                )
            return dump.copy(source.database, target.database)
    except AlreadyRunning:
        raise CopyError("a node runs in this data folder: stop it first") from None
    except dump.NotEmpty as error:
        raise CopyError(f"{error}: name an empty database") from None
    except dump.CountsDiffer as error:
        raise CopyError(
            f"the numbers of rows differ in {error}: nothing was copied; is a node at work on it?"
        ) from None
