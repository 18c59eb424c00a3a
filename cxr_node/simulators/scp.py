"""Base of the simulated peers that listen: one Application Entity on a port, from `start` to `stop`."""

import logging
from typing import Self

from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from cxr_node.domain.identifiers import AeTitle
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_CLOSING_S = 5.0


class SimulatedScp:
    """Listens at `host`, on any free port if `port` is 0.

    An association that calls it by another AE title is rejected, if `require_called_ae_title`.
    """

    def __init__(
        self, ae_title: str, *, host: str = "127.0.0.1", port: int = 0, require_called_ae_title: bool = True
    ) -> None:
        self.ae_title = AeTitle(ae_title)
        self._listen_on = (host, port)
        self._require_called_ae_title = require_called_ae_title
        self._entity: AE | None = None
        self._server: ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError(f"{self.ae_title} is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen; OSError if the address is in use."""
        # pynetdicom reports every message and quotes what it cannot decode.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        entity = AE(ae_title=self.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.require_called_aet = self._require_called_ae_title
        handlers = self._configure(entity)
        self._entity = entity
        self._server = entity.start_server(self._listen_on, block=False, evt_handlers=handlers)

    def stop(self) -> None:
        """End open associations and stop listening."""
        if self._entity is not None:
            _shut_down(self._entity)
        self._entity, self._server = None, None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self, entity: AE) -> list[evt.EventHandlerType]:
        """Add presentation contexts and limits to the entity; return its event handlers."""
        raise NotImplementedError


def _shut_down(entity: AE) -> None:
    """Stop listening and end every association; wait for those that end already.

    pynetdicom aborts these too, which its state machine does not allow for: a thread dies with an error.
    """
    for association in entity.active_associations:
        if not association.is_established:
            association.join(_CLOSING_S)
    entity.shutdown()
