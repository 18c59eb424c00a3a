"""Folders for trials: films, archives, a DICOMDIR, and files that are none of these."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

BOMB_BYTES = 32 << 20


def encoded(film: Dataset) -> bytes:
    """Return a film as a DICOM file."""
    content = io.BytesIO()
    film.save_as(content, enforce_file_format=True)
    return content.getvalue()


def zipped(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip archive with these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def bomb(film: Dataset) -> bytes:
    """Return a file that begins as a film and goes on with zeros, which a zip archive holds in a thousandth."""
    return encoded(film) + bytes(BOMB_BYTES)


def dicomdir(*references: tuple[str, ...]) -> bytes:
    """Return a DICOMDIR with an image record for each Referenced File ID, without records above them."""
    directory = Dataset()
    directory.FileSetID = "TRIAL"
    directory.DirectoryRecordSequence = Sequence([_record(parts) for parts in references])
    directory.file_meta = FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    return encoded(directory)


def _record(parts: tuple[str, ...]) -> Dataset:
    record = Dataset()
    record.DirectoryRecordType = "IMAGE"
    # As it is, which pydicom may warn about.
    record.add(DataElement("ReferencedFileID", "CS", list(parts), validation_mode=IGNORE))
    return record
