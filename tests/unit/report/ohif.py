"""Test double of OHIF's TID 1500 loader: the rules by which it opens a report, and what it writes over the film.

The rules are those for a film, which has no Frame of Reference. The loader reads Imaging Measurements and merges groups
of one Tracking Unique Identifier. A group with an SCOORD of its own is a region. In any other group SCOORDs below NUM
items have the coordinates on an image. A group without coordinates fails (OHIF 3.13.2).
"""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.report.sr.tree import children_of, name_of

_FINDING_SITE, _COMMENT = "363698007", "121106"


class DoesNotOpen(Exception):
    """The loader would fail, and with it the whole report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One graphic of the viewer, tracked by its UID, with the lines of its label."""

    tracking_uid: str
    graphics: int
    labels: tuple[str, ...]


def shown(report: Dataset) -> list[Shown]:
    """Return what the viewer draws, or raise DoesNotOpen."""
    containers = [item for item in children_of(report) if name_of(item) == "126010"]
    if not containers:
        raise DoesNotOpen("no Imaging Measurements")
    merged: dict[str, list[Dataset]] = {}
    for group in (item for item in children_of(containers[0]) if name_of(item) == "125007"):
        uids = [str(row.UID) for row in children_of(group) if name_of(row) == "112040"]
        if not uids:
            raise DoesNotOpen("a group without Tracking Unique Identifier")
        merged.setdefault(uids[0], []).extend(children_of(group))
    if not merged:
        raise DoesNotOpen("no group, whose image would be shown")
    return [_drawn(uid, rows) for uid, rows in merged.items()]


def _drawn(tracking_uid: str, rows: list[Dataset]) -> Shown:
    numbers = [row for row in rows if row.ValueType == "NUM"]
    regions = [row for row in rows if row.ValueType == "SCOORD"]
    below = [child for row in numbers for child in children_of(row) if child.ValueType == "SCOORD"]
    for coordinates in regions or below:
        _image_of(coordinates)
    if not regions and not below:
        raise DoesNotOpen("a group without coordinates")
    labels = tuple(map(_measured, numbers))
    if regions:
        sites = [f"{_FINDING_SITE}: {_meaning(row)}" for row in rows if name_of(row) == _FINDING_SITE]
        return Shown(tracking_uid=tracking_uid, graphics=len(regions), labels=(*labels, *sites))
    comments = [f"{row.TextValue}: " for row in rows if name_of(row) == _COMMENT]
    return Shown(tracking_uid=tracking_uid, graphics=len(below), labels=(*comments, *labels))


def _measured(row: Dataset) -> str:
    value = row.MeasuredValueSequence[0]
    unit = value.MeasurementUnitsCodeSequence[0].CodeValue
    return f"{row.ConceptNameCodeSequence[0].CodeMeaning}: {float(value.NumericValue):.2f} {unit}"


def _meaning(row: Dataset) -> str:
    return str(row.ConceptCodeSequence[0].CodeMeaning)


def _image_of(coordinates: Dataset) -> str:
    images = [child for child in children_of(coordinates) if child.ValueType == "IMAGE"]
    if len(images) != 1:
        raise DoesNotOpen("coordinates on no image")
    return str(images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
