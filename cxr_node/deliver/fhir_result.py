"""FHIR R4 transaction of a report: DiagnosticReport, Observations and Devices (4.0.1), always preliminary.

Modelled on the HL7 guide "DICOM SR to FHIR Resource Mapping". A finding is an Observation with a coded presence, and
never a Condition: an absent one would become a problem of the patient. Every resource is updated by its identifier,
which follows from study, film and finding, so that a retry changes nothing, and a later report takes the place of the
one before.
"""

import html
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cxr_node.deliver.report_content import Algorithm, Measured, ReportContent, StatedFinding
from cxr_node.domain.codes import Code, sct
from cxr_node.domain.concepts import PRIVATE_SCHEME, private
from cxr_node.domain.identifiers import derive_uid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Resource = dict[str, Any]

PRELIMINARY, ENTERED_IN_ERROR = "preliminary", "entered-in-error"
"""Status of every report and observation, and of what is withdrawn."""

RESOURCES: Mapping[str, str] = {
    "DiagnosticReport": "one of each study and patient: summary and caution as `conclusion`, `result`, study, order, "
    "procedure; status `preliminary`, or `entered-in-error` once withdrawn",
    "Observation, of a finding": "presence as `valueCodeableConcept` (Present, Absent, Undetermined), components for "
    "score, operating point and side, `bodySite`; `interpretation` A where present",
    "Observation, of a measurement": "`valueQuantity` in UCUM, of `measurements` in the destination's table",
    "Device": "name and version of the algorithm (TID 4019)",
    "Patient": "never created: a conditional reference, or its identifier",
    "ImagingStudy, ServiceRequest": "never created: Study Instance UID, and accession number, as identifiers",
}
"""Resources of a transaction, for the conformance statement."""

SYSTEMS: Mapping[str, str] = {
    "SCT": "http://snomed.info/sct",
    "LN": "http://loinc.org",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "RADLEX": "http://radlex.org",
    "UMLS": "http://www.nlm.nih.gov/research/umls",
    "UCUM": "http://unitsofmeasure.org",
}
"""Code systems of Coding Scheme Designators; any other is a text without a code, or has the private one below."""
PRIVATE_SYSTEM = f"urn:oid:{derive_uid('coding scheme', PRIVATE_SCHEME)}"
"""Code system of the private scheme, by the Coding Scheme UID of results."""
_OID = "urn:ietf:rfc:3986"
_DICOM_UID = "urn:dicom:uid"
_V2 = "http://terminology.hl7.org/CodeSystem/v2-"
_V3 = "http://terminology.hl7.org/CodeSystem/v3-"
_SCORE = private("SCORE", "Model score")
_THRESHOLD = private("THRESHOLD", "Operating point")
_LATERALITY = sct("272741003", "Laterality")
_PLAIN_CHEST_RADIOGRAPH = sct("399208008", "Plain chest X-ray")
_RESEARCH: Resource = {"system": f"{_V3}ActReason", "code": "HRESCH", "display": "healthcare research"}
_ABNORMAL: Resource = {"coding": [{"system": f"{_V3}ObservationInterpretation", "code": "A", "display": "Abnormal"}]}
_IMAGING: Resource = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}]
}


class NoResource(Exception):
    """The report lacks what a server needs to file it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirRules:
    """Settings of a bundle.

    `patient_systems` has the URI of a Patient ID's system by its issuer, "" for one without. With `finds_patient` the
    server finds the Patient by a conditional reference; else the reference has the identifier alone.
    `measurements` are code values of measurements that are sent.
    """

    patient_systems: Mapping[str, str]
    accession_system: str
    finds_patient: bool
    measurements: frozenset[str]


def report_identifier(header: "Dataset") -> Resource:
    """Return the identifier of the DiagnosticReport of a study and patient, the same for each version."""
    patient = str(header.get("IssuerOfPatientID") or ""), str(header.get("PatientID") or "")
    return _uid_identifier(derive_uid("fhir", "report", str(header.StudyInstanceUID), *patient))


def search_of(identifier: Resource) -> str:
    """Return the search parameter of an identifier."""
    return f"identifier={quote(identifier['system'] + '|' + identifier['value'], safe='')}"


def bundle(report: ReportContent, rules: FhirRules, earlier: Sequence[Resource] = ()) -> Resource:
    """Return the transaction of a report, or of the withdrawal of one.

    `earlier` are the observations of the report that the server has: those that the new one does not state are entered
    in error.

    Raises
    ------
    NoResource
        If the report has no Patient ID.
    """
    if not report.header.get("PatientID"):
        raise NoResource("the report has no Patient ID, so no server could file it")
    devices = {one: _device(one) for one in _algorithms(report)}
    observations = list(_observations(report, rules, devices))
    stated = {one["identifier"][0]["value"] for one in observations}
    left = [one for one in earlier if not stated.intersection(_values(one))]
    diagnostic_report = _diagnostic_report(report, rules, observations)
    resources = [*devices.values(), *observations, diagnostic_report]
    entries = [_entry(resource) for resource in resources]
    entries += [_entry({**one, "status": ENTERED_IN_ERROR}, by_id=True) for one in left]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _values(resource: Resource) -> set[str]:
    return {str(one.get("value")) for one in resource.get("identifier", ())}


def _entry(resource: Resource, *, by_id: bool = False) -> Resource:
    kind = resource["resourceType"]
    if by_id:
        return {"resource": resource, "request": {"method": "PUT", "url": f"{kind}/{resource['id']}"}}
    identifier = resource["identifier"][0]
    request = {"method": "PUT", "url": f"{kind}?{search_of(identifier)}"}
    return {"fullUrl": _full_url(resource), "resource": resource, "request": request}


def _full_url(resource: Resource) -> str:
    """Return the reference to a resource within the bundle: the same at each retry."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, resource['identifier'][0]['value'])}"


def _diagnostic_report(report: ReportContent, rules: FhirRules, observations: Sequence[Resource]) -> Resource:
    header = report.header
    text = "\n".join((*report.lines, report.notice))
    sop_instance_uid = {"system": _DICOM_UID, "value": f"urn:oid:{header.SOPInstanceUID}"}
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "meta": {"security": [_RESEARCH]},
        "text": _narrative(text),
        "identifier": [report_identifier(header), sop_instance_uid],
        "status": ENTERED_IN_ERROR if report.withdrawn else PRELIMINARY,
        "category": [{"coding": [{"system": f"{_V2}0074", "code": "RAD", "display": "Radiology"}]}],
        "code": _concept(report.procedure or _PLAIN_CHEST_RADIOGRAPH),
        "subject": _subject(header, rules),
        "issued": report.composed_at.isoformat(),
        "imagingStudy": [_imaging_study(header)],
        "conclusion": text,
    }
    if acquired := _study_date(header):
        resource["effectiveDateTime"] = acquired
    if observations:
        resource["result"] = [{"reference": _full_url(one)} for one in observations]
    if accession := str(header.get("AccessionNumber") or ""):
        resource["basedOn"] = [{"type": "ServiceRequest", "identifier": _accession(accession, rules)}]
    return resource


def _observations(report: ReportContent, rules: FhirRules, devices: Mapping[Algorithm, Resource]) -> Iterator[Resource]:
    for finding in report.findings:
        yield _finding(report, rules, finding, devices)
    for measured in report.measurements:
        if measured.name.value in rules.measurements:
            quantity = {"valueQuantity": _quantity(measured)}
            yield _observation(
                report, rules, measured.name, measured.tracking_uid, measured.algorithm, devices, quantity
            )


def _finding(
    report: ReportContent, rules: FhirRules, finding: StatedFinding, devices: Mapping[Algorithm, Resource]
) -> Resource:
    threshold = Measured(name=_THRESHOLD, value=finding.threshold, unit=finding.score.unit)
    score_name = finding.score.name if finding.score.name.value != "SCORE" else _SCORE
    components = [
        {"code": _concept(score_name), "valueQuantity": _quantity(finding.score)},
        {"code": _concept(_THRESHOLD), "valueQuantity": _quantity(threshold)},
    ]
    values: Resource = {"valueCodeableConcept": _concept(finding.presence)}
    if finding.is_present:
        values["interpretation"] = [_ABNORMAL]
    if finding.site is not None:
        side = "" if finding.side is None else f", {finding.side.meaning}"
        values["bodySite"] = {**_concept(finding.site), "text": f"{finding.site.meaning}{side}"}
    if finding.side is not None:
        components.append({"code": _concept(_LATERALITY), "valueCodeableConcept": _concept(finding.side)})
    values["component"] = components
    return _observation(report, rules, finding.code, finding.tracking_uid, finding.algorithm, devices, values)


def _observation(
    report: ReportContent,
    rules: FhirRules,
    code: Code,
    tracking_uid: str,
    algorithm: Algorithm | None,
    devices: Mapping[Algorithm, Resource],
    values: Resource,
) -> Resource:
    header = report.header
    identifier = derive_uid("fhir", "observation", tracking_uid, code.scheme_designator, code.value)
    resource: Resource = {
        "resourceType": "Observation",
        "meta": {"security": [_RESEARCH]},
        "text": _narrative(f"{code.meaning}. {report.notice}"),
        "identifier": [_uid_identifier(identifier), {"system": _DICOM_UID, "value": f"urn:oid:{tracking_uid}"}],
        "status": PRELIMINARY,
        "category": [_IMAGING],
        "code": _concept(code),
        "subject": _subject(header, rules),
        "issued": report.composed_at.isoformat(),
        "derivedFrom": [_imaging_study(header)],
        **values,
    }
    if acquired := _study_date(header):
        resource["effectiveDateTime"] = acquired
    if algorithm is not None:
        resource["device"] = {"reference": _full_url(devices[algorithm])}
    return resource


def _algorithms(report: ReportContent) -> list[Algorithm]:
    if report.withdrawn:
        return []
    stated = [*(one.algorithm for one in report.findings), *(one.algorithm for one in report.measurements)]
    return list(dict.fromkeys(one for one in stated if one is not None))


def _device(algorithm: Algorithm) -> Resource:
    return {
        "resourceType": "Device",
        "text": _narrative(f"{algorithm.name} {algorithm.version}"),
        "identifier": [_uid_identifier(derive_uid("fhir", "device", algorithm.name, algorithm.version))],
        "deviceName": [{"name": algorithm.name, "type": "model-name"}],
        "type": {"text": "Algorithm"},
        "version": [{"value": algorithm.version}],
    }


def _subject(header: "Dataset", rules: FhirRules) -> Resource:
    """Return the reference to the Patient by Patient ID. No Patient is created."""
    value = str(header.PatientID).strip()
    issuer = str(header.get("IssuerOfPatientID") or "").strip()
    system = rules.patient_systems.get(issuer, "")
    if rules.finds_patient:
        token = f"{system}|{value}" if system else value
        return {"reference": f"Patient?identifier={quote(token, safe='')}"}
    identifier = {"value": value} | ({"system": system} if system else {})
    return {"type": "Patient", "identifier": identifier}


def _accession(accession: str, rules: FhirRules) -> Resource:
    kind = {"coding": [{"system": f"{_V2}0203", "code": "ACSN", "display": "Accession ID"}]}
    return {"type": kind, "value": accession} | ({"system": rules.accession_system} if rules.accession_system else {})


def _imaging_study(header: "Dataset") -> Resource:
    identifier = {"system": _DICOM_UID, "value": f"urn:oid:{header.StudyInstanceUID}"}
    return {"type": "ImagingStudy", "identifier": identifier}


def _study_date(header: "Dataset") -> str:
    """Return the date of the study: a time needs a zone, which the study does not state."""
    day = str(header.get("StudyDate") or "")
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 and day.isdigit() else ""


def _quantity(measured: Measured) -> Resource:
    unit = measured.unit
    quantity: Resource = {"value": _number(measured.value)}
    return quantity | {"unit": unit.value, "system": SYSTEMS["UCUM"], "code": unit.value}


def _number(text: str) -> float | int:
    return float(text) if "." in text or "e" in text.lower() else int(text)


def _concept(code: Code) -> Resource:
    system = PRIVATE_SYSTEM if code.scheme_designator == PRIVATE_SCHEME else SYSTEMS.get(code.scheme_designator, "")
    if not system:
        return {"text": code.meaning}
    return {"coding": [{"system": system, "code": code.value, "display": code.meaning}], "text": code.meaning}


def _narrative(text: str) -> Resource:
    lines = "<br/>".join(map(html.escape, text.splitlines()))
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'}


def _uid_identifier(uid: str) -> Resource:
    return {"system": _OID, "value": f"urn:oid:{uid}"}
