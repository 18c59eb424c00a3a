"""Impression of a study, with which every kind begins: verdict, findings, what was not seen, ratio, quality.

The words are those of the language's TOML file, numbers those of `domain.stated_numbers`. Each ratio of a film that is
not PA has the caveat of its view. The word beside a ratio follows the finding cardiomegaly, where there is one. The
ratio of the prior film stands in a line of its own, or that the prior film has not come yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cxr_node.domain import concepts
from cxr_node.domain.codes import Code
from cxr_node.domain.comparison import RATIO_KEY, Change
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import CascadeStep, Finding, Laterality, ModelIdentity, Presence, Reading
from cxr_node.domain.reasons import Reason
from cxr_node.domain.stated_numbers import NORMAL_RATIO, digits_of_ratio, ratio_digits, ratio_of, stated_score
from cxr_node.report import codes
from cxr_node.report.languages.language import Language
from cxr_node.report.languages.registry import ENGLISH
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study import time_of

_FAILURES = frozenset({Reason.MODEL_ERROR, Reason.TIMEOUT, Reason.DECODE, Reason.DAMAGED})
"""Reasons why an analysis was attempted and failed; of any other, none was attempted."""


class Verdict(StrEnum):
    """First line of an impression."""

    ABNORMAL = "abnormal"
    UNCERTAIN = "uncertain"
    RATIO_ABOVE_NORMAL = "ratio_above_normal"
    NORMAL = "normal"
    NO_TARGETS = "no_targets"
    NOT_ANALYSED = "not_analysed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmImpression:
    """Impression of one film in words, each line a sentence; "" and () where there is nothing to state.

    `label` has number, view and time of the film where the study has several. `findings` are those that are not
    absent, in the order of the prediction.
    """

    label: str
    findings: tuple[str, ...] = ()
    negatives: str = ""
    ratio: str = ""
    compared: str = ""
    quality: str = ""
    remarks: tuple[str, ...] = ()
    not_analysed: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines in order, without the label."""
        return tuple(line for line in (*self.findings, *self.statements, *self.remarks) if line)

    @property
    def statements(self) -> tuple[str, ...]:
        """The lines between findings and remarks in order."""
        lines = (self.not_analysed, self.negatives, self.ratio, self.compared, self.quality)
        return tuple(line for line in lines if line)

    @property
    def lines_under_label(self) -> tuple[str, ...]:
        """The label as a line of its own, where there is one, and the lines in order."""
        return (self.label.rstrip(), *self.lines) if self.label else self.lines

    @property
    def heading(self) -> str:
        """The label without its colon."""
        return self.label.rstrip(" :：")


@dataclass(frozen=True, slots=True, kw_only=True)
class Impression:
    """Impression of a study. `outcome` is the coded summary (CID 6047), `notice` the research-use caution."""

    verdict: Verdict
    outcome: Code
    headline: str
    films: tuple[FilmImpression, ...]
    notice: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The headline and the lines of each film, without the notice, which stands once at the end of a result."""
        return (self.headline, *(line for film in self.films for line in film.lines_under_label))

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def impression_of(films: Sequence[ReportedFilm], language: Language = ENGLISH) -> Impression:
    """Return the impression of the films of a study, or of one film of it."""
    verdict = _verdict([film.reading for film in films])
    headline = language.phrases.impression.format(verdict=getattr(language.phrases, f"verdict_{verdict.value}"))
    return Impression(
        verdict=verdict,
        outcome=_outcome([film.reading for film in films]),
        headline=headline,
        films=tuple(_film(film, language) for film in films),
        notice=language.phrases.caution,
    )


def label_of(film: ReportedFilm, language: Language = ENGLISH) -> str:
    """Return number, view and time of a film with a colon; "" for the only film of a study."""
    if not film.number:
        return ""
    geometry = film.reading.geometry
    view = geometry.view.value if geometry is not None and geometry.view in codes.VIEWS else ""
    parts = language.phrases.list_separator.join(part for part in (view, time_of(film)) if part)
    return language.phrases.film.format(
        ordinal=film.number, view=language.phrases.places.format(places=parts) if parts else ""
    )


def finding_line(film: ReportedFilm, finding: Finding, language: Language = ENGLISH) -> str:
    """Return a finding with its side and place, score and threshold; of a cascade, with its model in brackets.

    A suspected one of lung or pleura without a side has words for that: a reader would take it for an omission.
    """
    phrases = language.phrases
    if finding.presence is Presence.ABSENT:
        return phrases.absent_findings.format(findings=_absent(film, finding, language))
    pattern = phrases.suspected if finding.presence is Presence.PRESENT else phrases.undetermined
    site = None if codes.names_its_site(finding) else finding.site
    place = (
        ""
        if finding.key == concepts.CARDIOMEGALY_BY_RATIO
        else place_of(site, codes.side_of(finding.site, finding.laterality), language)
    )
    is_without_side = finding.presence is Presence.PRESENT and codes.lacks_its_side(finding)
    places = filter(None, (place, phrases.side_not_determined if is_without_side else ""))
    line = pattern.format(
        finding=language.within_sentence(finding.code),
        place="".join(f"{phrases.list_separator}{words}" for words in places),
        evidence=evidence_of(film, finding, language),
    )
    return line + _model(film, finding)


def place_of(site: Code | None, side: Laterality | None, language: Language = ENGLISH) -> str:
    """Return a site with its side, as written within a sentence."""
    side = codes.side_of(site, side)
    words = "" if side is None else language.terms.sides[side]
    if site is None:
        return words
    name = language.within_sentence(site)
    return language.phrases.place.format(side=words, site=name) if words else name


def evidence_of(film: ReportedFilm, finding: Finding, language: Language = ENGLISH) -> str:
    """Return the score of a finding beside its threshold, in words."""
    stated = stated_score(finding)
    score = language.number(stated.score, f".{stated.score_digits}f")
    threshold = language.number(stated.threshold, f".{stated.threshold_digits}f")
    if finding.key == concepts.CARDIOMEGALY_BY_RATIO:
        return language.phrases.by_ratio.format(
            ratio=score, threshold=threshold, caveat=_caveat(film.reading, language)
        )
    return language.phrases.by_score.format(score=score, threshold=threshold)


def ratio_line(reading: Reading, language: Language = ENGLISH) -> str:
    """Return the cardiothoracic ratio beside its normal limit with the caveat of the view; "" where not measured."""
    value = ratio_of(reading)
    if value is None:
        return ""
    phrases = language.phrases
    return phrases.ratio.format(
        ratio=language.number(value, f".{ratio_digits(reading)}f"),
        word=_ratio_word(reading, language),
        limit=language.number(NORMAL_RATIO, ".2f"),
        caveat=_caveat(reading, language),
    )


def compared_line(film: ReportedFilm, language: Language = ENGLISH) -> str:
    """Return the cardiothoracic ratio beside that of the prior film; "" where it was not measured on both.

    Of a film whose prior film has not come from another archive, that it has not.
    """
    phrases = language.phrases
    if film.awaits_prior:
        return phrases.awaits_prior
    ratio = None if film.comparison is None else film.comparison.of(RATIO_KEY)
    if ratio is None or film.comparison is None:
        return ""
    changes = {Change.BEYOND: phrases.change_beyond, Change.WITHIN: phrases.change_within, Change.NOT_JUDGED: ""}
    return phrases.compared.format(
        ratio=language.number(ratio.value, f".{ratio_digits(film.reading)}f"),
        prior=language.number(ratio.prior_value, f".{digits_of_ratio(ratio.prior_value)}f"),
        date=film.comparison.prior_date,
        change=changes[ratio.change],
    )


def _is_above_normal(reading: Reading) -> bool:
    """Whether the ratio is not below its normal limit; only of a PA film, for which the limit holds."""
    value = ratio_of(reading)
    return value is not None and _view(reading) is View.PA and value >= NORMAL_RATIO


def _ratio_word(reading: Reading, language: Language) -> str:
    """Return the word for a ratio above its normal limit; "" of any other.

    A heart is called enlarged where cardiomegaly is suspected, or where no model looked for it.
    """
    if not _is_above_normal(reading):
        return ""
    findings = () if reading.prediction is None else reading.prediction.findings
    presences = {finding.presence for finding in findings if finding.code == concepts.CARDIOMEGALY}
    if not presences or Presence.PRESENT in presences:
        return language.phrases.ratio_enlarged
    is_undetermined = Presence.UNDETERMINED in presences
    return language.phrases.ratio_borderline if is_undetermined else language.phrases.ratio_above_normal


def _film(film: ReportedFilm, language: Language) -> FilmImpression:
    reading, phrases = film.reading, language.phrases
    notes = (phrases.note.format(note=language.meaning(codes.processing_note(note))) for note in reading.notes)
    label = label_of(film, language)
    if reading.prediction is None:
        return FilmImpression(label=label, not_analysed=not_analysed(reading, language), remarks=tuple(notes))
    findings = reading.prediction.findings
    is_calibrated = all(finding.calibrated or finding.key == concepts.CARDIOMEGALY_BY_RATIO for finding in findings)
    return FilmImpression(
        label=label,
        findings=tuple(finding_line(film, one, language) for one in findings if one.presence is not Presence.ABSENT),
        negatives=_negatives(film, language) if findings else phrases.no_targets,
        ratio=ratio_line(reading, language),
        compared=compared_line(film, language),
        quality=_quality(reading, language),
        remarks=(*notes, *(() if is_calibrated else (phrases.score_meaning,))),
    )


def not_analysed(reading: Reading, language: Language = ENGLISH) -> str:
    """Return why a film was not analysed; its detail is technical and in English in every language."""
    reason = reading.not_analysed
    return language.phrases.not_analysed.format(
        reason="" if reason is None else language.meaning(codes.not_processed(reason)),
        detail=language.phrases.detail.format(detail=reading.detail) if reading.detail else "",
    )


def _negatives(film: ReportedFilm, language: Language) -> str:
    prediction, phrases = film.reading.prediction, language.phrases
    absent = [one for one in (prediction.findings if prediction else ()) if one.presence is Presence.ABSENT]
    words = [_absent(film, one, language) for one in absent]
    return phrases.absent_findings.format(findings=phrases.list_separator.join(words)) if words else ""


def _absent(film: ReportedFilm, finding: Finding, language: Language) -> str:
    evidence = language.phrases.places.format(places=evidence_of(film, finding, language))
    return f"{language.within_sentence(finding.code)}{evidence}{_model(film, finding)}"


def _quality(reading: Reading, language: Language) -> str:
    """Return the quality of the film with the criteria that limit it; "" where it was not judged."""
    judged = {one.value for one in reading.observations if one.code == concepts.QUALITY_ASSESSMENT}
    limits = (concepts.LIMITED, concepts.UNUSABLE)
    criteria = [one for one in reading.observations if one.code in codes.QUALITY_CRITERIA and one.value in limits]
    places = language.phrases.list_separator.join(language.within_sentence(one.code) for one in criteria)
    words = {"criteria": language.phrases.places.format(places=places) if places else ""}
    for value, pattern in (
        (concepts.UNUSABLE, language.phrases.quality_unusable),
        (concepts.LIMITED, language.phrases.quality_limited),
        (concepts.USABLE, language.phrases.quality_usable),
    ):
        if value in judged:
            return pattern.format(**words)
    return ""


def _verdict(readings: Sequence[Reading]) -> Verdict:
    analysed = [reading for reading in readings if reading.prediction is not None]
    findings = [one for reading in analysed if reading.prediction for one in reading.prediction.findings]
    presences = {finding.presence for finding in findings}
    for present, verdict in ((Presence.PRESENT, Verdict.ABNORMAL), (Presence.UNDETERMINED, Verdict.UNCERTAIN)):
        if present in presences:
            return verdict
    if not analysed:
        return Verdict.NOT_ANALYSED
    if any(_is_above_normal(reading) for reading in analysed):
        return Verdict.RATIO_ABOVE_NORMAL
    return Verdict.NORMAL if findings else Verdict.NO_TARGETS


def _outcome(readings: Sequence[Reading]) -> Code:
    """Return the summary of CID 6047. An undetermined finding is not an absent one: it counts as a finding.

    A film on which no analysis was attempted, such as a lateral view, is no failure.
    """
    predictions = [reading.prediction for reading in readings if reading.prediction is not None]
    if not predictions:
        return codes.NONE_SUCCEEDED
    has_finding = any(one.presence is not Presence.ABSENT for prediction in predictions for one in prediction.findings)
    failed = [reading for reading in readings if reading.not_analysed in _FAILURES]
    if failed or any(prediction.failed_steps for prediction in predictions):
        return codes.PART_WITH_FINDINGS if has_finding else codes.PART_WITHOUT_FINDINGS
    return codes.ALL_WITH_FINDINGS if has_finding else codes.ALL_WITHOUT_FINDINGS


def _view(reading: Reading) -> View:
    return View.UNKNOWN if reading.geometry is None else reading.geometry.view


def _caveat(reading: Reading, language: Language) -> str:
    view, phrases = _view(reading), language.phrases
    return "" if view is View.PA else phrases.caveat_ap if view is View.AP else phrases.caveat_unknown


def failure(step: CascadeStep) -> str:
    """Return which bundle of a cascade failed, and why, as a technical detail: English in every language."""
    name = named(step.model)
    return step.detail if step.detail.startswith(name) else f"{name}: {step.detail}"


def named(model: ModelIdentity) -> str:
    """Return the name and version of a model."""
    return f"{model.name} {model.version}"


def _model(film: ReportedFilm, finding: Finding) -> str:
    """Return the model of a finding in brackets, if the film was read by several."""
    prediction = film.reading.prediction
    return f" [{named(prediction.model_of(finding))}]" if prediction is not None and prediction.steps else ""
