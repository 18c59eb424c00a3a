"""Files of the demo for people: the report as text and the picture as PNG, beside the objects in the PACS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from cxr_node.report.sr import tree
from cxr_node.simulators.pacs import StoredObject

REPORTS: Final = "reports"
PICTURES: Final = "pictures"
"""Names of the folders."""


def write_readable(stored: Sequence[StoredObject], folder: Path, name: str) -> None:
    """Write the report of a study (TID 1500) as text and its picture as PNG, under `name`."""
    for report in of_class(stored, Comprehensive3DSRStorage):
        _folder(folder / REPORTS).joinpath(f"{name}.txt").write_text(text_of(report) + "\n", encoding="utf-8")
    for picture in of_class(stored, SecondaryCaptureImageStorage):
        Image.fromarray(picture.pixel_array).save(_folder(folder / PICTURES) / f"{name}.png")


def of_class(stored: Sequence[StoredObject], sop_class_uid: str) -> Sequence[Dataset]:
    """Return the newest object of a SOP Class, if there is one."""
    objects = [dcmread(one.path) for one in stored if one.path is not None]
    return [one for one in objects if one.SOPClassUID == sop_class_uid][-1:]


def text_of(report: Dataset) -> str:
    """Return the tree of a report, indented, without the header."""
    return "\n".join("  " * depth + text for depth, text in tree.lines(report, brief=True))


def place_of(folder: Path, name: str) -> Path:
    """Return where a person looks first, relative to `folder`: the picture if there is one, else the report."""
    picture = Path(PICTURES) / f"{name}.png"
    return picture if (folder / picture).exists() else Path(REPORTS) / f"{name}.txt"


def study_of(film: Path) -> str:
    """Return the Study Instance UID of a film."""
    return str(dcmread(film, specific_tags=["StudyInstanceUID"], stop_before_pixels=True).StudyInstanceUID)


def _folder(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path
