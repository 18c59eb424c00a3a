"""A stand-in PACS: takes images and results over real associations and files them in a folder."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table
from pynetdicom.transport import ThreadedAssociationServer

from cxr_node.domain.identifiers import AeTitle, parse_uid
from cxr_node.domain.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
_CANNOT_UNDERSTAND = 0xC000
_CLOSING_S = 5.0

_SOP_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image, For Presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image, For Processing
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.1",  # Multi-frame Single Bit Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.3",  # Multi-frame Grayscale Word Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.2",  # Color Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.4",  # Blending Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.8",  # Advanced Blending Presentation State
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.88.11",  # Basic Text SR
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.88.35",  # Extensible SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    "1.2.840.10008.5.1.4.1.1.88.65",  # Chest CAD SR
    "1.2.840.10008.5.1.4.1.1.88.67",  # X-Ray Radiation Dose SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
)


class SimulatedPacs:
    """A storage SCP whose `folder` holds one file per SOP Instance UID, `<uid>.dcm`; the last one sent wins.

    `port` 0 takes any free one. `on_received` is called after a file is in place, from the thread of its
    association.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "PACS",
        host: str = "127.0.0.1",
        port: int = 0,
        on_received: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._ae_title = AeTitle(ae_title)
        self._listen_on = (host, port)
        self._on_received = on_received
        self._entity: AE | None = None
        self._server: ThreadedAssociationServer | None = None

    @property
    def ae_title(self) -> AeTitle:
        """How it is called."""
        return self._ae_title

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise RuntimeError("the stand-in PACS is not started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer C-ECHO and C-STORE from now on; a busy address raises OSError."""
        # It reports every message and quotes what it cannot decode.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        self._folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=self._ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.add_supported_context(Verification)
        for sop_class_uid in _SOP_CLASSES:
            entity.add_supported_context(sop_class_uid, ALL_TRANSFER_SYNTAXES)
        self._entity = entity
        self._server = entity.start_server(
            self._listen_on, block=False, evt_handlers=[(evt.EVT_C_STORE, self._on_c_store)]
        )

    def stop(self) -> None:
        """End open associations and stop listening."""
        if self._entity is not None:
            shut_down(self._entity)
        self._entity, self._server = None, None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _on_c_store(self, event: evt.Event) -> int:
        request = cast("C_STORE", event.request)
        try:
            sop_instance_uid = UID(parse_uid(str(request.AffectedSOPInstanceUID)))
        except ValueError:
            return _CANNOT_UNDERSTAND
        data_set = request.DataSet.getvalue() if request.DataSet is not None else b""
        meta = create_file_meta(
            sop_class_uid=event.context.abstract_syntax,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax=event.context.transfer_syntax,
        )
        try:
            path = self._file(sop_instance_uid, bytes(128) + b"DICM" + encode_file_meta(meta) + data_set)
        except OSError:
            return _OUT_OF_RESOURCES
        self._on_received(path)
        return _SUCCESS

    def _file(self, sop_instance_uid: UID, content: bytes) -> Path:
        path = self._folder / f"{sop_instance_uid}.dcm"
        aside = self._folder / f".{sop_instance_uid}.part"
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return aside.replace(path)


def shut_down(entity: AE) -> None:
    """Stop listening and end every association; those that end already are waited for.

    pynetdicom's own way aborts these too, which its state machine does not allow for: a thread dies with an error.
    """
    for association in entity.active_associations:
        if not association.is_established:
            association.join(_CLOSING_S)
    entity.shutdown()
