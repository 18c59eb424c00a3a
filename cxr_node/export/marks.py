"""Marks of a de-identified object: PS3.15 section E.1.1, items 6 and 7, and PS3.3 sections C.7.1.1 and C.12.1."""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cxr_node.export.options import Option, codes_of
from cxr_node.report.header.equipment import coded

_METHOD = ("DICOM PS3.15 annex E, basic profile", "cxr-node export")


def add_marks(dataset: Dataset, options: frozenset[Option], *, is_result: bool = False) -> None:
    """Mark a film, or a result, as de-identified under options of the basic profile."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = list(_METHOD)
    dataset.DeidentificationMethodCodeSequence = Sequence(
        [coded(code) for code in codes_of(options, is_result=is_result)]
    )
    moved = Option.MODIFIED_DATES in options
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if moved else "REMOVED"
