"""Rejection notes as an archive or a modality sends them."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage

from cxr_node.domain.identifiers import derive_uid


def rejection_note(title: str, *films: Dataset, scheme: str = "DCM", number: int = 0) -> Dataset:
    """Return a Key Object Selection with a title that names films of one study; each `number` has a UID of its own."""
    note = Dataset()
    note.file_meta = FileMetaDataset()
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    note.SOPClassUID = KeyObjectSelectionDocumentStorage
    note.SOPInstanceUID = derive_uid(
        "simulated rejection note", title, str(number), *(str(film.SOPInstanceUID) for film in films)
    )
    note.file_meta.MediaStorageSOPClassUID = note.SOPClassUID
    note.file_meta.MediaStorageSOPInstanceUID = note.SOPInstanceUID
    study = films[0].StudyInstanceUID if films else derive_uid("simulated rejection note", "study")
    note.StudyInstanceUID = study
    note.SeriesInstanceUID = derive_uid("simulated rejection note", "series", str(study))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"):
        setattr(note, keyword, films[0].get(keyword, "") if films else "")
    note.Modality = "KO"
    note.ValueType = "CONTAINER"
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = title, scheme, "Rejected"
    note.ConceptNameCodeSequence = Sequence([name])
    note.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(str(study), films)] if films else [])
    return note


def _evidence(study: str, films: tuple[Dataset, ...]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study
    item.ReferencedSeriesSequence = Sequence([])
    for film in films:
        instance, series = Dataset(), Dataset()
        instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
        series.SeriesInstanceUID = film.SeriesInstanceUID
        series.ReferencedSOPSequence = Sequence([instance])
        item.ReferencedSeriesSequence.append(series)
    return item
