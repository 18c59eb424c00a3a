"""Digests of the parts of pynetdicom that receive/upper_layer replaces or relies on."""

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version

import pynetdicom.fsm as machine
import pytest
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.presentation import negotiate_as_acceptor
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

REVIEWED_AT = "3.0.4"
PINS: dict[str, tuple[object, str]] = {
    "AssociationSocket.__init__": (AssociationSocket.__init__, "1f0325fdef2cc353"),
    "AssociationSocket.ready": (AssociationSocket.ready, "3eb58e3d39dc076d"),
    "AssociationSocket.recv": (AssociationSocket.recv, "6bc20a33b1b7cfe7"),
    "AssociationSocket.send": (AssociationSocket.send, "1ea8158c0b51faca"),
    "AssociationSocket.close": (AssociationSocket.close, "c726c8db53813d55"),
    "AssociationSocket._shutdown_socket": (AssociationSocket._shutdown_socket, "e2b2628faa81a578"),
    "RequestHandler.handle": (RequestHandler.handle, "034823fb4df3a874"),
    "RequestHandler._create_association": (RequestHandler._create_association, "05c8d12b79863cdb"),
    "AssociationServer.get_handlers": (AssociationServer.get_handlers, "a1bd06a7b10e3a7a"),
    "AssociationServer.get_events": (AssociationServer.get_events, "df24a1504d9f892e"),
    "AssociationServer.active_associations": (AssociationServer.active_associations, "2dc018cb7d13020d"),
    "DULServiceProvider.__init__": (DULServiceProvider.__init__, "c82dafa9438ddf70"),
    "DULServiceProvider.run_reactor": (DULServiceProvider.run_reactor, "e3a10eb3a0931e48"),
    "DULServiceProvider._read_pdu_data": (DULServiceProvider._read_pdu_data, "19f2d4e38c13c835"),
    "DULServiceProvider._is_transport_event": (DULServiceProvider._is_transport_event, "8725ed03bb8fbdef"),
    "DULServiceProvider._process_recv_primitive": (DULServiceProvider._process_recv_primitive, "4c0ebbb3e646e35e"),
    "DULServiceProvider.stop_dul": (DULServiceProvider.stop_dul, "28a7e0be126e7b30"),
    "DULServiceProvider.send_pdu": (DULServiceProvider.send_pdu, "7cbce5da8594124e"),
    "Association.__init__": (Association.__init__, "eb07516b8009ad8f"),
    "Association.run_reactor": (Association.run_reactor, "ed8bbbe3b3d6ddae"),
    "Association._run_reactor": (Association._run_reactor, "f28838c5559e462a"),
    "Association.kill": (Association.kill, "8f9713666a7f4cff"),
    "Association._serve_request": (Association._serve_request, "2f24c1759cdf6c8c"),
    "DIMSEServiceProvider.__init__": (DIMSEServiceProvider.__init__, "bbecd186810e7700"),
    "DIMSEServiceProvider.get_msg": (DIMSEServiceProvider.get_msg, "890e3e04283f5aeb"),
    "DIMSEServiceProvider.receive_primitive": (DIMSEServiceProvider.receive_primitive, "5f99c86b14a15cef"),
    "DIMSEServiceProvider.send_msg": (DIMSEServiceProvider.send_msg, "a839cf2fb46976d9"),
    "DIMSEMessage.decode_msg": (DIMSEMessage.decode_msg, "f51c777e841a76be"),
    "StorageServiceClass.SCP": (StorageServiceClass.SCP, "63afca7fc6c6e7ee"),
    "negotiate_as_acceptor": (negotiate_as_acceptor, "d5413f08f0ac7b32"),
    "machine.DT_1": (machine.DT_1, "82e5c5d4114534fa"),
    "machine.DT_2": (machine.DT_2, "9ec543394e0b49eb"),
    "machine.AR_7": (machine.AR_7, "9a8d68182bf5c9fd"),
}


def digest(part: object) -> str:
    """Return a digest of the source of a function, of a property's getter, or of a class."""
    getter = part.fget if isinstance(part, property) else part
    assert callable(getter)
    source: Callable[..., object] = getter
    return hashlib.sha256(inspect.getsource(source).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PINS)
def test_replaced_parts_of_pynetdicom_are_unchanged(name: str) -> None:
    part, pinned = PINS[name]
    assert digest(part) == pinned, (
        f"pynetdicom {version('pynetdicom')}: {name} differs from {REVIEWED_AT}. Review it, adapt "
        "cxr_node/receive/upper_layer, and pin "
        f'{digest(part)}. Until then receive.path = "pynetdicom" uses only transport.py and bounded_dimse.py.'
    )
