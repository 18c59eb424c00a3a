"""Results to a PACS by C-STORE (PS3.4 annex B)."""

import logging
import os
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom import _config, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.deliver.destination import Receipt
from cxr_node.deliver.dicom_file import DicomFile, converted, read_dicom_file
from cxr_node.deliver.outcome import Outcome, of_status
from cxr_node.deliver.peer import Peer, raise_for_outcome, spoken_status
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CStoreDestination:
    """A PACS. Each object goes on an association of its own; a warning counts as success only if so configured."""

    name: str
    remote: Peer
    warning_is_success: bool = False

    def send(self, content: bytes) -> Receipt:
        """Send the data set of the DICOM file `content`; see `Destination.send`.

        In its own transfer syntax, byte for byte. Only where the peer accepts no other than a different
        uncompressed one are the same values written in that, and the receipt says so.
        """
        outgoing = read_dicom_file(content)
        # A context of its own for the file's transfer syntax: in a shared one the peer would choose.
        contexts = [build_context(outgoing.sop_class_uid, outgoing.transfer_syntax_uid)]
        if outgoing.alternatives:
            contexts.append(build_context(outgoing.sop_class_uid, list(outgoing.alternatives)))
        with self.remote.association(contexts) as association:
            accepted = [Uid(str(context.transfer_syntax[0])) for context in association.accepted_contexts]
            to_send = _in_accepted_syntax(outgoing, accepted)
            answer = _c_store(association, to_send)
        return self._receipt(answer.get("Status"), str(answer.get("ErrorComment", "")), outgoing, to_send)

    def echo(self) -> None:
        """Ask by C-ECHO whether the peer is there and admits us; raises as `send` does."""
        with self.remote.association([build_context(Verification)]) as association:
            status = association.send_c_echo().get("Status")
        if status != 0:
            raise RetryLater(f"{self.remote} answered C-ECHO with {spoken_status(status)}")

    def _receipt(self, status: int | None, comment: str, outgoing: DicomFile, sent: DicomFile) -> Receipt:
        if status is None:
            raise RetryLater(f"{self.remote} gave no answer to C-STORE")
        outcome = of_status(status, warning_is_success=self.warning_is_success)
        if outcome is not Outcome.DELIVERED:
            raise_for_outcome(
                outcome,
                f"{self.remote} answered C-STORE with {spoken_status(status)} {comment}".rstrip(),
                status=status,
            )
        if sent.transfer_syntax_uid != outgoing.transfer_syntax_uid:
            comment = f"sent as {sent.transfer_syntax_uid} {comment}".rstrip()
        _log.info("%s took %s with status 0x%04X", self.name, outgoing.sop_instance_uid, status)
        return Receipt(status=status, comment=comment)


def _in_accepted_syntax(outgoing: DicomFile, accepted: list[Uid]) -> DicomFile:
    if outgoing.transfer_syntax_uid in accepted:
        return outgoing
    return converted(outgoing, transfer_syntax_uid=accepted[0])


def _c_store(association: Association, outgoing: DicomFile) -> Dataset:
    """Send the data set as it stands in the file; an empty answer if none came."""
    # Read by pynetdicom at each call: with it a file's bytes are sent as they are, from a path only.
    _config.STORE_SEND_CHUNKED_DATASET = True
    file = os.memfd_create("outgoing")
    try:
        with os.fdopen(file, "wb", closefd=False) as memory:
            memory.write(outgoing.content)
        return association.send_c_store(f"/proc/self/fd/{file}")
    except RuntimeError:  # the association ended between its opening and this call
        return Dataset()
    finally:
        os.close(file)
