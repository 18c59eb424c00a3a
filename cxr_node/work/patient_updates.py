"""Updates of patients by HL7 messages: a corrected copy of each film concerned takes its place, results follow."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.archive.store import Archive, OutOfSpace, film_key
from cxr_node.composing import corrected_copy
from cxr_node.composing.corrected_copy import CorrectedCopy
from cxr_node.composing.film_attributes import AttributeRules
from cxr_node.db.database import Database
from cxr_node.domain.clock import Clock
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import Digest
from cxr_node.domain.instance import Received, StagedInstance
from cxr_node.domain.patient_update import (
    CannotUpdate,
    PatientIdentifier,
    PatientMessage,
    PatientUpdate,
    identifier_after,
    updates_of,
)
from cxr_node.receive.identify import identify_with_values
from cxr_node.receive.part10 import data_set_of, instance_of
from cxr_node.records import ingest, patient_updates
from cxr_node.records.ingest import IncomingFilm
from cxr_node.records.patient_updates import Copy, FilmsChanged, ReceivedMessage

_ATTEMPTS = 5
_BEGINNING_BYTES = 1 << 14
"""Nearly every header is shorter, up to the Study Instance UID."""


class OtherMessage(CannotUpdate):
    """Another message of this sender and Message Control ID was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientUpdater:
    """Applies messages.

    Parameters
    ----------
    rules
        What is stored of a film's header, and the actual character sets of senders.
    issues_anew
        Whether results are withdrawn and issued anew at once; if not, they follow the archive.
    default_issuer
        Issuer of Patient IDs that state none; empty if it is not known.
    maximum_films
        Most films that one message may correct.
    system
        Name of this node, in the copies.
    has_space
        Whether the disk has space for that many bytes.
    on_corrected
        Called after the commit with each copy, and what differs.
    """

    database: Database
    archive: Archive
    rules: AttributeRules
    issues_anew: bool
    default_issuer: str
    maximum_films: int
    system: str
    clock: Clock
    has_space: Callable[[int], bool] = lambda _size_bytes: True
    on_corrected: Callable[[Received, str], None] = lambda _copy, _detail: None

    def apply(self, message: PatientMessage, *, digest: Digest, address: str) -> int:
        """Apply a message in one transaction; return the number of corrected films, 0 also of one applied before.

        Raises
        ------
        CannotUpdate
            If it cannot be applied.
        RetryLater
            If database or archive are unavailable, the disk is full, or it is not known yet which films are meant.
        """
        for _ in range(_ATTEMPTS):
            with self.database.read() as connection:
                known = patient_updates.known_digest(connection, message)
                identified = patient_updates.identified(connection, message) if known is None else {}
            if known is not None and known != digest:
                raise OtherMessage("another message of this sender had this Message Control ID")
            updates = self._updates(message, identified)
            if not updates:
                return 0
            received = ReceivedMessage(message=message, digest=digest, address=address, at=self.clock())
            copies = self._copies(received, updates, identified)
            if self._store(received, identified, copies):
                for copy in copies:
                    self.on_corrected(copy.incoming.instance, copy.detail)
                return len(copies)
        raise RetryLater("films of the patient changed at every attempt")

    def _updates(
        self, message: PatientMessage, identified: Mapping[int, PatientIdentifier]
    ) -> dict[int, PatientUpdate]:
        """Return the update of each film concerned."""
        updates = updates_of(message.updates, identified, default_issuer=self.default_issuer)
        if len(updates) > self.maximum_films:
            raise CannotUpdate(f"it concerns {len(updates)} films, more than adt.maximum_films")
        return updates

    def _copies(
        self,
        received: ReceivedMessage,
        updates: Mapping[int, PatientUpdate],
        identified: Mapping[int, PatientIdentifier],
    ) -> list[Copy]:
        """Archive the copies of all films that do not state what is right yet."""
        with self.database.read() as connection:
            films = patient_updates.films_of(connection, list(updates))
        copies: list[Copy] = []
        try:
            for film in films:
                copy = self._copy(received, film, updates[film.film_id], identified[film.film_id])
                copies += [] if copy is None else [copy]
        except Exception:
            with suppress(RetryLater, OSError):
                self._discard(copies)
            raise
        return copies

    def _copy(
        self, received: ReceivedMessage, film: Film, update: PatientUpdate, identifier: PatientIdentifier
    ) -> Copy | None:
        """Archive the copy of a film that states what is right; None if the film does."""
        try:
            data_set = data_set_of(read_intact(self.archive, film))
        except (Damaged, ValueError):
            raise CannotUpdate(f"film {film.film_id} is damaged in the archive") from None
        title = film.sender.calling_ae_title
        copied = corrected_copy.corrected_copy(
            data_set,
            _values(update, identifier_after(update, identifier, default_issuer=self.default_issuer)),
            transfer_syntax_uid=film.transfer_syntax_uid,
            character_sets=self.rules.character_sets.get(title, self.rules.character_sets.get("")),
            system=self.system,
            at=received.at,
        )
        return None if copied is None else self._archived(received, film, copied)

    def _archived(self, received: ReceivedMessage, film: Film, copied: CorrectedCopy) -> Copy:
        identity, values = identify_with_values(
            memoryview(copied.data_set), transfer_syntax_uid=film.transfer_syntax_uid
        )
        instance = instance_of(
            identity,
            memoryview(copied.data_set),
            transfer_syntax_uid=film.transfer_syntax_uid,
            sender=film.sender,
            header_values=values,
        )
        if not self.has_space(instance.size_bytes):
            raise OutOfSpace("the disk has no space for the corrected copies")
        key = film_key(instance.digest)
        staged = self.archive.stage()
        try:
            staged.write(instance.content)
            staged.commit(key)
        finally:
            staged.close()
        incoming = IncomingFilm(
            # The content of thousands of films is not kept in memory.
            instance=StagedInstance(
                identity=identity,
                transfer_syntax_uid=film.transfer_syntax_uid,
                digest=instance.digest,
                size_bytes=instance.size_bytes,
                beginning=instance.content[:_BEGINNING_BYTES],
                staged=staged,
                header_values=values,
            ),
            sender=film.sender,
            archive_key=key,
            priority_boost_s=0,
            attributes=self.rules.attributes(values, film.sender.calling_ae_title),
            at=received.at,
        )
        detail = f"{', '.join(copied.corrected)} corrected by ADT^{received.message.event}"
        return Copy(film=film, incoming=incoming, detail=detail)

    def _store(
        self, received: ReceivedMessage, identified: Mapping[int, PatientIdentifier], copies: Sequence[Copy]
    ) -> bool:
        """Write what was prepared; return False if the films changed meanwhile, and nothing was written."""
        actor = f"hl7/{received.message.sender}"[:128]
        try:
            patient_updates.store(
                self.database, received, identified, copies, actor=actor, issues_anew=self.issues_anew
            )
        except FilmsChanged:
            self._discard(copies)
            return False
        except Exception:
            with suppress(RetryLater, OSError):  # whether it was committed is not known while the database is away
                self._discard(copies)
            raise
        return True

    def _discard(self, copies: Sequence[Copy]) -> None:
        """Remove copies without a row from the archive."""
        for copy in copies:
            instance = copy.incoming.instance
            if not ingest.is_kept(self.database, copy.incoming.uid, instance.digest):
                self.archive.discard(copy.incoming.archive_key)


def _values(update: PatientUpdate, identifier: PatientIdentifier) -> dict[int, str]:
    """Return the values that an update states, by tag."""
    values = {
        corrected_copy.PATIENT_NAME: update.name,
        corrected_copy.PATIENT_BIRTH_DATE: update.birth_date,
        corrected_copy.PATIENT_SEX: update.sex,
    }
    if update.identifiers:
        values[corrected_copy.PATIENT_ID] = identifier.patient_id
        values[corrected_copy.ISSUER_OF_PATIENT_ID] = identifier.issuer or None
    return {tag: text for tag, text in values.items() if text is not None}
