"""Impression: the lines that every kind of result begins with."""

from dataclasses import replace

import pytest

from cxr_node.domain import concepts
from cxr_node.domain.film_geometry import View
from cxr_node.domain.reading import Finding, Laterality, Measurement, Observation, Presence, Topic
from cxr_node.domain.reasons import Reason
from cxr_node.report import codes
from cxr_node.report.impression import Verdict, impression_of
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import ReportedFilm
from cxr_node.report.study import collate
from tests.support import films
from tests.unit.report.studies import finding, not_read, read

OPACITY = finding("Lung Opacity", 0.86, Presence.PRESENT, laterality=Laterality.LEFT)
NO_OPACITY = finding("Lung Opacity", 0.041, Presence.ABSENT)
NO_EFFUSION = finding("Effusion", 0.16, Presence.ABSENT)


def ratio(value: float) -> Measurement:
    line = ((1.0, 1.0), (9.0, 1.0))
    return Measurement(
        key="CTR", code=concepts.CARDIOTHORACIC_RATIO, value=value, unit=codes.RATIO, line=line, provenance=""
    )


def quality(*limits: Observation) -> tuple[Observation, ...]:
    worst = concepts.LIMITED if limits else concepts.USABLE
    return (*limits, Observation(key="q", topic=Topic.QUALITY, code=concepts.QUALITY_ASSESSMENT, value=worst))


def by_ratio(score: float, limit: float, presence: Presence) -> Finding:
    return Finding(
        key=concepts.CARDIOMEGALY_BY_RATIO,
        code=concepts.CARDIOMEGALY,
        site=concepts.HEART,
        score=score,
        operating_point=limit,
        presence=presence,
    )


def lines(*films_: ReportedFilm) -> tuple[str, ...]:
    return impression_of(collate(films_)).lines


def test_an_abnormal_film_is_read_as_a_radiologist_writes_it() -> None:
    film = read(films.dx(), OPACITY, NO_EFFUSION, measurements=(ratio(0.462),))
    film = replace(film, reading=replace(film.reading, observations=quality()))

    assert lines(film) == (
        "IMPRESSION (AI, research use): abnormal, findings are suspected.",
        "Suspected opacity, left lung (score 86, threshold 50).",
        "Looked for and not seen: pleural effusion (score 16, threshold 50).",
        "CTR 0.46 (normal < 0.50).",
        "Image quality: usable.",
        "A score is not a probability.",
    )


@pytest.mark.parametrize(
    ("study", "verdict"),
    [
        ([read(films.dx(), NO_OPACITY)], Verdict.NORMAL),
        ([read(films.dx(), NO_OPACITY, measurements=(ratio(0.52),))], Verdict.RATIO_ABOVE_NORMAL),
        ([read(films.dx(), NO_OPACITY, measurements=(ratio(0.52),), view=View.AP)], Verdict.NORMAL),
        ([read(films.dx(), finding("Nodule", 0.5, Presence.UNDETERMINED), NO_OPACITY)], Verdict.UNCERTAIN),
        ([read(films.dx(), NO_OPACITY), read(films.cr(), OPACITY)], Verdict.ABNORMAL),
        ([read(films.dx())], Verdict.NO_TARGETS),
        ([not_read(films.dx(), Reason.VIEW)], Verdict.NOT_ANALYSED),
    ],
)
def test_the_verdict_is_that_of_the_worst_film(study: list[ReportedFilm], verdict: Verdict) -> None:
    assert impression_of(study).verdict is verdict


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("view", [View.PA, View.AP, View.UNKNOWN])
def test_each_ratio_of_a_film_that_is_not_pa_has_its_caveat(view: View, name: str) -> None:
    phrases = LANGUAGES[name].phrases
    present = by_ratio(0.58, 0.55, Presence.PRESENT)
    film = read(films.dx(), present, measurements=(ratio(0.58),), view=view)

    words = impression_of([film], LANGUAGES[name]).films[0]

    caveat = {View.PA: "", View.AP: phrases.caveat_ap, View.UNKNOWN: phrases.caveat_unknown}[view]
    assert all(caveat in line for line in (words.findings[0], words.ratio))
    assert (phrases.ratio_enlarged in words.ratio) == (view is View.PA)


@pytest.mark.parametrize(
    ("value", "limit", "presence", "finding_line", "line"),
    [
        (0.528, 0.53, Presence.UNDETERMINED, "Undetermined: {}CTR 0.528, threshold 0.53).", "CTR 0.528, borderline"),
        (0.512, 0.53, Presence.UNDETERMINED, "Undetermined: {}CTR 0.51, threshold 0.53).", "CTR 0.51, borderline"),
        (0.531, 0.53, Presence.PRESENT, "Suspected {}CTR 0.531, threshold 0.53).", "CTR 0.531, enlarged"),
        (0.5004, 0.5, Presence.PRESENT, "Suspected {}CTR 0.5004, threshold 0.50).", "CTR 0.5004, enlarged"),
        (0.62, 0.53, Presence.PRESENT, "Suspected {}CTR 0.62, threshold 0.53).", "CTR 0.62, enlarged"),
        (0.497, 0.53, Presence.ABSENT, "Looked for and not seen: {}CTR 0.497, threshold 0.53).", "CTR 0.497"),
        (0.46, 0.53, Presence.ABSENT, "Looked for and not seen: {}CTR 0.46, threshold 0.53).", "CTR 0.46"),
        (
            0.51,
            0.53,
            Presence.ABSENT,
            "Looked for and not seen: {}CTR 0.51, threshold 0.53).",
            "CTR 0.51, above the limit",
        ),
    ],
)
def test_ratio_and_finding_agree_in_number_and_word(
    value: float, limit: float, presence: Presence, finding_line: str, line: str
) -> None:
    film = read(films.dx(), by_ratio(value, limit, presence), measurements=(ratio(value),))

    assert finding_line.format("cardiomegaly (") in lines(film)
    assert f"{line} (normal < 0.50)." in lines(film)


@pytest.mark.parametrize("name", LANGUAGES)
@pytest.mark.parametrize("presence", Presence)
def test_a_ratio_above_normal_has_the_word_of_its_finding(presence: Presence, name: str) -> None:
    """Also where the finding is by a score, of which the ratio knows nothing."""
    phrases = LANGUAGES[name].phrases
    words = {
        Presence.PRESENT: phrases.ratio_enlarged,
        Presence.UNDETERMINED: phrases.ratio_borderline,
        Presence.ABSENT: phrases.ratio_above_normal,
    }
    assert len(set(words.values())) == len(words)
    for judged in (by_ratio(0.52, 0.53, presence), finding("Cardiomegaly", 0.2, presence)):
        film = read(films.dx(), judged, measurements=(ratio(0.52),))
        (impression,) = impression_of([film], LANGUAGES[name]).films
        assert f"{LANGUAGES[name].number(0.52, '.2f')}{words[presence]}" in impression.ratio


def test_scores_that_round_to_the_threshold_have_a_digit_more() -> None:
    near = replace(OPACITY, score=0.498, operating_point=0.502, presence=Presence.UNDETERMINED)

    words = impression_of([read(films.dx(), near)]).films[0]

    assert words.findings == ("Undetermined: opacity, left lung (score 49.8, threshold 50.2).",)


def test_a_film_not_analysed_gives_its_reason_and_never_no_finding() -> None:
    study = [not_read(films.dx(), Reason.AGE, "7 years")]

    assert lines(*study) == (
        "IMPRESSION (AI, research use): not analysed.",
        f"Not analysed: {Reason.AGE.meaning} (7 years).",
    )


def test_a_lateral_view_out_of_scope_is_no_failure() -> None:
    lateral = not_read(films.cr(), Reason.VIEW, "LATERAL")

    assert impression_of([read(films.dx(), OPACITY), lateral]).outcome == codes.ALL_WITH_FINDINGS
    assert impression_of([read(films.dx(), NO_OPACITY), lateral]).outcome == codes.ALL_WITHOUT_FINDINGS
    failed = not_read(films.cr(), Reason.TIMEOUT)
    assert impression_of([read(films.dx(), OPACITY), failed]).outcome == codes.PART_WITH_FINDINGS


def test_quality_names_what_limits_it() -> None:
    limited = Observation(
        key="quality/rotation", topic=Topic.QUALITY, code=concepts.QUALITY_ROTATION, value=concepts.LIMITED
    )
    film = read(films.dx(), NO_OPACITY)
    film = replace(film, reading=replace(film.reading, observations=quality(limited)))

    assert "Image quality: usable with limits (rotation of the patient)." in lines(film)


def test_films_are_numbered_by_acquisition_with_view_and_time() -> None:
    late = films.dx(changes={"AcquisitionDate": "20260301", "AcquisitionTime": "104559"})
    early = films.cr(changes={"AcquisitionDate": "20260301", "AcquisitionTime": "093000.5", "ViewPosition": "AP"})
    study = [read(late, NO_OPACITY), read(early, OPACITY, view=View.AP)]

    for order in (study, study[::-1]):
        _, *rest = lines(*order)
        assert rest[:2] == ["Film 1 (AP, 09:30):", "Suspected opacity, left lung (score 86, threshold 50)."]
        second = rest.index("Film 2 (PA, 10:45):")
        assert rest[second + 1] == "Looked for and not seen: opacity (score 4, threshold 50)."


def test_a_late_film_leaves_the_numbers_of_the_reported_ones() -> None:
    late = films.dx(changes={"AcquisitionDate": "20260301", "AcquisitionTime": "104559"})
    early = films.cr(changes={"AcquisitionDate": "20260301", "AcquisitionTime": "093000"})

    collated = collate([replace(read(early, OPACITY), added_after=1), read(late, OPACITY)])

    assert [(film.number, film.reading.film.sop_instance_uid) for film in collated] == [
        (1, late.SOPInstanceUID),
        (2, early.SOPInstanceUID),
    ]


def test_a_site_that_the_findings_name_tells_is_not_repeated() -> None:
    film = read(films.dx(), finding("Effusion", 0.8, Presence.PRESENT, laterality=Laterality.LEFT))
    assert "Suspected pleural effusion, left (score 80, threshold 50)." in lines(film)


@pytest.mark.parametrize(
    ("key", "presence", "line"),
    [
        ("Effusion", Presence.PRESENT, "Suspected pleural effusion, side not determined (score 80, threshold 50)."),
        ("Effusion", Presence.UNDETERMINED, "Undetermined: pleural effusion (score 80, threshold 50)."),
        ("Edema", Presence.PRESENT, "Suspected pulmonary edema (score 80, threshold 50)."),
        ("Cardiomegaly", Presence.PRESENT, "Suspected cardiomegaly (score 80, threshold 50)."),
    ],
)
def test_only_a_suspected_finding_of_one_side_says_that_it_has_none(key: str, presence: Presence, line: str) -> None:
    assert line in lines(read(films.dx(), finding(key, 0.8, presence)))


def test_every_language_names_a_side_without_the_implied_site() -> None:
    effusion = finding("Effusion", 0.8, Presence.PRESENT, laterality=Laterality.LEFT)
    lines_of = {
        name: impression_of([read(films.dx(), effusion)], language).films[0].findings[0]
        for name, language in LANGUAGES.items()
    }
    assert lines_of["en"] == "Suspected pleural effusion, left (score 80, threshold 50)."
    for name, language in LANGUAGES.items():
        assert language.terms.sides[Laterality.LEFT] in lines_of[name]
        name_of_finding = language.within_sentence(effusion.code)
        assert language.within_sentence(codes.PLEURA) not in lines_of[name].replace(name_of_finding, "")


def test_a_site_that_the_findings_name_leaves_open_is_named() -> None:
    film = read(films.dx(), finding("Lung Opacity", 0.8, Presence.PRESENT))
    assert "Suspected opacity, lung, side not determined (score 80, threshold 50)." in lines(film)


def test_the_site_is_named_by_its_display_name() -> None:
    site = replace(codes.PLEURA, meaning="Pleural structure")
    film = read(films.dx(), replace(OPACITY, site=site))

    assert "Suspected opacity, left pleura (score 86, threshold 50)." in lines(film)
