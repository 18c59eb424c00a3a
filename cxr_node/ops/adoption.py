"""Adoption: rows for kept films that the database does not have, after it was lost or put back to an older state."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from cxr_node.archive.integrity import is_intact
from cxr_node.archive.store import digest_of_film_key, is_film_key
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.identifiers import parse_ae_title, parse_uid
from cxr_node.domain.instance import Instance, Sender
from cxr_node.queries import archived
from cxr_node.receive import part10
from cxr_node.receive.identify import identify_with_values
from cxr_node.records import ingest
from cxr_node.wiring import database_guard
from cxr_node.wiring.film_attributes import attribute_rules
from cxr_node.wiring.process import Process

_BATCH_FILES = 500
_UNKNOWN = "UNKNOWN"
"""AE title of a film whose File Meta Information has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A kept file that is no film to adopt, and why."""

    archive_key: str
    reason: str


def adopt(process: Process) -> tuple[int, list[Refusal]]:
    """Write a row and a read job for each kept film without one; return their number, and what was not adopted.

    The films are received now, from the AE title in their File Meta Information. The database must have the schema of
    this version. The stamp of the newest film is written anew, so that the node starts with this database.

    Raises
    ------
    RetryLater
        If database or archive are unavailable; run again, the remaining films are adopted.
    """
    adopted, refusals = 0, []
    for key in _without_row(process):
        try:
            adopted += _adopt(process, key)
        except (KeyError, ValueError, OSError, RejectObject) as error:
            refusals.append(Refusal(archive_key=key, reason=_reason(error)))
    with process.database.read() as connection:
        newest = archived.newest_film(connection)
    database_guard.reset_stamp(process.settings, newest)
    return adopted, refusals


def _without_row(process: Process) -> Iterator[str]:
    keys = iter(sorted(key for key in process.archive.stored_keys() if is_film_key(key)))
    while batch := list(islice(keys, _BATCH_FILES)):
        with process.database.read() as connection:
            known = archived.known_digests(connection, [digest_of_film_key(key) for key in batch])
        yield from (key for key in batch if digest_of_film_key(key) not in known)


def _adopt(process: Process, key: str) -> bool:
    """Write the row of a kept film; return False if it has one meanwhile, and raise ValueError if it must not."""
    content, digest = process.archive.get(key), digest_of_film_key(key)
    if not is_intact(content, digest):
        raise _NoFilm("its bytes are not those that were received: restore it from a backup, or send the film again")
    meta = part10.meta_of(content)
    sender = Sender(
        calling_ae_title=parse_ae_title(str(meta.get("SendingApplicationEntityTitle", _UNKNOWN))),
        called_ae_title=parse_ae_title(str(meta.get("ReceivingApplicationEntityTitle", _UNKNOWN))),
        address="",
    )
    if sender.calling_ae_title == process.settings.constancy.calling_ae_title:
        raise _NoFilm("a phantom of the constancy check")
    transfer_syntax_uid = parse_uid(str(meta.get("TransferSyntaxUID", "")))
    data_set = part10.data_set_of(content)
    identity, header_values = identify_with_values(data_set, transfer_syntax_uid=transfer_syntax_uid)
    instance = Instance(
        identity=identity,
        transfer_syntax_uid=transfer_syntax_uid,
        digest=digest,
        content=content,
        header_values=header_values,
    )
    attributes = attribute_rules(process.settings).attributes(header_values, sender.calling_ae_title)
    return ingest.store(process.database, instance, sender, archive_key=key, attributes=attributes, now=process.clock())


class _NoFilm(ValueError):
    """The kept file must not be adopted; the clause says why."""


def _reason(error: Exception) -> str:
    match error:
        case _NoFilm() | RejectObject():
            return str(error)
        case OSError() | KeyError():
            return "it cannot be read"
        case _:
            return "it is not a film that this node has received"
