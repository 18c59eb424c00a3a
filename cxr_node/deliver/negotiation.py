"""Which kinds of object a peer takes, asked by association negotiation without sending any (PS3.8 section 9.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.deliver.dicom_file import UNCOMPRESSED
from cxr_node.deliver.peer import Peer, spoken_status
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid

_SUCCESS = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What a peer said: whether it answered C-ECHO, and the transfer syntaxes it takes of each SOP Class asked for.

    `echoed` is False for a peer that does not offer Verification. A SOP Class that is not taken has no syntaxes.
    """

    echoed: bool
    accepted: Mapping[Uid, tuple[Uid, ...]]


def negotiated(remote: Peer, sop_class_uids: Sequence[Uid]) -> Negotiated:
    """Ask a peer what it takes, in one association; at most 42 SOP Classes.

    Raises
    ------
    RetryLater, Refused
        If there is no association, as of one that takes none of them and no C-ECHO; if C-ECHO fails.
    """
    # A context for each transfer syntax: of several in one context the peer names only the one it likes best.
    contexts = [build_context(Verification)]
    contexts += [build_context(sop_class, syntax) for sop_class in sop_class_uids for syntax in UNCOMPRESSED]
    with remote.association(contexts) as association:
        taken = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
        }
        echoed = any(abstract_syntax == str(Verification) for abstract_syntax, _ in taken)
        if echoed:
            status = association.send_c_echo().get("Status")
            if status != _SUCCESS:
                raise RetryLater(f"{remote} answered C-ECHO with {spoken_status(status)}")
    return Negotiated(
        echoed=echoed,
        accepted={
            sop_class: tuple(syntax for syntax in UNCOMPRESSED if (sop_class, syntax) in taken)
            for sop_class in sop_class_uids
        },
    )
