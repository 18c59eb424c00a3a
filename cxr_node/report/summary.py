"""Measurements and observations in words, for labels."""

from cxr_node.domain.reading import Measurement, Observation
from cxr_node.report import codes
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH


def measured(measurement: Measurement, language: Language = ENGLISH) -> str:
    """Return a measurement with its unit."""
    return language.phrases.measurement.format(
        measurement=language.meaning(measurement.code),
        value=language.number(measurement.value, ".4g"),
        unit="" if measurement.unit == codes.RATIO else f" {measurement.unit.meaning}",
    )


def observed(observation: Observation, language: Language = ENGLISH) -> str:
    """Return an observation with its side and lobe."""
    phrases = language.phrases
    side = "" if observation.laterality is None else language.terms.sides[observation.laterality]
    lobe = "" if observation.site is None else language.meaning(observation.site)
    places = phrases.list_separator.join(part for part in (side, lobe) if part)
    statement = f"{language.meaning(observation.code)}: {language.meaning(observation.value)}"
    return f"{statement}{phrases.places.format(places=places) if places else ''}."
