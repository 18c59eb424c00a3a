"""How old the patient was when the film was made."""

import datetime as dt
import re

from pydicom.dataset import Dataset

from cxr_node.pixels import elements

_AGE = re.compile(r"0*(\d{1,3})([DWMY]?)")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_GREATEST = 120.0
_DAYS = 365.25
_ADULT_YEARS = 18.0
_DATES = ("AcquisitionDate", "ContentDate", "StudyDate", "SeriesDate")


def age_in_years(dataset: Dataset) -> float | None:
    """Return the age in years: Patient's Age (0010,1010), else from the birth date and the film's; None if unknown.

    An age without its unit counts as years, which is how it is meant where it is met. Nobody is older than 120:
    such an age counts as unstated.
    """
    stated = _AGE.fullmatch(elements.text(dataset, "PatientAge").upper())
    if stated is not None:
        years = int(stated[1]) * _YEARS[stated[2]]
        if years <= _GREATEST:
            return years
    born = _date(elements.text(dataset, "PatientBirthDate"))
    made = next((date for keyword in _DATES if (date := _date(elements.text(dataset, keyword)))), None)
    if born is None or made is None:
        return None
    years = (made - born).days / _DAYS
    return years if 0 <= years <= _GREATEST else None


def is_adult(dataset: Dataset) -> bool:
    """Whether the header gives the patient an adult's age; not where it gives none."""
    years = age_in_years(dataset)
    return years is not None and years >= _ADULT_YEARS


def _date(text: str) -> dt.date | None:
    digits = text.replace(".", "").replace("-", "")
    try:
        return dt.datetime.strptime(digits, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
