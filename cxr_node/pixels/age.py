"""Age of the patient at the date of the film."""

import datetime as dt
import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from cxr_node.pixels import elements
from cxr_node.pixels.word_matching import decodings, fold, split, states_nothing

_YEAR, _MONTH, _WEEK, _DAY = 1.0, 1 / 12, 7 / 365.25, 1 / 365.25
_UNITS: dict[str, float] = {
    **dict.fromkeys(split("Y YR YRS YEAR YEARS A AN ANS ANNI ANO ANOS JAHR JAHRE JAAR LAT LET ЛЕТ 岁 歲 歳 세"), _YEAR),
    **dict.fromkeys(split("M MO MON MONTH MONTHS MES MESES MOIS MESE MESI MONAT MONATE MAAND МЕС 月"), _MONTH),
    **dict.fromkeys(split("W WK WKS WEEK WEEKS WOCHE WOCHEN SEMANA SEMANAS SEMAINE SEMAINES 周"), _WEEK),
    **dict.fromkeys(split("D DAY DAYS TAG TAGE DIA DIAS JOUR JOURS GIORNI GIORNO 天 日"), _DAY),
    "": _YEAR,
}
"""Years in a unit, by its folded word. "J" is a year in German and a day in French, so it is none."""
_PART = re.compile(r"\s*(\d{1,4})\s*([^\W\d_]*)\.?\s*")
_MAX_YEARS = 120.0
_DAYS = 365.25
_ADULT_YEARS = 18.0
_DATES = ("AcquisitionDate", "ContentDate", "StudyDate", "SeriesDate")
_DIGITS = re.compile(r"\d+")
_CENTURIES = ("18", "19", "20")


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """Age in years, None if unknown; `is_unreadable` if the header states one that cannot be read, and no other."""

    years: float | None = None
    is_unreadable: bool = False


def find_age(dataset: Dataset) -> Age:
    """Return the age by Patient's Age (0010,1010), and by the birth date and the film's: the younger of the two.

    An age without a unit counts as years, as it is meant in practice. An age of 0 years, above 120, or in words that
    state nothing counts as unstated, one of 0 days, weeks or months beside a birth date. Of a date that may be read in
    two ways, the later is taken.
    """
    stated = (_stated_age(dataset), _age_by_dates(dataset))
    years = [age.years for age in stated if age.years is not None]
    if len(years) == len(stated) and not years[0]:
        years = years[1:]  # an age of 0 is what a console writes without one
    if years:
        return Age(years=min(years))
    return Age(is_unreadable=any(age.is_unreadable for age in stated))


def age_in_years(dataset: Dataset) -> float | None:
    """Return the age in years; None if it is unknown."""
    return find_age(dataset).years


def is_adult(dataset: Dataset) -> bool:
    """Whether the header states an adult's age; False if it states none."""
    years = age_in_years(dataset)
    return years is not None and years >= _ADULT_YEARS


_UNSTATED, _UNREADABLE = Age(), Age(is_unreadable=True)


def _stated_age(dataset: Dataset) -> Age:
    texts = [text.strip(" \0") for text in decodings(elements.encoded(dataset, "PatientAge"))]
    if all(states_nothing(text) for text in texts):
        return _UNSTATED
    return next((age for text in texts if (age := _read_age(text)) is not None), _UNREADABLE)


def _read_age(text: str) -> Age | None:
    """Return an age as "045Y", "7 YEARS" or "3Y7M"; None if it is none of these."""
    years, at = 0.0, 0
    units = []
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2] not in _UNITS:
            return None
        years += int(part[1]) * _UNITS[part[2]]
        units.append(_UNITS[part[2]])
        at = part.end()
    if not units or units != sorted(set(units), reverse=True):
        return None
    is_unknown = years > _MAX_YEARS or (years == 0 and units[-1] == _YEAR)
    return _UNSTATED if is_unknown else Age(years=years)


def _age_by_dates(dataset: Dataset) -> Age:
    birth_text = elements.text(dataset, "PatientBirthDate")
    film_texts = [text for keyword in _DATES if (text := elements.text(dataset, keyword))]
    birth_date = read_date(birth_text)
    if birth_date is None:
        return _UNSTATED if states_nothing(fold(birth_text)) or set(birth_text) <= set("0./- ") else _UNREADABLE
    film_date = next((date for text in film_texts if (date := read_date(text)) is not None), None)
    if film_date is None:
        return _UNREADABLE if film_texts else _UNSTATED
    years = (film_date - birth_date).days / _DAYS
    if years < 0:
        return _UNREADABLE
    return _UNSTATED if years > _MAX_YEARS else Age(years=years)


def read_date(text: str) -> dt.date | None:
    """Return the date that a text states, the latest if it can be read in several ways; None if there is none.

    As YYYYMMDD, YYYY.MM.DD, with slashes or dashes, with a time behind it, or as DD/MM/YYYY or MM/DD/YYYY. A year alone
    is taken by its last day.
    """
    groups = _DIGITS.findall(text)
    if not groups:
        return None
    first = groups[0]
    if len(first) in (8, 14):
        return _latest((first[:4], first[4:6], first[6:8]), (first[4:8], first[2:4], first[:2]))
    if len(first) == 4:
        month, day = (groups[1:3] + ["12", "31"][len(groups[1:3]) :]) if len(groups) != 2 else (groups[1], "28")
        return _latest((first, month, day))
    if len(groups) >= 3 and len(groups[2]) == 4:
        return _latest((groups[2], groups[1], first), (groups[2], first, groups[1]))
    return None


def _latest(*candidates: tuple[str, str, str]) -> dt.date | None:
    dates = []
    for year, month, day in candidates:
        if year[:2] in _CENTURIES:
            try:
                dates.append(dt.date(int(year), int(month), int(day)))
            except ValueError:
                continue
    return max(dates, default=None)
