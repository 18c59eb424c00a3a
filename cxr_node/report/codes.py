"""Codes of results, each with the proof of its meaning.

A SNOMED CT code is a number, and one digit off is another disease. Each code is listed once, under its proof, and a
test checks the table against the proof.
"""

from collections.abc import Mapping
from enum import StrEnum

from cxr_node.domain import concepts
from cxr_node.domain.codes import Code, dcm, sct, ucum
from cxr_node.domain.comparison import Change
from cxr_node.domain.concepts import private
from cxr_node.domain.film_geometry import View
from cxr_node.domain.identifiers import derive_uid
from cxr_node.domain.reading import Finding, Laterality, Presence
from cxr_node.domain.reasons import Note, Reason

PRIVATE_SCHEME = concepts.PRIVATE_SCHEME
PRIVATE_SCHEME_UID = derive_uid("coding scheme", PRIVATE_SCHEME)

DENIED: Mapping[str, str] = {
    "287272002": "means Enlarged septal foramen of heart, although PS3.16 CID 12248 calls it Cardiomegaly",
    "59076-0": "means a fetal ultrasound area ratio, not the cardiothoracic ratio",
    "59074-5": "means a fetal ultrasound circumference ratio, not the cardiothoracic ratio",
    "95436003": "fails its check digit; public tables give it for Consolidation",
    "60567007": "fails its check digit; public tables give it for Consolidation",
    "78381009": "fails its check digit; public tables give it for Pleural thickening",
}
"""Code values that are in circulation for chest findings and are wrong, and why."""


def _ln(value: str, meaning: str) -> Code:
    return Code(value=value, scheme_designator="LN", meaning=meaning)


# Document and its context: TID 1500, 1204, 1002, 1600
IMAGING_MEASUREMENT_REPORT = dcm("126000", "Imaging Measurement Report")
LANGUAGE = dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code(value="en-US", scheme_designator="RFC5646", meaning="English (United States)")
OBSERVER_TYPE = dcm("121005", "Observer Type")
DEVICE = dcm("121007", "Device")
DEVICE_OBSERVER_UID = dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME = dcm("121013", "Device Observer Name")
PROCEDURE_REPORTED = dcm("121058", "Procedure reported")
PLAIN_CHEST_RADIOGRAPH = sct("399208008", "Plain chest X-ray")
"""Not in pydicom; listed as Plain X-ray of chest (procedure) in independent sources."""
IMAGE_LIBRARY = dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = dcm("126200", "Image Library Group")
MODALITY = dcm("121139", "Modality")
TARGET_REGION = dcm("123014", "Target Region")
CHEST = sct("816094009", "Chest")
ACQUISITION_DATE = dcm("126201", "Acquisition Date")
ACQUISITION_TIME = dcm("126202", "Acquisition Time")
IMAGE_VIEW = dcm("111031", "Image View")
SOURCE = sct("260753009", "Source")

# Measurement groups: TID 1501, 1410, 300, 4019
IMAGING_MEASUREMENTS = dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = dcm("112039", "Tracking Identifier")
TRACKING_UNIQUE_IDENTIFIER = dcm("112040", "Tracking Unique Identifier")
FINDING = dcm("121071", "Finding")
FINDING_SITE = sct("363698007", "Finding Site")
LATERALITY = sct("272741003", "Laterality")
ALGORITHM_NAME = dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = dcm("111002", "Algorithm Parameters")
ARTIFICIAL_INTELLIGENCE = dcm("123110", "Artificial Intelligence")
CERTAINTY_OF_FINDING = dcm("111012", "Certainty of Finding")
PRESENCE_OF_PROPERTY = dcm("121052", "Presence of property")
SOURCE_OF_MEASUREMENT = dcm("121112", "Source of Measurement")
TIME_POINT = Code(value="C2348792", scheme_designator="UMLS", meaning="Time Point")
PREVIOUS_FINDING = dcm("121069", "Previous Finding")
IMAGE_REGION = dcm("111030", "Image Region")
HEART = sct("80891009", "Heart")
IMAGE_QUALITY = dcm("111101", "Image Quality")
QUALITY_ASSESSMENT = dcm("111050", "Quality Assessment")
UNUSABLE = dcm("111235", "Unusable - Quality renders image unusable")
COMMENT = dcm("121106", "Comment")
NOT_PROCESSED = private("NOTPROC", "Reason not processed")
PROCESSING_NOTE = private("NOTE", "Processing note")
SCORE = private("SCORE", "Score for the presence of the finding, 0 to 100")
THRESHOLD = private("THRESHOLD", "Threshold from which the finding is present")
CHANGE = private("CHANGE", "Change since the prior film")

CHANGES: Mapping[Change, Code] = {
    Change.BEYOND: private("CHANGEBEYOND", "Change beyond repeatability"),
    Change.WITHIN: private("CHANGEWITHIN", "No change beyond repeatability"),
}
"""A change that was not judged is not stated."""

# Summary: TID 1500 rows 12-14, CID 6047
QUALITATIVE_EVALUATIONS = Code(value="C0034375", scheme_designator="UMLS", meaning="Qualitative Evaluations")
FINDINGS_SUMMARY = dcm("111017", "CAD Processing and Findings Summary")
SUMMARY = dcm("121111", "Summary")
ALL_WITHOUT_FINDINGS = dcm("111241", "All algorithms succeeded; without findings")
ALL_WITH_FINDINGS = dcm("111242", "All algorithms succeeded; with findings")
PART_WITHOUT_FINDINGS = dcm("111243", "Not all algorithms succeeded; without findings")
PART_WITH_FINDINGS = dcm("111244", "Not all algorithms succeeded; with findings")
NONE_SUCCEEDED = dcm("111245", "No algorithms succeeded; without findings")

# Plain text: TID 2000, CID 7000, 7001
X_RAY_REPORT = _ln("43468-8", "X-Ray Report")
FINDINGS_SECTION = _ln("59776-5", "Findings")
SUMMARY_SECTION = _ln("55112-7", "Summary")

# Chest CAD: TID 4100, 4101, 4104, 4107, 4015, 4017; CID 6034, 6042, 6101
CHEST_CAD_REPORT = dcm("112000", "Chest CAD Report")
SINGLE_IMAGE_FINDING = dcm("111059", "Single Image Finding")
SINGLE_IMAGE_FINDING_MODIFIER = dcm("112024", "Single Image Finding Modifier")
ABNORMAL_OPACITY = dcm("112033", "Abnormal opacity")
ABNORMAL_LUCENCY = dcm("112062", "Abnormal lucency")
RENDERING_INTENT = dcm("111056", "Rendering Intent")
PRESENTATION_REQUIRED = dcm("111150", "Presentation Required: Rendering device is expected to present")
PRESENTATION_OPTIONAL = dcm("111151", "Presentation Optional: Rendering device may present")
CENTER = dcm("111010", "Center")
OUTLINE = dcm("111041", "Outline")
SUMMARY_OF_DETECTIONS = dcm("111064", "Summary of Detections")
SUMMARY_OF_ANALYSES = dcm("111065", "Summary of Analyses")
SUCCEEDED = dcm("111222", "Succeeded")
NOT_ATTEMPTED = dcm("111225", "Not Attempted")
SUCCESSFUL_DETECTIONS = dcm("111063", "Successful Detections")
DETECTION_PERFORMED = dcm("111022", "Detection Performed")

# Equipment that contributed (CID 7005)
ACQUISITION_EQUIPMENT = dcm("109101", "Acquisition Equipment")
PROCESSING_EQUIPMENT = dcm("109102", "Processing Equipment")

# Pictures, segmentations and key objects (CID 7202, 7203, 7150, 7010; TID 2010)
SOURCE_IMAGE = dcm("121322", "Source image for image processing operation")
SEGMENTATION = dcm("113076", "Segmentation")
ANATOMICAL_STRUCTURE = sct("91723000", "Anatomical Structure")
MORPHOLOGICALLY_ABNORMAL = sct("49755003", "Morphologically Abnormal Structure")
OF_INTEREST = dcm("113000", "Of Interest")
KEY_OBJECT_DESCRIPTION = dcm("113012", "Key Object Description")

# References of the report to the other results of its run (CID 33, 7003)
BEST_ILLUSTRATION = dcm("121080", "Best illustration of finding")
PRESENTATION_STATE = dcm("PR", "Presentation State")
KEY_OBJECT_SELECTION = dcm("KO", "Key Object Selection")
SEGMENTATION_OBJECT = dcm("SEG", "Segmentation")
STRUCTURED_REPORT = dcm("SR", "Structured Report Document")
DOCUMENT = dcm("DOC", "Document")

# Units
PERCENT = ucum("%", "Percent")
MILLIMETER = ucum("mm", "mm")
RATIO = ucum("{ratio}", "ratio")
SCORE_UNITS = ucum("{score}", "score")

# Structures
LUNG = sct("39607008", "Lung")
PLEURA = sct("3120008", "Pleura")
MEDIASTINUM = sct("72410000", "Mediastinum")
DIAPHRAGM = sct("5798000", "Diaphragm")

STRUCTURES = (LUNG, PLEURA, MEDIASTINUM, DIAPHRAGM, HEART, CHEST)
QUALITY_CRITERIA = (
    concepts.PROJECTION,
    concepts.QUALITY_ROTATION,
    concepts.INSPIRATION,
    concepts.EXPOSURE,
    concepts.FIELD,
    concepts.MOTION,
)
"""Criteria of a film's quality."""

STATEMENTS = (
    IMAGE_QUALITY,
    UNUSABLE,
    ALL_WITHOUT_FINDINGS,
    ALL_WITH_FINDINGS,
    PART_WITHOUT_FINDINGS,
    PART_WITH_FINDINGS,
    NONE_SUCCEEDED,
    *QUALITY_CRITERIA,
)
"""Statements on a film or a study as a whole, beside its findings."""

PRESENCES: Mapping[Presence, Code] = {
    Presence.PRESENT: sct("52101004", "Present"),
    Presence.ABSENT: sct("272519000", "Absent"),
    Presence.UNDETERMINED: sct("373068000", "Undetermined"),
}
"""CID 240."""

LATERALITIES: Mapping[Laterality, Code] = {
    Laterality.RIGHT: sct("24028007", "Right"),
    Laterality.LEFT: sct("7771000", "Left"),
    Laterality.BILATERAL: sct("51440002", "Right and left"),
}
"""CID 244."""

VIEWS: Mapping[View, Code] = {
    View.PA: sct("272479007", "postero-anterior"),
    View.AP: sct("399348003", "antero-posterior"),
    View.LATERAL: sct("399067008", "lateral"),
}
"""CID 4010."""

MODALITIES: Mapping[str, Code] = {
    "CR": dcm("CR", "Computed Radiography"),
    "DX": dcm("DX", "Digital Radiography"),
    "RG": dcm("RG", "Radiographic imaging"),
    "OT": dcm("OT", "Other Modality"),
}
"""CID 29, the modalities of chest films; any other is written as OT."""


class Proof(StrEnum):
    """How a code was verified."""

    PYDICOM = "in the dictionary of PS3.16 context groups that pydicom carries, with this meaning"
    CURATED = "valid check digit, and listed with its fully specified name in an independent curated source"
    STANDARD = "used by PS3.16 templates; its scheme has no dictionary in pydicom"
    PRIVATE = "of the node's own scheme: no standard code could be verified"


FINDINGS: Mapping[str, tuple[Code, Code, Proof]] = {
    "Atelectasis": (sct("46621007", "Atelectasis"), LUNG, Proof.CURATED),
    "Consolidation": (sct("95436008", "Lung consolidation"), LUNG, Proof.CURATED),
    "Infiltration": (dcm("112121", "Infiltrate"), LUNG, Proof.PYDICOM),
    "Pneumothorax": (sct("36118008", "Pneumothorax"), PLEURA, Proof.PYDICOM),
    "Edema": (sct("19242006", "Pulmonary edema"), LUNG, Proof.PYDICOM),
    "Emphysema": (sct("87433001", "Pulmonary emphysema"), LUNG, Proof.CURATED),
    "Fibrosis": (sct("51615001", "Fibrosis of lung"), LUNG, Proof.CURATED),
    "Effusion": (sct("60046008", "Pleural effusion"), PLEURA, Proof.PYDICOM),
    "Pneumonia": (sct("233604007", "Pneumonia"), LUNG, Proof.CURATED),
    "Pleural_Thickening": (private("PLTHICK", "Pleural thickening"), PLEURA, Proof.PRIVATE),
    "Cardiomegaly": (concepts.CARDIOMEGALY, HEART, Proof.CURATED),
    "Nodule": (sct("27925004", "Nodule"), LUNG, Proof.PYDICOM),
    "Mass": (sct("4147007", "Mass"), LUNG, Proof.PYDICOM),
    "Hernia": (sct("39839004", "Diaphragmatic hernia"), DIAPHRAGM, Proof.CURATED),
    "Lung Lesion": (sct("52988006", "Lesion"), LUNG, Proof.PYDICOM),
    "Fracture": (sct("125605004", "Fracture of bone"), CHEST, Proof.CURATED),
    "Lung Opacity": (dcm("112001", "Opacity"), LUNG, Proof.PYDICOM),
    "Enlarged Cardiomediastinum": (private("ENLCM", "Enlarged cardiomediastinum"), MEDIASTINUM, Proof.PRIVATE),
    "Tuberculosis": (sct("154283005", "Pulmonary tuberculosis"), LUNG, Proof.CURATED),
}
"""Label of a training set to code, site, and proof of the code."""

_SITE_IN_NAME = frozenset(
    (FINDINGS[label][0].value, FINDINGS[label][1].value)
    for label in FINDINGS
    if label not in ("Infiltration", "Nodule", "Mass", "Lung Lesion", "Lung Opacity", "Fracture")
)

MARKED_BY_CAD: Mapping[Code, Code] = {
    FINDINGS["Lung Opacity"][0]: ABNORMAL_OPACITY,
    FINDINGS["Infiltration"][0]: ABNORMAL_OPACITY,
    FINDINGS["Nodule"][0]: ABNORMAL_OPACITY,
    FINDINGS["Mass"][0]: ABNORMAL_OPACITY,
    FINDINGS["Pneumothorax"][0]: ABNORMAL_LUCENCY,
}
"""Findings of the Chest CAD template: modifier (CID 6104, 6105) to the finding that it modifies (CID 6101)."""

MEASUREMENTS: Mapping[str, Code] = {
    "CTR": concepts.CARDIOTHORACIC_RATIO,
    "MTCD": concepts.CARDIAC_DIAMETER,
    "MITD": concepts.THORACIC_DIAMETER,
}
"""No standard code of an adult chest radiograph could be verified for these."""

_LISTED_ABOVE = {*MEASUREMENTS.values(), *(code for code, _, _ in FINDINGS.values())}

MEASURE_CODES = tuple(code for code in concepts.CODES if code.scheme_designator != "UCUM" and code not in _LISTED_ABOVE)
"""Codes of measurements and observations."""

OBSERVATIONS = tuple(
    code for code in MEASURE_CODES if code not in (*STRUCTURES, *STATEMENTS, concepts.QUALITY_ASSESSMENT)
)
"""Those of `MEASURE_CODES` that are neither a structure nor a statement, nor the name of a row in PS3.16."""

CONCEPTS = (
    SCORE,
    THRESHOLD,
    NOT_PROCESSED,
    PROCESSING_NOTE,
    CHANGE,
    *CHANGES.values(),
    DEVICE,
    PLAIN_CHEST_RADIOGRAPH,
    *MODALITIES.values(),
    *dict.fromkeys(MARKED_BY_CAD.values()),
    PRESENTATION_REQUIRED,
    PRESENTATION_OPTIONAL,
    SUCCEEDED,
    NOT_ATTEMPTED,
)
"""Other values, and names of rows of the node's own scheme. Those of PS3.16 keep its wording in every language."""


UNPAIRED = frozenset(
    {
        HEART,
        MEDIASTINUM,
        concepts.TRACHEA,
        concepts.CARINA,
        concepts.RIGHT_MAIN_BRONCHUS,
        concepts.LEFT_MAIN_BRONCHUS,
        concepts.THORACIC_SPINE,
        concepts.AORTA,
        concepts.AORTIC_ARCH,
        concepts.RIGHT_HEART_BORDER,
        concepts.LEFT_HEART_BORDER,
        concepts.MIDDLE_LOBE,
        concepts.LINGULA,
    }
)
"""Structures of which there is one, or whose code names the side: they have no laterality."""
_UNPAIRED = frozenset(code.value for code in UNPAIRED)
_PAIRED = frozenset({LUNG.value, PLEURA.value})
_DIFFUSE = frozenset(FINDINGS[label][0].value for label in ("Edema", "Emphysema", "Fibrosis", "Tuberculosis"))


def side_of(site: Code | None, side: Laterality | None) -> Laterality | None:
    """Return the side of a structure, or None where the structure has none."""
    return None if site is not None and site.value in _UNPAIRED else side


def lacks_its_side(finding: Finding) -> bool:
    """Whether a finding is of one lung or pleura, and its side is unknown; diffuse findings are of both lungs."""
    is_of_one_side = finding.site is not None and finding.site.value in _PAIRED and finding.code.value not in _DIFFUSE
    return is_of_one_side and finding.laterality is None


def names_its_site(finding: Finding) -> bool:
    """Whether the name of a finding tells where it is, as that of a pleural effusion does."""
    return finding.site is not None and (finding.code.value, finding.site.value) in _SITE_IN_NAME


def not_processed(reason: Reason) -> Code:
    """Return the code of a reason why a film was not analysed."""
    return private(reason.value, reason.meaning)


def processing_note(note: Note) -> Code:
    """Return the code of a note on an analysed film."""
    return private(note.value, note.meaning)
