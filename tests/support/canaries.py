"""Films that have a canary in whatever may identify somebody, and the bytes to look for in an export."""

import zlib
from collections.abc import Iterable, Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from cxr_node.report.header.elements import keywords
from tests.support import films

ROOT_UID = "1.2.3.4711"
"""Root of all UIDs of such a film."""
TEXT_BY_VR: Mapping[str, object] = {
    "PN": "CANARY^NAME",
    "LO": "CANARYTEXT CANARY",
    "SH": "CANARYSHORT",
    "ST": "CANARYTEXT",
    "LT": "CANARYTEXT chest CANARY",
    "UT": "CANARYTEXT",
    "UC": "CANARYTEXT",
    "UR": "http://canary.example",
    "AE": "CANARYAE",
    "CS": "CANARYCS",
    "AS": "099Y",
    "DA": "20010911",
    "DT": "20010911112233.471147",
    "TM": "112233.471147",
    "UI": f"{ROOT_UID}.1",
    "OB": b"CANARYBYTES!",
    "OW": b"CANARYWORDS!",
    "UN": b"CANARYUNKNOWN!",
    "IS": "47114711",
    "DS": "47114711.5",
}
SOUGHT = (b"CANARY", b"canary", b"20010911", b"47114711", ROOT_UID.encode(), b"19470213", b"C\0A\0N\0A\0R\0Y")

IDENTIFYING = keywords("""
    AccessionNumber AcquisitionComments AdditionalPatientHistory AdmissionID AdmittingDate
    AdmittingDiagnosesDescription Allergies BranchOfService CommentsOnThePerformedProcedureStep
    ConfidentialityConstraintOnPatientDataDescription ContentCreatorName ContrastBolusAgent CountryOfResidence
    CurrentPatientLocation DataSetTrailingPadding DerivationDescription DetectorID DeviceDescription
    DeviceSerialNumber DeviceUID DigitalSignatureUID DistributionAddress DistributionName EthnicGroup FrameComments
    FrameOfReferenceUID GantryID GeneratorID IdentifyingComments ImageComments ImagePresentationComments
    ImagingServiceRequestComments InstanceCreationDate InstanceCreatorUID InstitutionAddress InstitutionName
    InstitutionalDepartmentName InsurancePlanIdentification IrradiationEventUID IssuerOfAdmissionID
    IssuerOfPatientID Manufacturer MedicalAlerts MedicalRecordLocator MilitaryRank NameOfPhysiciansReadingStudy
    NamesOfIntendedRecipientsOfResults Occupation OperatorsName OtherPatientIDs OtherPatientNames PatientAddress
    PatientBirthName PatientBirthTime PatientComments PatientID PatientInstitutionResidence PatientMotherBirthName
    PatientName PatientReligiousPreference PatientState PatientTelephoneNumbers PerformedLocation
    PerformedProcedureStepDescription PerformedProcedureStepID PerformedProcedureStepStartDate
    PerformedStationAETitle PerformedStationName PerformingPhysicianName PhysiciansOfRecord
    PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest PlateID ProtocolName
    ReferringPhysicianAddress ReferringPhysicianName ReferringPhysicianTelephoneNumbers RegionOfResidence
    RequestedProcedureComments RequestedProcedureDescription RequestedProcedureID RequestingPhysician
    RequestingService ResponsibleOrganization ResponsiblePerson ReviewerName RetrieveAETitle
    ScheduledPerformingPhysicianName ScheduledStationAETitle SeriesDescription ServiceEpisodeID SoftwareVersions
    SpecialNeeds StationName StudyComments StudyDescription StudyID StudyIDIssuer SynchronizationFrameOfReferenceUID
    TextComments TextString TransactionUID UID VisitComments ClinicalTrialSubjectID ClinicalTrialSiteName
    ClinicalTrialSponsorName ManufacturerModelName SecondaryCaptureDeviceID WindowCenterWidthExplanation
    PatientBirthDate StudyDate SeriesDate AcquisitionDate ContentDate DateOfLastCalibration
    DateOfLastDetectorCalibration AcquisitionDateTime FilterType ReasonForStudy RequestAttributesSequence
    ReferencedStudySequence ReferencedPatientSequence OtherPatientIDsSequence PersonIdentificationCodeSequence
    OriginalAttributesSequence DigitalSignaturesSequence IconImageSequence SourceImageSequence
    ReferencedImageSequence ReferringPhysicianIdentificationSequence ProcedureCodeSequence
    ContributingEquipmentSequence EncryptedAttributesSequence PatientSexNeutered
""")
"""Attributes of PS3.15 table E.1-1 that a radiograph may have, and others that a name or number ends up in."""


def film(seed: int, *, patient: int, study: int) -> Dataset:
    """Return a film of a patient and study, full of canaries; only its picture and its geometry are harmless."""
    out = films.dx(seed=seed)
    out.SpecificCharacterSet = "ISO_IR 192"
    plant(out, IDENTIFYING)
    out.PatientID = f"CANARYID{patient}"
    out.PatientName = f"CANARY^Ünïque{patient}"
    out.PatientBirthDate = "19470213"
    out.StudyInstanceUID = f"{ROOT_UID}.20010911.{study}"
    out.SeriesInstanceUID = f"{ROOT_UID}.20010911.{study}.1"
    out.SOPInstanceUID = f"{ROOT_UID}.20010911.{study}.1.{seed}"
    out.SeriesNumber = out.InstanceNumber = "47114711"
    out.ImageType = ["ORIGINAL", "PRIMARY", "", "CANARYSITE"]
    for item in (out.ViewCodeSequence[0], out.AnatomicRegionSequence[0]):
        item.CodeMeaning += " of CANARY"
        plant(item, ["PatientName", "TextComments"])
        item.add_new(0x00290010, "LO", "CANARY ITEM")
    _add_private(out)
    _add_graphics(out)
    meta = out.file_meta
    meta.MediaStorageSOPInstanceUID = UID(out.SOPInstanceUID)
    meta.SourceApplicationEntityTitle = "CANARYAE"
    meta.PrivateInformationCreatorUID = UID(f"{ROOT_UID}.2")
    meta.PrivateInformation = b"CANARYMETA"
    out.preamble = b"CANARYPREAMBLE".ljust(128, b"\0")
    out.PixelData += b"CANARYBEHIND"
    return out


def plant(dataset: Dataset, planted: Iterable[str]) -> None:
    """Set attributes to canaries by their VR; a sequence has an item of them, with a sequence of its own."""
    for keyword in planted:
        element = Dataset()
        setattr(element, keyword, None)
        vr = element[keyword].VR
        if vr == "SQ":
            inner, outer = Dataset(), Dataset()
            plant(inner, ["PatientName", "PatientID", "ReferencedSOPInstanceUID", "TextValue", "StudyDate"])
            plant(outer, ["PersonName", "Date", "InstitutionName", "ReferencedSOPInstanceUID"])
            outer.ReferencedSeriesSequence = Sequence([inner])
            setattr(dataset, keyword, Sequence([outer]))
        elif vr in TEXT_BY_VR:
            setattr(dataset, keyword, TEXT_BY_VR[vr])


def _add_private(dataset: Dataset) -> None:
    block = dataset.private_block(0x0029, "CANARY CREATOR", create=True)
    block.add_new(0x01, "UN", b"CANARYPRIVATE!")
    block.add_new(0x02, "UI", f"{ROOT_UID}.3")
    item = Dataset()
    plant(item, ["PatientName"])
    block.add_new(0x03, "SQ", Sequence([item]))


def _add_graphics(dataset: Dataset) -> None:
    """Add an overlay, a curve and digital signatures' bytes, all retired or not."""
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60000011, "US", 8)
    dataset.add_new(0x60000022, "LO", "CANARY OVERLAY")
    dataset.add_new(0x60003000, "OW", b"CANARY!!")
    dataset.add_new(0x60004000, "LT", "CANARY OVERLAY COMMENT")
    dataset.add_new(0x50000022, "LO", "CANARY CURVE")
    dataset.add_new(0x50003000, "OW", b"CANARYCURVE!")
    dataset.add_new(0x00080000, "UL", 4711)
    dataset.RetrieveURL = TEXT_BY_VR["UR"]
    dataset.add_new(0xFFFCFFFC, "OB", b"CANARYPADDING!")


def unpacked(content: bytes) -> bytes:
    """Return an object's bytes, and behind them what the streams of a PDF file in it hold, without compression."""
    return content + b"".join(_streams(content))


def _streams(content: bytes) -> Iterator[bytes]:
    for part in content.split(b"stream\n")[1:]:
        inflater = zlib.decompressobj()
        try:
            yield inflater.decompress(part)
        except zlib.error:
            continue
