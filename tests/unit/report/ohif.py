"""Test double of OHIF's TID 1500 loader: the rules by which it opens a report.

The rules are those for a film, which has no Frame of Reference. The loader reads Imaging Measurements and merges groups
of one Tracking Unique Identifier. A group with an SCOORD of its own is a region. In any other group the one child of
every NUM has the coordinates on an image. A group without coordinates fails (OHIF 3.13.2).
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.report.sr.tree import children_of, name_of


class DoesNotOpen(Exception):
    """The loader would fail, and with it the whole report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One row of the viewer's list: Tracking Unique Identifier, and number of graphics."""

    tracking_uid: str
    graphics: int


def shown(report: Dataset) -> list[Shown]:
    """Return the rows of the viewer's list, or raise DoesNotOpen."""
    containers = [item for item in children_of(report) if name_of(item) == "126010"]
    if not containers:
        raise DoesNotOpen("no Imaging Measurements")
    merged: dict[str, list[Dataset]] = {}
    for group in (item for item in children_of(containers[0]) if name_of(item) == "125007"):
        uids = [str(row.UID) for row in children_of(group) if name_of(row) == "112040"]
        if not uids:
            raise DoesNotOpen("a group without Tracking Unique Identifier")
        merged.setdefault(uids[0], []).extend(children_of(group))
    return [Shown(tracking_uid=uid, graphics=_graphics(rows)) for uid, rows in merged.items()]


def _graphics(rows: list[Dataset]) -> int:
    regions = [row for row in rows if row.ValueType == "SCOORD"]
    if regions:
        for region in regions:
            _image_of(region)
        return len(regions)
    numbers = [row for row in rows if row.ValueType == "NUM"]
    if not numbers:
        raise DoesNotOpen("a group without coordinates")
    for number in numbers:
        children = children_of(number)
        if len(children) != 1 or children[0].ValueType != "SCOORD":
            raise DoesNotOpen("a NUM whose children are not one SCOORD")
        _image_of(children[0])
    return len(numbers)


def _image_of(coordinates: Dataset) -> str:
    images = [child for child in children_of(coordinates) if child.ValueType == "IMAGE"]
    if len(images) != 1:
        raise DoesNotOpen("coordinates on no image")
    return str(images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
