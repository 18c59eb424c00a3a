"""Patient, study and order attributes that a result copies from its film (PS3.3 sections C.7.1, C.7.2)."""

from pydicom.dataset import Dataset

from cxr_node.report.header.elements import keywords, tag_of, verbatim

PATIENT = keywords("""
    PatientName PatientID IssuerOfPatientID TypeOfPatientID IssuerOfPatientIDQualifiersSequence PatientBirthDate
    PatientBirthTime PatientSex OtherPatientIDs OtherPatientIDsSequence OtherPatientNames EthnicGroup
    PatientComments ReferencedPatientSequence PatientSpeciesDescription PatientSpeciesCodeSequence
    PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson
    ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod
    DeidentificationMethodCodeSequence QualityControlSubject ClinicalTrialSponsorName ClinicalTrialProtocolID
    ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID
    ClinicalTrialSubjectReadingID
""")

_ANIMAL = keywords("""
    PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson
    ResponsibleOrganization PatientSexNeutered
""")
"""Type 2C, present where a species is (PS3.3 sections C.7.1.1 and C.7.2.2)."""

STUDY = keywords("""
    StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber IssuerOfAccessionNumberSequence
    StudyDescription PhysiciansOfRecord NameOfPhysiciansReadingStudy ConsultingPhysicianName
    RequestingServiceCodeSequence ReferencedStudySequence ProcedureCodeSequence
    ReasonForPerformedProcedureCodeSequence ClinicalTrialTimePointID ClinicalTrialTimePointDescription
""")

PATIENT_STUDY = keywords("""
    PatientAge PatientSize PatientWeight AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence AdmissionID
    IssuerOfAdmissionIDSequence ServiceEpisodeID ServiceEpisodeDescription PatientState Occupation
    AdditionalPatientHistory PregnancyStatus SmokingStatus MedicalAlerts Allergies PatientSexNeutered
""")

_REQUEST = keywords("""
    AccessionNumber IssuerOfAccessionNumberSequence RequestedProcedureID RequestedProcedureDescription
    RequestedProcedureCodeSequence ReasonForTheRequestedProcedure ReferencedStudySequence
    PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest
""")

_REQUEST_TYPE_2 = keywords("""
    AccessionNumber RequestedProcedureID RequestedProcedureDescription PlacerOrderNumberImagingServiceRequest
    FillerOrderNumberImagingServiceRequest
""")
"""PS3.3 table C.17-2, Referenced Request Sequence; the two sequences of type 2 are added beside them."""


def copy_patient_and_study(header: Dataset, result: Dataset) -> None:
    """Copy the Patient, General Study and Patient Study modules of a safe header, element by element."""
    for keyword in (*PATIENT, *STUDY, *PATIENT_STUDY, "TimezoneOffsetFromUTC"):
        tag = tag_of(keyword)
        if tag in header:
            result.add(header[tag])
    if "PatientSpeciesDescription" in header or "PatientSpeciesCodeSequence" in header:
        for keyword in _ANIMAL:
            if keyword not in result:
                setattr(result, keyword, [] if keyword.endswith("Sequence") else "")


def requests(header: Dataset, study_instance_uid: str) -> list[Dataset]:
    """Return the items of Referenced Request Sequence (0040,A370): the orders of the study, each once."""
    distinct: list[Dataset] = []
    for attributes in header.get("RequestAttributesSequence", ()):
        request = _request(attributes, study_instance_uid)
        if request not in distinct:
            distinct.append(request)
    return distinct


def _request(attributes: Dataset, study_instance_uid: str) -> Dataset:
    request = Dataset()
    for keyword in _REQUEST_TYPE_2:
        setattr(request, keyword, "")
    request.ReferencedStudySequence = []
    request.RequestedProcedureCodeSequence = []
    for keyword in _REQUEST:
        if keyword in attributes:
            request.add(attributes[keyword])
    request.add(verbatim("StudyInstanceUID", attributes.get("StudyInstanceUID") or study_instance_uid))
    return request
