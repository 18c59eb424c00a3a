"""Films of the load, and their encoding to PDUs."""

import io
import os
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
)
from pynetdicom.dsutils import split_dataset

from cxr_node.faults import wire

_DCMCJPEG = Path("/usr/bin/dcmcjpeg")
_RUN_DIGITS, _NUMBER_DIGITS = 20, 12
_BEGINNING = 1 << 16
"""Bytes of a file that have every UID and the Patient ID."""
_RESTART = 1 << 20
"""Bytes of a fragment of the substitute for JPEG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of film: size, SOP Class and compression."""

    rows: int
    columns: int
    sop_class_uid: str = DigitalXRayImageStorageForPresentation
    lossless: bool = False
    noise: float = 400.0
    """Standard deviation in stored values; it determines the size in JPEG Lossless."""


KINDS: Mapping[str, Kind] = {
    "15 MB DX": Kind(rows=3056, columns=2500),
    "10 MB CR": Kind(rows=2500, columns=2048, sop_class_uid=ComputedRadiographyImageStorage),
    "2 MB DX": Kind(rows=1024, columns=1024),
    "10 kB DX": Kind(rows=64, columns=80),
    "JPEG Lossless DX": Kind(rows=3056, columns=2500, lossless=True, noise=230.0),
}


def uid(which: str, *, run: int = 0, number: int = 0) -> str:
    """Return a UID of constant length: of the study "1", series "2" or instance "3" of a film of a run."""
    return f"2.25.{which}{run:0{_RUN_DIGITS}d}{number:0{_NUMBER_DIGITS}d}"


def patient_id(*, run: int = 0, number: int = 0) -> str:
    """Return the Patient ID of a film, always 16 characters; each film has its own patient."""
    return f"P{run % 1000:03d}{number:0{_NUMBER_DIGITS}d}"


def write(folder: Path, name: str) -> Path:
    """Write a film of a kind to a file; its UIDs and Patient ID are those of run 0, number 0."""
    path = folder / f"{name.replace(' ', '-')}.dcm"
    _film(KINDS[name]).save_as(path, enforce_file_format=True)
    return path


def as_template(dataset: Dataset) -> None:
    """Set the UIDs and the Patient ID that the sender replaces."""
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid("3"))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(uid("1")), UID(uid("2"))
    dataset.PatientID = patient_id()


def _film(kind: Kind) -> Dataset:
    row, column = np.mgrid[0 : kind.rows, 0 : kind.columns]
    shade = 2048 + 1500 * np.sin(row / kind.rows * 3) * np.cos(column / kind.columns * 3)
    noise = np.random.default_rng(1).normal(0, kind.noise, shade.shape)
    stored = np.clip(np.rint(shade + noise), 0, 4095).astype("<u2")
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(kind.sop_class_uid)
    as_template(dataset)
    dataset.PatientName, dataset.PatientBirthDate, dataset.PatientSex = "LOAD^FILM", "19700101", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20240501", "101500", ""
    dataset.Modality = "CR" if kind.sop_class_uid == ComputedRadiographyImageStorage else "DX"
    dataset.BodyPartExamined, dataset.ViewPosition, dataset.PatientAge = "CHEST", "PA", "054Y"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = kind.rows, kind.columns, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    return _compressed(dataset) if kind.lossless else dataset


def _compressed(film: Dataset) -> Dataset:
    """Return the film in JPEG Lossless by DCMTK; without DCMTK noise of that size (no receiver decodes it)."""
    if _DCMCJPEG.is_file():
        with TemporaryDirectory() as folder:
            plain, small = Path(folder, "plain.dcm"), Path(folder, "small.dcm")
            film.save_as(plain, enforce_file_format=True)
            subprocess.run([_DCMCJPEG, "+e1", plain, small], check=True)
            compressed = pydicom.dcmread(io.BytesIO(small.read_bytes()))
        as_template(compressed)
        return compressed
    size = round(film.Rows * film.Columns * 1.25) & ~1
    frame = b"\xff\xd8" + bytes(np.random.default_rng(1).integers(0, 255, size, np.uint8)) + b"\xff\xd9"
    film.PixelData = encapsulate([frame], fragments_per_frame=-(-size // _RESTART))
    film["PixelData"].is_undefined_length = True
    film.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    return film


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyFilm:
    """A film as the bytes of its PDUs: individual part in memory, part common to all films in a file for sendfile."""

    command: bytes
    head: bytes
    tail: int
    """File descriptor."""
    tail_bytes: int
    command_places: tuple[tuple[int, str], ...]
    head_places: tuple[tuple[int, str], ...]

    def copy(self, *, run: int, number: int) -> tuple[bytes, bytes]:
        """Return command and head of a copy with its own UIDs and patient."""
        return (
            _patched(self.command, self.command_places, run, number),
            _patched(self.head, self.head_places, run, number),
        )


_WHICH = ("1", "2", "3", "P")


def _named(which: str, run: int, number: int) -> bytes:
    name = patient_id(run=run, number=number) if which == "P" else uid(which, run=run, number=number)
    return name.encode()


def _places(content: bytes) -> tuple[tuple[int, str], ...]:
    places: list[tuple[int, str]] = []
    for which in _WHICH:
        name = _named(which, 0, 0)
        at = content.find(name)
        while at >= 0:
            places.append((at, which))
            at = content.find(name, at + 1)
    return tuple(sorted(places))


def _patched(content: bytes, places: tuple[tuple[int, str], ...], run: int, number: int) -> bytes:
    patched = bytearray(content)
    for at, which in places:
        name = _named(which, run, number)
        patched[at : at + len(name)] = name
    return bytes(patched)


def identity(path: Path) -> tuple[str, str]:
    """Return the SOP Class UID and the Transfer Syntax UID of a file."""
    meta, _ = split_dataset(path)
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)


def ready(path: Path, *, pdu_bytes: int) -> ReadyFilm:
    """Split a file's data set into PDUs of at most `pdu_bytes` of variable field, once for all copies."""
    meta, offset = split_dataset(path)
    data_set = path.read_bytes()[offset:]
    fragment_bytes = pdu_bytes - struct.calcsize(">LBB")
    message = wire.Message(
        sop_class_uid=str(meta.MediaStorageSOPClassUID),
        sop_instance_uid=uid("3"),
        study_instance_uid=uid("1"),
        data_set=b"",
    )
    command = wire.p_data(wire.store_rq(message), wire.COMMAND | wire.LAST)
    pdus = [
        wire.p_data(data_set[at : at + fragment_bytes], wire.LAST if at + fragment_bytes >= len(data_set) else 0)
        for at in range(0, len(data_set), fragment_bytes)
    ]
    places = _places(pdus[0])
    if {which for _, which in places} != set(_WHICH):
        raise ValueError(f"{path.name}: the first PDU lacks a UID or the Patient ID that the sender replaces")
    rest = b"".join(pdus[1:])
    return ReadyFilm(
        command=command,
        head=pdus[0],
        tail=_memory_file(rest),
        tail_bytes=len(rest),
        command_places=_places(command),
        head_places=places,
    )


def ready_request(path: Path, *, token: str) -> ReadyFilm:
    """Return a file as a STOW-RS request with one part, once for all copies."""
    content = path.read_bytes()
    part = b"--film\r\nContent-Type: application/dicom\r\n\r\n"
    end = b"\r\n--film--\r\n"
    fields = (
        "POST /dicomweb/studies HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        'Content-Type: multipart/related; type="application/dicom"; boundary=film',
        f"Content-Length: {len(part) + len(content) + len(end)}",
    )
    head, rest = content[:_BEGINNING], content[_BEGINNING:] + end
    return ReadyFilm(
        command="".join(f"{line}\r\n" for line in (*fields, "")).encode() + part,
        head=head,
        tail=_memory_file(rest),
        tail_bytes=len(rest),
        command_places=(),
        head_places=_places(head),
    )


def _memory_file(content: bytes) -> int:
    """Return the descriptor of a file in memory with `content`; it stays open until the process ends."""
    file = os.memfd_create("film")
    with os.fdopen(os.dup(file), "wb") as writer:
        writer.write(content)
    return file
