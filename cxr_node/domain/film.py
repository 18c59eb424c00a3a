"""Received film, as its row describes it.

In the domain, since preprocessing processes know films and no database.
"""

from dataclasses import dataclass
from datetime import datetime

from cxr_node.domain.identifiers import Digest, Uid
from cxr_node.domain.instance import Identity, KeptFile, Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film: identity, archive key, sender and time of reception.

    One that is not the original of its SOP Instance UID has the `first_archive_key` of the original, unless that was
    removed. One that `is_corrected` took the place of a film received before it, which then `is_replaced`.
    """

    film_id: int
    study_id: int
    identity: Identity
    transfer_syntax_uid: Uid
    digest: Digest
    archive_key: str
    sender: Sender
    received_at: datetime
    is_original: bool
    first_archive_key: str | None = None
    first_digest: Digest | None = None
    is_corrected: bool = False
    is_replaced: bool = False

    @property
    def first(self) -> KeptFile | None:
        """The file of the original, if this is not the original, and that was not removed."""
        if self.first_archive_key is None or self.first_digest is None:
            return None
        return KeptFile(archive_key=self.first_archive_key, digest=self.first_digest)
