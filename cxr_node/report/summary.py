"""Summary of readings: a code, a paragraph, and sentences on findings, measurements and observations."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.concepts import CARDIOMEGALY_BY_RATIO, CARDIOTHORACIC_RATIO, OBSCURED, UNUSABLE
from cxr_node.domain.reading import (
    CascadeStep,
    Finding,
    Measurement,
    ModelIdentity,
    Observation,
    Prediction,
    Presence,
    Reading,
)
from cxr_node.report import codes
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.sr.content import ContentItem, code, container, text


def evaluations(readings: Sequence[Reading], language: Language = ENGLISH) -> ContentItem:
    """Return the Qualitative Evaluations container (TID 1500 rows 12-14), which highdicom 0.28.2 cannot make."""
    return container(
        codes.QUALITATIVE_EVALUATIONS,
        code(codes.FINDINGS_SUMMARY, outcome(readings)),
        text(codes.SUMMARY, paragraph(readings, language)),
        text(codes.COMMENT, language.phrases.caution),
    )


def outcome(readings: Sequence[Reading]) -> Code:
    """Return the summary of CID 6047. An undetermined finding is not an absent one: it counts as a finding."""
    analysed = [reading for reading in readings if reading.prediction is not None]
    if not analysed:
        return codes.NONE_SUCCEEDED
    has_finding = any(_has_finding(reading) for reading in analysed)
    if len(analysed) == len(readings) and not any(_has_failed_step(reading) for reading in analysed):
        return codes.ALL_WITH_FINDINGS if has_finding else codes.ALL_WITHOUT_FINDINGS
    return codes.PART_WITH_FINDINGS if has_finding else codes.PART_WITHOUT_FINDINGS


def paragraph(readings: Sequence[Reading], language: Language = ENGLISH) -> str:
    """Return the summary in words, a line per film."""
    lines = []
    for ordinal, reading in enumerate(readings, start=1):
        film = language.phrases.film.format(ordinal=ordinal, view=_view(reading, language))
        lines.append((film if len(readings) > 1 else "") + _film(reading, language))
    return "\n".join(lines)


def sentences(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for each finding, absent ones included, each headline and each note."""
    if reading.prediction is None:
        return [_film(reading, language)]
    findings = finding_sentences(reading.prediction, language)
    return [*findings, *headlines(reading, language), *notes(reading, language)]


def notes(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for each note."""
    meanings = [language.meaning(codes.processing_note(note)) for note in reading.notes]
    return [language.phrases.note.format(note=meaning) for meaning in meanings]


def failure(step: CascadeStep) -> str:
    """Return which bundle of a cascade failed, and why, as a technical detail: English in every language."""
    name = named(step.model)
    return step.detail if step.detail.startswith(name) else f"{name}: {step.detail}"


def named(model: ModelIdentity) -> str:
    """Return the name and version of a model."""
    return f"{model.name} {model.version}"


def finding_sentences(prediction: Prediction, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for each finding; of several models, with the model's name."""
    return [sentence(finding, language, model=_model_of(prediction, finding)) for finding in prediction.findings]


def _model_of(prediction: Prediction, finding: Finding) -> ModelIdentity | None:
    return prediction.model_of(finding) if prediction.steps else None


def sentence(finding: Finding, language: Language = ENGLISH, *, model: ModelIdentity | None = None) -> str:
    """Return a finding with its places and presence, and its score, or its ratio, beside its operating point.

    Its model follows in brackets, unless it is None.
    """
    written = _by_ratio(finding, language) if finding.key == CARDIOMEGALY_BY_RATIO else _by_score(finding, language)
    return written if model is None else f"{written} [{named(model)}]"


def _by_ratio(finding: Finding, language: Language) -> str:
    return language.phrases.finding_by_ratio.format(
        finding=language.meaning(finding.code),
        presence=language.terms.presences[finding.presence],
        ratio=language.meaning(CARDIOTHORACIC_RATIO),
        value=language.number(finding.score, ".2f"),
        limit=language.number(finding.operating_point, ".2f"),
    )


def _by_score(finding: Finding, language: Language) -> str:
    phrases = language.phrases
    side = "" if finding.laterality is None else language.terms.sides[finding.laterality]
    places = phrases.list_separator.join(part for part in (_site(finding, language), side) if part)
    return phrases.finding.format(
        finding=language.meaning(finding.code),
        places=phrases.places.format(places=places) if places else "",
        presence=language.terms.presences[finding.presence],
        score=language.number(finding.score * 100, ".1f"),
        operating_point=language.number(finding.operating_point * 100, ".1f"),
    )


def measured(measurement: Measurement, language: Language = ENGLISH) -> str:
    """Return a measurement with its unit."""
    return language.phrases.measurement.format(
        measurement=language.meaning(measurement.code),
        value=language.number(measurement.value, ".4g"),
        unit="" if measurement.unit == codes.RATIO else f" {measurement.unit.meaning}",
    )


def _film(reading: Reading, language: Language) -> str:
    phrases = language.phrases
    if reading.prediction is None:
        return phrases.sentence_separator.join([_not_analysed(reading, language), *notes(reading, language)])
    findings = reading.prediction.findings
    sentences_of = zip(findings, finding_sentences(reading.prediction, language), strict=True)
    not_absent = [words for finding, words in sentences_of if finding.presence is not Presence.ABSENT]
    absent = [language.meaning(finding.code) for finding in findings if finding.presence is Presence.ABSENT]
    negatives = [phrases.absent_findings.format(findings=phrases.list_separator.join(absent))] if absent else []
    caution = [] if all(finding.calibrated for finding in findings) else [phrases.score_meaning]
    parts = [
        *(not_absent or [phrases.no_finding if findings else phrases.no_targets]),
        *negatives,
        *headlines(reading, language),
        *caution,
        *notes(reading, language),
    ]
    return phrases.sentence_separator.join(parts)


def _not_analysed(reading: Reading, language: Language) -> str:
    reason = reading.not_analysed
    return language.phrases.not_analysed.format(
        reason="" if reason is None else language.meaning(codes.not_processed(reason)),
        detail=language.phrases.detail.format(detail=reading.detail) if reading.detail else "",
    )


def headlines(reading: Reading, language: Language = ENGLISH) -> list[str]:
    """Return a sentence for the ratio and the diameters, for each obscured border, and for an unusable film.

    All other measurements stand only in the report's groups, where they do not bury the important ones.
    """
    measurements = [one for one in reading.measurements if one.key in codes.MEASUREMENTS]
    observations = [one for one in reading.observations if one.code == OBSCURED or one.value == UNUSABLE]
    return [*(measured(one, language) for one in measurements), *(observed(one, language) for one in observations)]


def observed(observation: Observation, language: Language = ENGLISH) -> str:
    """Return an observation with its side and lobe."""
    phrases = language.phrases
    side = "" if observation.laterality is None else language.terms.sides[observation.laterality]
    lobe = "" if observation.site is None else language.meaning(observation.site)
    places = phrases.list_separator.join(part for part in (side, lobe) if part)
    statement = f"{language.meaning(observation.code)}: {language.meaning(observation.value)}"
    return f"{statement}{phrases.places.format(places=places) if places else ''}."


def _site(finding: Finding, language: Language) -> str:
    """Return the site as written within a sentence."""
    if finding.site is None:
        return ""
    return finding.site.meaning.lower() if language is ENGLISH else language.meaning(finding.site)


def _has_failed_step(reading: Reading) -> bool:
    return reading.prediction is not None and bool(reading.prediction.failed_steps)


def _has_finding(reading: Reading) -> bool:
    findings = () if reading.prediction is None else reading.prediction.findings
    return any(finding.presence is not Presence.ABSENT for finding in findings)


def _view(reading: Reading, language: Language) -> str:
    geometry = reading.geometry
    if geometry is None or geometry.view not in codes.VIEWS:
        return ""
    return language.phrases.places.format(places=geometry.view.value)
