"""Simulated Storage Commitment SCU: requests commitment, and listens for the results."""

import queue
from collections import Counter
from collections.abc import Sequence

from pynetdicom import AE, build_context, evt

from cxr_node.domain.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST, CommitmentResult, Reference
from cxr_node.domain.identifiers import Uid, new_uid
from cxr_node.net.commitment_data_sets import action_information, parse_event
from cxr_node.simulators.peer import Peer
from cxr_node.simulators.scp import SimulatedScp

_SUCCESS = 0x0000
_NOT_AUTHORIZED = 0x0124


def request_commitment(references: Sequence[Reference], peer: Peer) -> Uid | None:
    """Request storage commitment by N-ACTION; return the Transaction UID, None if the request was not accepted."""
    transaction_uid = new_uid()
    try:
        with peer.association([build_context(PUSH_MODEL)]) as association:
            information = action_information(transaction_uid, references)
            response, _ = association.send_n_action(information, REQUEST, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except (OSError, RuntimeError, ValueError):  # ConnectionError is an OSError
        return None
    return transaction_uid if response.get("Status") == _SUCCESS else None


class CommitmentListener(SimulatedScp):
    """Takes N-EVENT-REPORT requests on associations that the SCP opens, and answers them with `status`.

    Roles must be those of PS3.4 section J.3.3: the SCP of the service class keeps its role on its own association.
    `results` has each event type with its result, in their order; `times` counts results by Transaction UID.
    """

    def __init__(self, ae_title: str, *, status: int = _SUCCESS) -> None:
        super().__init__(ae_title)
        self._status = status
        self.results: queue.SimpleQueue[tuple[int, CommitmentResult]] = queue.SimpleQueue()
        self.times: Counter[str] = Counter()

    def _configure(self, entity: AE) -> list[evt.EventHandlerType]:
        entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        return [(evt.EVT_N_EVENT_REPORT, self._on_n_event_report)]

    def _on_n_event_report(self, event: evt.Event) -> tuple[int, None]:
        (context,) = event.assoc.accepted_contexts
        if context.as_scp or not context.as_scu:
            return _NOT_AUTHORIZED, None
        result = parse_event(event.event_information)
        self.results.put((event.event_type or 0, result))
        self.times[result.transaction_uid] += 1
        return self._status, None
