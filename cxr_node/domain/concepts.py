"""Codes of measurements and observations. `report.codes` has the evidence for each."""

from collections.abc import Mapping

from cxr_node.domain.anatomy import Anatomy
from cxr_node.domain.borders import Border, Density, Zone
from cxr_node.domain.codes import Code, dcm, sct, ucum

PRIVATE_SCHEME = "99CXRNODE"
"""Coding Scheme Designator of concepts for which no standard code was found (PS3.3 section 8.2)."""


def private(value: str, meaning: str) -> Code:
    """Return a code of the node's own scheme; `value` has at most 16 characters (VR SH)."""
    return Code(value=value, scheme_designator=PRIVATE_SCHEME, meaning=meaning)


PERCENT = ucum("%", "Percent")
MILLIMETER = ucum("mm", "mm")
SQUARE_CENTIMETER = ucum("cm2", "Centimeter**2")
DEGREE = ucum("deg", "Degree")
RATIO = ucum("{ratio}", "ratio")
NO_UNITS = ucum("1", "no units")

CARDIOTHORACIC_RATIO = private("CTR", "Cardiothoracic ratio")
CARDIOMEGALY = sct("8186001", "Cardiomegaly")
CARDIOMEGALY_BY_RATIO = "cardiomegaly_by_ratio"
"""Key of the finding whose score is the cardiothoracic ratio."""
CARDIAC_DIAMETER = private("MTCD", "Maximal transverse cardiac diameter")
THORACIC_DIAMETER = private("MITD", "Maximal internal thoracic diameter")
AREA_OF_HEART = private("HEARTAREA", "Projected area of the heart")
AREA_OF_LUNG = private("LUNGAREA", "Projected area of the lung field")
TRACHEAL_DEVIATION = private("TRACHDEV", "Deviation of the trachea from the spine, left positive")
MEDIASTINAL_WIDTH = private("MEDWIDTH", "Width of the mediastinum at the aortic knob")
COSTOPHRENIC_ANGLE = private("CPANGLE", "Costophrenic angle")
BORDER_CLARITY = private("CLARITY", "Clarity of the border")
BORDER_EDGE = private("EDGE", "Share of the contrast around a border that lies at it")
ZONE_DENSITY = private("ZONEDENS", "Density of the zone, 0 clear lung to 1 heart")
ASYMMETRY = private("ASYMMETRY", "Density of the zone, left less right")
ROTATION = private("ROTATION", "Rotation: clavicle heads about the spine, 0 to 1")
RIBS_ABOVE_DIAPHRAGM = private("RIBCOUNT", "Posterior ribs above the diaphragm")
CONTRAST = private("CONTRAST", "Brightness of heart over lung, 0 to 1")
SHARPNESS = private("SHARPNESS", "Steepest share of a hemidiaphragm's edge")

SHARES: Mapping[Density, Code] = {
    Density.AIR: private("SHAREAIR", "Share of the zone as dark as air"),
    Density.LUNG: private("SHARELUNG", "Share of the zone as bright as lung"),
    Density.SOFT: private("SHARESOFT", "Share of the zone as bright as soft tissue"),
    Density.BONE: private("SHAREBONE", "Share of the zone as bright as bone"),
    Density.METAL: private("SHAREMETAL", "Share of the zone as bright as metal"),
}

SEEN = private("SEEN", "Structure seen")
NOT_SEEN = private("NOTSEEN", "Structure not seen")
CLEAR = private("BORDERCLEAR", "Border clear")
OBSCURED = private("BORDEROBSCURED", "Border obscured")
NOT_MEASURABLE = private("NOTMEASURABLE", "Not measurable")
METAL = private("METAL", "Metal on the film")
PROJECTION = private("QPROJECTION", "Projection")
QUALITY_ROTATION = private("QROTATION", "Rotation of the patient")
INSPIRATION = private("QINSPIRATION", "Depth of inspiration")
EXPOSURE = private("QEXPOSURE", "Exposure")
FIELD = private("QFIELD", "Whole thorax on the film")
MOTION = private("QMOTION", "Sharpness of moving parts")
QUALITY_ASSESSMENT = dcm("111050", "Quality Assessment")

UNUSABLE = dcm("111235", "Unusable - Quality renders image unusable")
LIMITED = dcm("111236", "Usable - Does not meet the quality control standard")
USABLE = dcm("111237", "Usable - Meets the quality control standard")
"""CID 6044."""

DEVICE = private("DEVICE", "Device or other metal on the patient")
MARKER = private("MARKER", "Lead marker or letters")

LUNG = sct("39607008", "Lung")
HEART = sct("80891009", "Heart")
TRACHEA = sct("44567001", "Trachea")
CARINA = sct("28700002", "Carina")
RIGHT_MAIN_BRONCHUS = sct("70074004", "Right main bronchus")
LEFT_MAIN_BRONCHUS = sct("75245000", "Left main bronchus")
CLAVICLE = sct("51299004", "Clavicle")
SCAPULA = sct("79601000", "Scapula")
THORACIC_SPINE = sct("122495006", "Thoracic spine")
AORTA = sct("15825003", "Aorta")
AORTIC_ARCH = sct("57034009", "Aortic arch")
PLEURA = sct("3120008", "Pleura")
DIAPHRAGM = sct("5798000", "Diaphragm")
MEDIASTINUM = sct("72410000", "Mediastinum")
POSTERIOR_RIBS = private("POSTRIBS", "Posterior ribs")
ANTERIOR_RIBS = private("ANTRIBS", "Anterior ribs")
BRONCHI = private("BRONCHI", "Main bronchi")
RIGHT_HEART_BORDER = private("RHEARTBORDER", "Right heart border")
LEFT_HEART_BORDER = private("LHEARTBORDER", "Left heart border")
UPPER_LOBE = sct("45653009", "Upper lobe of lung")
MIDDLE_LOBE = sct("72481006", "Middle lobe of right lung")
LOWER_LOBE = sct("90572001", "Lower lobe of lung")
LINGULA = private("LINGULA", "Lingula of left lung")

PARTS: Mapping[Anatomy, Code] = {
    Anatomy.RIGHT_LUNG: LUNG,
    Anatomy.LEFT_LUNG: LUNG,
    Anatomy.HEART: HEART,
    Anatomy.RIGHT_CLAVICLE: CLAVICLE,
    Anatomy.LEFT_CLAVICLE: CLAVICLE,
    Anatomy.TRACHEA: TRACHEA,
    Anatomy.BRONCHI: BRONCHI,
    Anatomy.AORTA: AORTA,
    Anatomy.SPINE: THORACIC_SPINE,
    Anatomy.POSTERIOR_RIBS: POSTERIOR_RIBS,
    Anatomy.ANTERIOR_RIBS: ANTERIOR_RIBS,
    Anatomy.RIGHT_SCAPULA: SCAPULA,
    Anatomy.LEFT_SCAPULA: SCAPULA,
    Anatomy.RIGHT_HEMIDIAPHRAGM: DIAPHRAGM,
    Anatomy.LEFT_HEMIDIAPHRAGM: DIAPHRAGM,
}

BORDERS: Mapping[Border, tuple[Code, Code | None]] = {
    Border.RIGHT_HEART_BORDER: (RIGHT_HEART_BORDER, MIDDLE_LOBE),
    Border.LEFT_HEART_BORDER: (LEFT_HEART_BORDER, LINGULA),
    Border.RIGHT_HEMIDIAPHRAGM: (DIAPHRAGM, LOWER_LOBE),
    Border.LEFT_HEMIDIAPHRAGM: (DIAPHRAGM, LOWER_LOBE),
    Border.AORTIC_KNOB: (AORTIC_ARCH, UPPER_LOBE),
    Border.RIGHT_COSTOPHRENIC_ANGLE: (COSTOPHRENIC_ANGLE, None),
    Border.LEFT_COSTOPHRENIC_ANGLE: (COSTOPHRENIC_ANGLE, None),
}
"""Each border, and the lobe that its loss points to."""

ZONES: Mapping[Zone, Code] = {
    Zone.UPPER: sct("281392002", "Upper zone of lung"),
    Zone.MIDDLE: sct("281393007", "Middle zone of lung"),
    Zone.LOWER: sct("281394001", "Lower zone of lung"),
}

CODES = tuple(
    dict.fromkeys(
        code
        for value in tuple(globals().values())
        for code in (value.values() if isinstance(value, Mapping) else (value,))
        if isinstance(code, Code)
    )
)
"""Every code of this module, in the order of definition."""
