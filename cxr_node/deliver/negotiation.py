"""Capabilities of a peer: accepted SOP Classes, by association negotiation without an object (PS3.8 section 9.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from cxr_node.deliver.dicom_file import transfer_syntaxes_of
from cxr_node.deliver.peer import Peer, status_text
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.identifiers import Uid

_SUCCESS = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiation:
    """Result of a negotiation: the transfer syntaxes accepted for each SOP Class, none where it is not accepted.

    `echoed` is False for a peer that does not support Verification.
    """

    echoed: bool
    accepted: Mapping[Uid, tuple[Uid, ...]]


def negotiate(peer: Peer, sop_class_uids: Sequence[Uid]) -> Negotiation:
    """Negotiate one association with a peer for at most 40 SOP Classes.

    Raises
    ------
    RetryLater, DeliveryRejected
        If no association is established, as where no context is accepted; if C-ECHO fails.
    """
    # A context for each transfer syntax: the peer accepts only one of those in one context.
    contexts = [build_context(Verification)]
    contexts += [
        build_context(sop_class, syntax) for sop_class in sop_class_uids for syntax in transfer_syntaxes_of(sop_class)
    ]
    with peer.association(contexts) as association:
        accepted = {
            (str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in association.accepted_contexts
        }
        echoed = any(abstract_syntax == str(Verification) for abstract_syntax, _ in accepted)
        if echoed:
            status = association.send_c_echo().get("Status")
            if status != _SUCCESS:
                raise RetryLater(f"{peer} answered C-ECHO with {status_text(status)}")
    return Negotiation(
        echoed=echoed,
        accepted={
            sop_class: tuple(syntax for syntax in transfer_syntaxes_of(sop_class) if (sop_class, syntax) in accepted)
            for sop_class in sop_class_uids
        },
    )
