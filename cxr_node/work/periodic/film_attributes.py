"""Attributes of films that an older version received, and of those received again after their removal.

Their headers are read from the archive, the newest films first, a second at a time.
"""

import logging
import time
from collections.abc import Callable

from cxr_node.archive.store import Archive, ArchiveAway
from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.db.database import Database
from cxr_node.domain.deflated import DEFLATED
from cxr_node.domain.errors import RejectObject
from cxr_node.domain.film_attributes import Equipment, FilmAttributes
from cxr_node.receive.identify import identify_with_values
from cxr_node.receive.part10 import data_set_of
from cxr_node.records import film_attributes
from cxr_node.records.film_attributes import UnreadFilm

_log = logging.getLogger(__name__)

_BATCH_FILMS = 50
_BATCH_ROWS = 2000
_WITHIN_S = 1.0
_BEGINNING_BYTES = 1 << 17
"""Nearly every header is shorter, up to the last element that is read."""
_NONE = FilmAttributes(equipment=Equipment())


def update(
    database: Database, archive: Archive, rules: AttributeRules, *, timer: Callable[[], float] = time.monotonic
) -> int:
    """Delete what is not to be kept, and store missing attributes for a second; return the number of films.

    A film whose file is missing or altered gets none, so that it is not read again. One whose folder is away, or that
    cannot be read, is left for a later run, and the others are read.

    Raises
    ------
    RetryLater, OSError
        If database or archive are unavailable; the next run goes on.
    """
    until = timer() + _WITHIN_S
    _forget(database, rules)
    films = 0
    before: int | None = None
    failure: Exception | None = None
    while timer() < until:
        with database.read() as connection:
            unread = film_attributes.unread(connection, limit=_BATCH_FILMS, before=before)
        if not unread:
            break
        before = unread[-1].film_id
        described = []
        for film in unread:
            try:
                described.append((film, _attributes(archive, film, rules)))
            except (ArchiveAway, OSError) as error:
                failure = failure or error
        with database.write() as transaction:
            for film, attributes in described:
                film_attributes.fill(transaction, film.film_id, attributes)
        films += len(described)
    if films:
        _log.info("read the headers of %d films for their equipment and identifiers", films)
    if failure is not None:
        raise failure
    return films


def _forget(database: Database, rules: AttributeRules) -> None:
    if rules.keeps_identifiers and rules.keeps_names:
        return
    forget = film_attributes.forget_names if rules.keeps_identifiers else film_attributes.forget_identifiers
    forgotten = _BATCH_ROWS
    while forgotten == _BATCH_ROWS:
        with database.write() as transaction:
            forgotten = forget(transaction, limit=_BATCH_ROWS)


def _attributes(archive: Archive, film: UnreadFilm, rules: AttributeRules) -> FilmAttributes:
    try:
        if film.transfer_syntax_uid not in DEFLATED:  # a prefix of a deflated data set cannot be inflated
            attributes = _of_content(archive.get_beginning(film.archive_key, _BEGINNING_BYTES), film, rules)
            if attributes is not None:
                return attributes
        return _of_content(archive.get(film.archive_key), film, rules) or _NONE
    except KeyError:
        if not archive.has_place_of(film.archive_key):
            raise ArchiveAway(f"the archive is away: the folder of {film.archive_key} is not there") from None
        return _NONE


def _of_content(content: bytes, film: UnreadFilm, rules: AttributeRules) -> FilmAttributes | None:
    """Return the attributes in the bytes of a film; None if they are too few, or not of this film."""
    try:
        identity, values = identify_with_values(data_set_of(content), transfer_syntax_uid=film.transfer_syntax_uid)
    except (ValueError, RejectObject):
        return None
    return rules.attributes(values, film.calling_ae_title) if identity == film.identity else None
