"""Files that a DICOMDIR names (PS3.10 section 8.6, PS3.3 annex F)."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from cxr_node.domain.errors import GiveUp
from cxr_node.ops.trial.rows import Answer, NotAdmitted, Obstacle
from cxr_node.pixels import elements
from cxr_node.pixels.parsing import parse

MAXIMUM_BYTES = 64 << 20
"""A record takes some hundred bytes."""
_NAME = "dicomdir"


def is_name(name: str) -> bool:
    """Whether a file is named DICOMDIR, in any case and as a file system of ISO 9660 may show it."""
    return _folded(name) == _NAME


def folded(parts: Sequence[str]) -> tuple[str, ...]:
    """Return a path in the form in which a medium's file system may differ from its DICOMDIR: case, and version."""
    return tuple(_folded(part) for part in parts)


def _folded(part: str) -> str:
    return part.partition(";")[0].rstrip(".").casefold()


def leads_out(reference: Sequence[str]) -> bool:
    """Whether a reference could leave its folder, where it opened."""
    return any(part in ("", ".", "..") or "/" in part or "\\" in part or "\0" in part for part in reference)


def references(content: bytes) -> list[tuple[str, ...]]:
    """Return the parts of each Referenced File ID (0004,1500), each reference once.

    Raises
    ------
    NotAdmitted
        If it is no DICOMDIR that can be parsed.
    """
    try:
        dataset = parse(content)
        records = _records(dataset)
    except GiveUp as error:
        raise NotAdmitted(Answer.NO_FILM, Obstacle.DICOMDIR, error.detail) from None
    except Exception:  # noqa: BLE001  # on arbitrary bytes pydicom raises arbitrary exceptions
        raise NotAdmitted(Answer.NO_FILM, Obstacle.DICOMDIR, "its records cannot be parsed") from None
    named = (elements.texts(record, "ReferencedFileID") for record in records)
    return list(dict.fromkeys(parts for parts in named if parts))


def _records(dataset: Dataset) -> list[Dataset]:
    return [item for item in dataset.get("DirectoryRecordSequence") or () if isinstance(item, Dataset)]
