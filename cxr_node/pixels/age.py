"""Age of the patient at the date of the film."""

import datetime as dt
import re

from pydicom.dataset import Dataset

from cxr_node.pixels import elements

_AGE = re.compile(r"0*(\d{1,3})([DWMY]?)")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0, "": 1.0}
_MAX_YEARS = 120.0
_DAYS = 365.25
_ADULT_YEARS = 18.0
_DATES = ("AcquisitionDate", "ContentDate", "StudyDate", "SeriesDate")


def age_in_years(dataset: Dataset) -> float | None:
    """Return the age in years: Patient's Age (0010,1010), else from the birth date and the film's; None if unknown.

    An age without a unit counts as years, as it is meant in practice. An age above 120 counts as unstated.
    """
    stated = _AGE.fullmatch(elements.text(dataset, "PatientAge").upper())
    if stated is not None:
        years = int(stated[1]) * _YEARS[stated[2]]
        if years <= _MAX_YEARS:
            return years
    birth_date = _date(elements.text(dataset, "PatientBirthDate"))
    film_date = next((date for keyword in _DATES if (date := _date(elements.text(dataset, keyword)))), None)
    if birth_date is None or film_date is None:
        return None
    years = (film_date - birth_date).days / _DAYS
    return years if 0 <= years <= _MAX_YEARS else None


def is_adult(dataset: Dataset) -> bool:
    """Whether the header states an adult's age; False if it states none."""
    years = age_in_years(dataset)
    return years is not None and years >= _ADULT_YEARS


def _date(text: str) -> dt.date | None:
    digits = text.replace(".", "").replace("-", "")
    try:
        return dt.datetime.strptime(digits, "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return None
