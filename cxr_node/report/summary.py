"""What the report says in one glance: a coded summary, a paragraph, and what it may be used for."""

from collections.abc import Sequence

from cxr_node.domain.codes import Code
from cxr_node.domain.reading import Finding, Measurement, Presence, Reading
from cxr_node.report import codes
from cxr_node.report.content import ContentItem, code, container, text

RESEARCH_USE = (
    "RESEARCH USE ONLY. Computer-generated result, not reviewed or verified by a physician; not for diagnosis."
)
NO_FINDING = "No finding above the operating point. This does not exclude disease."
SCORE_MEANING = "A score is not a probability."


def evaluations(readings: Sequence[Reading]) -> ContentItem:
    """Return the Qualitative Evaluations container (TID 1500 rows 12-14), which highdicom 0.28.2 cannot make."""
    return container(
        codes.QUALITATIVE_EVALUATIONS,
        code(codes.FINDINGS_SUMMARY, outcome(readings)),
        text(codes.SUMMARY, paragraph(readings)),
        text(codes.COMMENT, RESEARCH_USE),
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


def paragraph(readings: Sequence[Reading]) -> str:
    """Return the summary for the reader, a line per film."""
    several = len(readings) > 1
    lines = []
    for ordinal, reading in enumerate(readings, start=1):
        title = f"Film {ordinal}{_view(reading)}: " if several else ""
        lines.append(title + _film(reading))
    return "\n".join(lines)


def sentences(reading: Reading) -> list[str]:
    """Return a sentence for each finding, absent ones too, each measurement, and what else there is to say."""
    if reading.prediction is None:
        return [_film(reading)]
    found = [sentence(finding) for finding in reading.prediction.findings]
    numbers = [measured(measurement) for measurement in reading.measurements]
    return [*found, *numbers, *(f"Note: {note.meaning}." for note in reading.notes)]


def _film(reading: Reading) -> str:
    notes = "".join(f" Note: {note.meaning}." for note in reading.notes)
    if reading.prediction is None:
        reason = reading.not_analysed.meaning if reading.not_analysed is not None else ""
        detail = f" ({reading.detail})" if reading.detail else ""
        return f"Not analysed: {reason}{detail}." + notes
    findings = reading.prediction.findings
    named = [sentence(finding) for finding in findings if finding.presence is not Presence.ABSENT] or [NO_FINDING]
    absent = [finding.code.meaning for finding in findings if finding.presence is Presence.ABSENT]
    looked = [f"Looked for and not seen: {', '.join(absent)}."] if absent else []
    numbers = [measured(measurement) for measurement in reading.measurements]
    caution = [] if all(finding.calibrated for finding in findings) else [SCORE_MEANING]
    return " ".join([*named, *looked, *numbers, *caution]) + notes


def sentence(finding: Finding) -> str:
    """Return a finding with where, whether, and how sure, the score beside its operating point."""
    where = ", ".join(part for part in (_site(finding), finding.laterality or "") if part)
    score = f"score {finding.score * 100:.1f} of 100, operating point {finding.operating_point * 100:.1f}"
    return f"{finding.code.meaning}{f' ({where})' if where else ''}: {finding.presence.value}, {score}."


def _site(finding: Finding) -> str:
    return "" if finding.site is None else finding.site.meaning.lower()


def _found(reading: Reading) -> bool:
    findings = () if reading.prediction is None else reading.prediction.findings
    return any(finding.presence is not Presence.ABSENT for finding in findings)


def _view(reading: Reading) -> str:
    geometry = reading.geometry
    return "" if geometry is None or geometry.view not in codes.VIEWS else f" ({geometry.view.value})"


def measured(measurement: Measurement) -> str:
    """Return a measurement with its unit."""
    unit = "" if measurement.unit == codes.RATIO else f" {measurement.unit.meaning}"
    return f"{measurement.code.meaning} {measurement.value:.4g}{unit}."
