"""Results as DICOM files in a folder, for a viewer or a share that is watched."""

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cxr_node.deliver.destination import Receipt
from cxr_node.deliver.dicom_file import read_dicom_file
from cxr_node.domain.errors import RetryLater

_log = logging.getLogger(__name__)

_SUCCESS = 0x0000


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDestination:
    """A folder. Each object is a file named by its SOP Instance UID, whole or not there at all."""

    name: str
    folder: Path

    def send(self, content: bytes) -> Receipt:
        """Put the DICOM file `content` into the folder; see `Destination.send`.

        Written aside, flushed, renamed over what is there, and the folder flushed: one UID, one file.
        """
        outgoing = read_dicom_file(content)
        final = self.folder / f"{outgoing.sop_instance_uid}.dcm"
        aside = self.folder / f".{outgoing.sop_instance_uid}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(final)
            _flush_folder(self.folder)
        except OSError as error:
            with suppress(OSError):
                aside.unlink()
            raise RetryLater(f"cannot write to the folder of {self.name}: {error.strerror}") from error
        _log.info("%s took %s", self.name, outgoing.sop_instance_uid)
        return Receipt(status=_SUCCESS)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
