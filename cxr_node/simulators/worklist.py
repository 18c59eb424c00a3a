"""Simulated worklist manager by DIMSE: an SCP of UPS Pull over the state machine of `worklist_steps`."""

import socket
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from cxr_node.domain.sop_classes import UPS_PULL
from cxr_node.simulators.scp import SimulatedScp
from cxr_node.simulators.worklist_steps import ManagedSteps, Mode

AE_TITLE = "WORKLIST"
_NO_SUCH_ACTION = 0x0123


class SimulatedWorklist(ManagedSteps, SimulatedScp):
    """Manager of steps that listens for associations; see `ManagedSteps`."""

    def __init__(self, *, port: int = 0) -> None:
        ManagedSteps.__init__(self)
        SimulatedScp.__init__(self, AE_TITLE, port=port)

    def _configure(self, entity: AE) -> list[evt.EventHandlerType]:
        entity.add_supported_context(UID(UPS_PULL), ExplicitVRLittleEndian)
        return [
            (evt.EVT_CONN_OPEN, _without_delay),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_GET, lambda event: self.get(_uid(event), event.attribute_identifiers)),
            (evt.EVT_N_SET, lambda event: (self.set_attributes(_uid(event), event.modification_list), None)),
            (evt.EVT_N_ACTION, self._act),
        ]

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        status, responses = self.find(event.identifier)
        if status:
            yield status, None
            return
        for response in responses:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, response

    def _act(self, event: evt.Event) -> tuple[int, Dataset | None]:
        if event.action_type != 1:
            return _NO_SUCH_ACTION, None
        if self.mode is Mode.ABORTS:
            event.assoc.abort()
        title = str(event.assoc.requestor.ae_title)
        return self.change_state(_uid(event), event.action_information, performer=title), None


def _uid(event: evt.Event) -> str:
    return str(getattr(event.request, "RequestedSOPInstanceUID", ""))


def _without_delay(event: evt.Event) -> None:
    """Switch Nagle's algorithm off, which delays each response by 40 ms."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
