"""What can be wrong with a node before it runs, each looked at by itself and said in sentences."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cxr_node.archive import space
from cxr_node.db import migrate
from cxr_node.db.database import Database, SQLAlchemyError
from cxr_node.db.migrate import Standing
from cxr_node.domain.errors import RetryLater
from cxr_node.records import bundles
from cxr_node.settings.root import Settings
from cxr_node.wiring import process


class Status(StrEnum):
    """How it stands with what was looked at."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, how it is, and what to do next; nothing where there is nothing to do."""

    name: str
    status: Status
    said: str
    next: str = ""


def fine(name: str, said: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name=name, status=Status.OK, said=said)


def note(name: str, said: str, to_do: str) -> Check:
    """Return a check that found something that does not stop the node."""
    return Check(name=name, status=Status.NOTE, said=said, next=to_do)


def problem(name: str, said: str, to_do: str) -> Check:
    """Return a check that found something that a person must mend."""
    return Check(name=name, status=Status.PROBLEM, said=said, next=to_do)


def data_folder(settings: Settings) -> Iterator[Check]:
    """Yield whether the data folder can be written to, and has room."""
    folder = settings.node.data_folder
    fault = why_not_written(folder)
    if fault:
        yield problem("data folder", f"{folder} cannot be written to: {fault}", "give it to the user of the node")
        return
    yield fine("data folder", f"{folder} can be written to")
    free, reserve = space.free_bytes(folder), settings.archive.reserve_bytes
    said = f"{free:,} bytes are free, {reserve:,} of them kept for database and results"
    if space.has_space(free_bytes=free, reserve_bytes=reserve):
        yield fine("room", said)
    else:
        yield problem("room", said, "films are refused until there is room: make some, or lower archive.reserve_bytes")


def why_not_written(folder: Path) -> str:
    """Return why nothing can be written to a folder, empty if it can be. It is made where it is not there."""
    probe = folder / f".doctor-{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with probe.open("wb") as file:
            file.write(b"?")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    finally:
        with suppress(OSError):
            probe.unlink()
    return ""


def database(settings: Settings, opened: Database) -> Check:
    """Return whether the database can be reached, and has the schema of this version."""
    kind = opened.engine.url.get_backend_name()
    try:
        with opened.read() as connection:
            standing, why_not = migrate.standing(connection), migrate.why_not(connection)
    except (RetryLater, SQLAlchemyError) as error:
        to_do = "see that it runs and that database.url is right" if settings.database.url else "see to the data folder"
        return problem("database", f"{kind} cannot be used: {error}", to_do)
    if standing is Standing.TOO_NEW:
        return problem("database", f"{kind}: {why_not}", "install that version, or restore a backup from before")
    if not why_not:
        whose = "this" if standing is Standing.SAME else "a newer"
        return fine("database", f"{kind}, with the schema of {whose} version")
    to_do = "`cxr-node run` brings it up to date by itself, `cxr-node db upgrade` does it now"
    return note("database", f"{kind}, without the schema of this version", to_do)


def bundle(settings: Settings) -> Check:
    """Return whether the model can be opened."""
    # Only what looks at a model imports torch.
    from cxr_node.infer import bundle as opens
    from cxr_node.infer import bundle_registry

    try:
        identity = opens.load(
            bundle_registry.find(str(settings.read.bundle), process.bundles_folder(settings))
        ).identity
    except opens.BundleError as error:
        return problem("bundle", str(error), "name another in read.bundle; `cxr-node bundle list` has those there are")
    return fine("bundle", f"{identity.name} {identity.version}, weights SHA-256 {identity.weights_digest[:12]}")


def bundle_for_all(opened: Database) -> list[Check]:
    """Return whether the hosts that read do so with the bundle that was activated for all, if one was."""
    with opened.read() as connection:
        choice, uses = bundles.newest(connection), bundles.uses(connection)
    if choice is None or choice.bundle is None:
        return []
    name = f"{choice.bundle.name} {choice.bundle.version}"
    refused = [each for each in uses if each.is_refused]
    if refused:
        said = "; ".join(f"{each.host}: {each.detail}" for each in refused)
        to_do = "mend it there, or activate another: these hosts read on with the bundle they had"
        return [problem("activated bundle", f"{name} is refused by {said}", to_do)]
    return [fine("activated bundle", f"{name}, read with on {len(uses)} host(s), whatever read.bundle says")]
