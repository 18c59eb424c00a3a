"""Archive that applies rejection notes, as one with IHE IOCM does: what they name is not shown, nor are they."""

import threading
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from cxr_node.domain.rejection_titles import RejectionTitle

_TITLES = frozenset(RejectionTitle)


class HidingArchive:
    """Objects by SOP Instance UID. A note applies to objects stored before and after it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, Dataset] = {}
        self._rejected: dict[str, RejectionTitle] = {}
        self.notes: list[Dataset] = []
        """Rejection notes in the order of their arrival, each once."""

    def store(self, content: bytes) -> None:
        """Store a DICOM file (PS3.10 section 7); one that is stored already changes nothing."""
        dataset = dcmread(BytesIO(content))
        uid = str(dataset.SOPInstanceUID)
        title = title_of(dataset)
        with self._lock:
            if uid in self._objects:
                return
            self._objects[uid] = dataset
            if title is not None:
                self.notes.append(dataset)
                self._rejected |= dict.fromkeys([uid, *rejected_by(dataset)], title)

    def visible(self) -> list[Dataset]:
        """Return what a person sees, in the order of arrival."""
        with self._lock:
            return [dataset for uid, dataset in self._objects.items() if uid not in self._rejected]

    def title(self, sop_instance_uid: str) -> RejectionTitle | None:
        """Return the title of the note that an object was rejected by; None if it is shown, or was never stored."""
        return self._rejected.get(sop_instance_uid)


def title_of(dataset: Dataset) -> RejectionTitle | None:
    """Return the title of a rejection note; None for any other object."""
    if dataset.get("SOPClassUID") != KeyObjectSelectionDocumentStorage:
        return None
    value = str(dataset.ConceptNameCodeSequence[0].CodeValue)
    return RejectionTitle(value) if value in _TITLES else None


def rejected_by(note: Dataset) -> list[str]:
    """Return the SOP Instance UIDs that a rejection note names."""
    return [
        str(instance.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]
