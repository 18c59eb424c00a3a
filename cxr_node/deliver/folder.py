"""Folder destination: results as DICOM files in a folder, for a viewer or a watched share."""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from cxr_node.deliver.destination import Destination, DestinationKind, ExportUri, Probe, Receipt
from cxr_node.deliver.dicom_file import read_dicom_file
from cxr_node.domain.errors import RetryLater
from cxr_node.domain.files import flush, write_fault
from cxr_node.domain.identifiers import AeTitle, Uid

_log = logging.getLogger(__name__)

_SUCCESS = 0x0000


class Folder(DestinationKind):
    """A folder that results are written to."""

    kind: Literal["folder"] = Field("folder", description="Kind of destination.")
    folder: Path = Field(description="Folder of the files.")

    @classmethod
    def example(cls) -> Self:
        """Return the table of the example configuration."""
        return cls(name="folder", folder=Path("results"))

    @property
    def peer_name(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def audit_target(self) -> ExportUri:
        """The folder's URI."""
        return ExportUri(uri=self.folder.resolve().as_uri())

    def open(self, *, calling_ae_title: AeTitle) -> Destination:  # noqa: ARG002  # of every kind
        """Return the destination."""
        return FolderDestination(name=self.name, folder=self.folder)

    def probe(self, sop_class_uids: Sequence[Uid], *, calling_ae_title: AeTitle) -> Probe:  # noqa: ARG002  # of every kind
        """Test whether the folder can be written to."""
        fault = write_fault(self.folder)
        if fault:
            next_step = "make it writable for the node's user, or configure another folder"
            return Probe(message=f"{self.folder} is not writable: {fault}", is_usable=False, next_step=next_step)
        return Probe(message=f"{self.folder} is writable")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDestination:
    """Writes each object to a file named by its SOP Instance UID, atomically."""

    name: str
    folder: Path

    def send(self, content: bytes) -> Receipt:
        """Write the DICOM file `content` into the folder; see `Destination.send`.

        Writes and flushes a temporary file, renames it, and flushes the folder: one file for each UID.
        """
        file = read_dicom_file(content)
        final = self.folder / f"{file.sop_instance_uid}.dcm"
        temporary = self.folder / f".{file.sop_instance_uid}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(final)
            flush(self.folder, os.O_DIRECTORY)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise RetryLater(f"cannot write to the folder of {self.name}: {error.strerror}") from error
        _log.info("%s stored %s", self.name, file.sop_instance_uid)
        return Receipt(status=_SUCCESS)
