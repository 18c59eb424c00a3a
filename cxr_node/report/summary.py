"""What the report says in one glance: a coded summary, a paragraph, and what it may be used for."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import OBSCURED, UNUSABLE
from cxr_node.domain.reading import Finding, Measurement, Observation, Presence, Reading
from cxr_node.report import codes
from cxr_node.report.languages.english import ENGLISH
from cxr_node.report.languages.language import Language
from cxr_node.report.sr.content import ContentItem, code, container, text


def evaluations(readings: Sequence[Reading], language: Language = ENGLISH) -> ContentItem:
    """Return the Qualitative Evaluations container (TID 1500 rows 12-14), which highdicom 0.28.2 cannot make."""
    return container(
        codes.QUALITATIVE_EVALUATIONS,
        code(codes.FINDINGS_SUMMARY, outcome(readings)),
        text(codes.SUMMARY, paragraph(readings, language)),
        text(codes.COMMENT, language.sentences.caution),
    )


def outcome(readings: Sequence[Reading]) -> Code:
    """Return the summary of CID 6047. An undetermined finding is not an absent one: it counts as a finding."""
    analysed = [reading for reading in readings if reading.prediction is not None]
    if not analysed:
        return codes.NONE_SUCCEEDED
    found = any(_found(reading) for reading in analysed)
    if len(analysed) == len(readings):
        return codes.ALL_WITH_FINDINGS if found else codes.ALL_WITHOUT_FINDINGS
    return codes.PART_WITH_FINDINGS if found else codes.PART_WITHOUT_FINDINGS


def paragraph(readings: Sequence[Reading], language: Language = ENGLISH) -> str:
    """Return the summary for the reader, a line per film."""
    several = len(readings) > 1
    lines = []
    for ordinal, reading in enumerate(readings, start=1):
        film = language.sentences.film.format(ordinal=ordinal, view=_view(reading, language))
        lines.append((film if several else "") + _film(reading, language))
    return "\n".join(lines)


def sentences(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for each finding, absent ones too, what was measured, and what else there is to say."""
    if reading.prediction is None:
        return [_film(reading, language)]
    found = [sentence(finding, language) for finding in reading.prediction.findings]
    return [*found, *headlines(reading, language), *notes(reading, language)]


def notes(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for each note."""
    said = [language.meaning(codes.processing_note(note)) for note in reading.notes]
    return [language.sentences.note.format(note=note) for note in said]


def sentence(finding: Finding, language: Language = ENGLISH) -> str:
    """Return a finding with where, whether, and how sure, the score beside its operating point."""
    said = language.sentences
    side = "" if finding.laterality is None else language.words.sides[finding.laterality]
    places = said.comma.join(part for part in (_site(finding, language), side) if part)
    return said.finding.format(
        finding=language.meaning(finding.code),
        places=said.places.format(places=places) if places else "",
        presence=language.words.presences[finding.presence],
        score=language.number(finding.score * 100, ".1f"),
        operating_point=language.number(finding.operating_point * 100, ".1f"),
    )


def measured(measurement: Measurement, language: Language = ENGLISH) -> str:
    """Return a measurement with its unit."""
    return language.sentences.measurement.format(
        measurement=language.meaning(measurement.code),
        value=language.number(measurement.value, ".4g"),
        unit="" if measurement.unit == codes.RATIO else f" {measurement.unit.meaning}",
    )


def _film(reading: Reading, language: Language) -> str:
    said = language.sentences
    if reading.prediction is None:
        return said.between.join([_not_analysed(reading, language), *notes(reading, language)])
    findings = reading.prediction.findings
    named = [sentence(finding, language) for finding in findings if finding.presence is not Presence.ABSENT]
    absent = [language.meaning(finding.code) for finding in findings if finding.presence is Presence.ABSENT]
    looked = [said.looked_for.format(findings=said.comma.join(absent))] if absent else []
    caution = [] if all(finding.calibrated for finding in findings) else [said.score_meaning]
    parts = [*(named or [said.no_finding]), *looked, *headlines(reading, language), *caution, *notes(reading, language)]
    return said.between.join(parts)


def _not_analysed(reading: Reading, language: Language) -> str:
    reason = reading.not_analysed
    return language.sentences.not_analysed.format(
        reason="" if reason is None else language.meaning(codes.not_processed(reason)),
        detail=language.sentences.detail.format(detail=reading.detail) if reading.detail else "",
    )


def headlines(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for the ratio and the diameters, for each lost border, and for an unusable film.

    Everything else that was measured stands in the report's groups alone: it would bury what matters.
    """
    numbers = [measured(each, language) for each in reading.measurements if each.key in codes.MEASUREMENTS]
    stated = [each for each in reading.observations if each.code == OBSCURED or each.value == UNUSABLE]
    return [*numbers, *(observed(each, language) for each in stated)]


def observed(observation: Observation, language: Language = ENGLISH) -> str:
    """Return an observation with its side and what it points to."""
    said = language.sentences
    side = "" if observation.laterality is None else language.words.sides[observation.laterality]
    lobe = "" if observation.site is None else language.meaning(observation.site)
    places = said.comma.join(part for part in (side, lobe) if part)
    what = f"{language.meaning(observation.code)}: {language.meaning(observation.value)}"
    return f"{what}{said.places.format(places=places) if places else ''}."


def _site(finding: Finding, language: Language) -> str:
    """Return the site as it stands within a sentence."""
    if finding.site is None:
        return ""
    return finding.site.meaning.lower() if language is ENGLISH else language.meaning(finding.site)


def _found(reading: Reading) -> bool:
    findings = () if reading.prediction is None else reading.prediction.findings
    return any(finding.presence is not Presence.ABSENT for finding in findings)


def _view(reading: Reading, language: Language) -> str:
    geometry = reading.geometry
    if geometry is None or geometry.view not in codes.VIEWS:
        return ""
    return language.sentences.places.format(places=geometry.view.value)
