"""Checks of a node's prerequisites: data folder, free space, database, bundle; and the result of a check."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from cxr_node.archive import space
from cxr_node.db import schema_version
from cxr_node.db.database import Database, DatabaseDamaged, SQLAlchemyError, WrongDatabase
from cxr_node.db.schema_version import Standing
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.files import write_fault
from cxr_node.ops import preflight
from cxr_node.records import bundles
from cxr_node.settings.root import Settings
from cxr_node.wiring import database_guard
from cxr_node.wiring.process import Process
from cxr_node.wiring.reserve import reserve_of


class Status(StrEnum):
    """Outcome of a check: `note` does not stop the node, `problem` needs action."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of a check: what is so, and the next step; empty if there is none."""

    name: str
    status: Status
    message: str
    next_step: str = ""


def ok(name: str, message: str) -> Check:
    """Return a passed check."""
    return Check(name=name, status=Status.OK, message=message)


def note(name: str, message: str, next_step: str) -> Check:
    """Return a check that found something worth knowing."""
    return Check(name=name, status=Status.NOTE, message=message, next_step=next_step)


def problem(name: str, message: str, next_step: str) -> Check:
    """Return a failed check."""
    return Check(name=name, status=Status.PROBLEM, message=message, next_step=next_step)


def data_folder(settings: Settings) -> Iterator[Check]:
    """Check that the data folder is writable and has free space."""
    folder = settings.node.data_folder
    fault = write_fault(folder)
    if fault:
        yield problem("data folder", f"{folder} is not writable: {fault}", "make it writable for the node's user")
        return
    yield ok("data folder", f"{folder} is writable")
    free, reserve = space.free_space(folder), reserve_of(settings)
    message = (
        f"{free}; {reserve.size_bytes:,} bytes and {reserve.inodes:,} inodes are reserved for database and results"
    )
    if not (shortage := reserve.shortage(free)):
        yield ok("free space", message)
    else:
        setting = "reserve_bytes" if shortage == "space" else "reserve_inodes"
        next_step = f"films are rejected until then: free disk {shortage}, or lower archive.{setting}"
        yield problem("free space", message, next_step)


def database(process: Process) -> Check:
    """Check that the database is reachable, whole, that of the kept films, and has the schema of this version."""
    settings, opened = process.settings, process.database
    kind = opened.engine.url.get_backend_name()
    try:
        database_guard.check_start(process)
        with opened.read() as connection:
            standing, why_not = schema_version.standing(connection), schema_version.why_not(connection)
    except (DatabaseDamaged, WrongDatabase) as error:
        return problem("database", str(error), "do so before the node runs: it does not start with this database")
    except (RetryLater, SQLAlchemyError) as error:
        is_server = settings.database.url
        next_step = "check that it runs and that database.url is right" if is_server else "check the data folder"
        return problem("database", f"{kind} cannot be used: {error}", next_step)
    if standing is Standing.TOO_NEW:
        return problem("database", f"{kind}: {why_not}", "install that version, or restore an earlier backup")
    if not why_not:
        version = "this" if standing is Standing.SAME else "a newer"
        return ok("database", f"{kind}, with the schema of {version} version")
    next_step = "`cxr-node run` upgrades it at its start, `cxr-node db upgrade` now"
    return note("database", f"{kind}, without the schema of this version", next_step)


def reading_bundles(settings: Settings) -> Iterator[Check]:
    """Check that read.bundle, or each bundle of the cascade, can be loaded."""
    # Imports torch, which takes seconds.
    from cxr_node.infer import bundle, bundle_registry

    section = settings.read
    own = {str(section.bundle): "read.bundle"}
    rows = {str(row.bundle or section.bundle): "bundle of [[read.cascade]]" for row in section.cascade} or own
    for name, setting in rows.items():
        try:
            card = bundle.check(bundle_registry.find(name, settings.node.bundles_folder))
        except bundle.BundleError as error:
            yield problem("bundle", str(error), f"set {setting} to one that `cxr-node bundle list` shows")
            continue
        if section.kind == "local" and not card.network.file:
            next_step = f'set read.kind = "remote" and [remote], or {setting} to another'
            yield problem("bundle", f"{card.name} {card.version} runs on an inference server only", next_step)
        else:
            yield ok("bundle", f"{card.name} {card.version}, weights SHA-256 {card.network.digest[:12]}")


def rules(settings: Settings) -> Iterator[Check]:
    """Check that each finding which a rule or a route names is one of a bundle of this host."""
    for sentence in preflight.unknown_findings(settings):
        message, _, next_step = sentence.rpartition("; ")
        yield problem("rules", message, next_step)


def activated_bundle(opened: Database) -> list[Check]:
    """Check that every reading host uses the activated bundle, if there is one."""
    with opened.read() as connection:
        choice, uses = bundles.newest(connection), bundles.uses(connection)
    if choice is None or choice.bundle is None:
        return []
    name = f"{choice.bundle.name} {choice.bundle.version}"
    rejected = [use for use in uses if use.is_rejected]
    if rejected:
        hosts = "; ".join(f"{use.host}: {use.detail}" for use in rejected)
        next_step = "fix the cause there, or activate another: these hosts read with the previous bundle"
        return [problem("activated bundle", f"{name} is rejected by {hosts}", next_step)]
    return [ok("activated bundle", f"{name}, used on {len(uses)} host(s) in place of read.bundle")]
