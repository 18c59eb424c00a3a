"""Labels of graphics on a film: words with units, in the language of the results."""

from cxr_node.domain import concepts
from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Finding, Laterality, Measurement, Observation, Reading
from cxr_node.domain.stated_numbers import ratio_digits, stated_score
from cxr_node.report import codes
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH

_UNITS = {
    codes.RATIO: "",
    concepts.NO_UNITS: "",
    concepts.MILLIMETER: "\N{NO-BREAK SPACE}mm",
    concepts.SQUARE_CENTIMETER: "\N{NO-BREAK SPACE}cm²",
    concepts.PERCENT: "\N{NO-BREAK SPACE}%",
    concepts.DEGREE: "°",
}
_TWO_DIGITS = (codes.RATIO, concepts.NO_UNITS)
_CALIPERS = {
    "MTCD": codes.HEART,
    "MITD": codes.CHEST,
    "mediastinal_width": codes.MEDIASTINUM,
    "tracheal_deviation": concepts.TRACHEA,
}
"""Key of a measurement to what its caliper lies on: the caliper itself shows what is measured."""


def finding_label(finding: Finding, language: Language = ENGLISH) -> str:
    """Return the name of a finding and its score of 0 to 100, or the ratio of a finding by the ratio."""
    stated = stated_score(finding)
    return f"{language.meaning(finding.code)} {language.number(stated.score, f'.{stated.score_digits}f')}"


def measurement_label(measurement: Measurement, reading: Reading, language: Language = ENGLISH) -> str:
    """Return a measurement of a reading with side, value and unit: no more digits than the film supports."""
    digits = 2 if measurement.unit in _TWO_DIGITS else 0
    if measurement.code == concepts.CARDIOTHORACIC_RATIO:
        digits = ratio_digits(reading)
    value = language.number(round(measurement.value, digits) + 0.0, f".{digits}f")  # 0.0 makes -0.0 positive
    return f"{_with_side(measurement.code, measurement, language)} {value}{unit(measurement.unit)}"


def caliper_label(measurement: Measurement, reading: Reading, language: Language = ENGLISH) -> str:
    """Return the short label of a measurement beside its caliper; the trachea's has the side to which it deviates."""
    if measurement.key not in _CALIPERS:
        return measurement_label(measurement, reading, language)
    value, name = round(measurement.value), language.meaning(_CALIPERS[measurement.key])
    words = f"{name[:1].upper()}{name[1:]} {abs(value)}{unit(measurement.unit)}"
    if measurement.code != concepts.TRACHEAL_DEVIATION or value == 0:
        return words
    side = language.terms.sides[Laterality.LEFT if value > 0 else Laterality.RIGHT]
    return words + language.phrases.places.format(places=side)


def observation_label(observation: Observation, language: Language = ENGLISH) -> str:
    """Return an observation with its structure, side and lobe."""
    lobe = "" if observation.site is None else language.meaning(observation.site)
    places = language.phrases.places.format(places=lobe) if lobe else ""
    return f"{language.meaning(observation.code)}: {_with_side(observation.value, observation, language)}{places}"


def unit(code: Code) -> str:
    """Return the sign of a unit with the space before it; "" of a ratio."""
    return _UNITS.get(code, f"\N{NO-BREAK SPACE}{code.meaning}")


def _with_side(code: Code, subject: Measurement | Observation, language: Language) -> str:
    name = language.meaning(code)
    if subject.laterality is None:
        return name
    side = language.terms.sides[subject.laterality]
    return f"{name}{language.phrases.places.format(places=side)}"
