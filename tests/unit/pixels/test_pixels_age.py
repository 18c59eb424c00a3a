"""How old the header says that the patient was."""

import pytest

from cxr_node.pixels.age import age_in_years, is_adult
from tests.support import films


@pytest.mark.parametrize(
    ("changes", "years", "adult"),
    [
        ({"PatientAge": "062Y"}, 62, True),
        ({"PatientAge": "018Y"}, 18, True),
        ({"PatientAge": "017Y"}, 17, False),
        ({"PatientAge": "018M"}, 1.5, False),
        ({"PatientAge": None, "PatientBirthDate": "20000101", "AcquisitionDate": "20200101"}, 20, True),
    ],
)
def test_an_adult_is_one_of_eighteen_years(changes: dict[str, object], years: float, *, adult: bool) -> None:
    header = films.cr(changes=changes)

    assert age_in_years(header) == pytest.approx(years, abs=0.02)
    assert is_adult(header) is adult


def test_who_has_no_age_is_not_taken_for_an_adult() -> None:
    header = films.cr(changes={"PatientAge": None, "PatientBirthDate": None})

    assert age_in_years(header) is None
    assert not is_adult(header)
