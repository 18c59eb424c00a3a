"""Differences between two copies of one film: whether the second corrects patient, study or order of the first."""

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from cxr_node.report.header.elements import keywords
from cxr_node.report.header.safe_header import safe_header
from cxr_node.report.patient import names_contradict, normalized, person_name

_COMPARED = keywords("""
    PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex AccessionNumber StudyInstanceUID
""")
_IDENTIFYING = frozenset({"PatientID", "PatientName"})


def corrected_attributes(first: Dataset, second: Dataset) -> tuple[str, ...]:
    """Return the names of attributes that `second` states otherwise than `first`; empty for the same film.

    What only the first copy states is not withdrawn by the second, and what only the second states is no correction,
    except that the first copy had no Patient ID or no Patient's Name.
    """
    before, after = safe_header(first), safe_header(second)
    return tuple(dictionary_description(keyword) for keyword in _COMPARED if _is_corrected(keyword, before, after))


def _is_corrected(keyword: str, before: Dataset, after: Dataset) -> bool:
    one, other = normalized(before.get(keyword)), normalized(after.get(keyword))
    if not one or not other:
        return bool(other) and keyword in _IDENTIFYING
    if keyword == "PatientName":
        return names_contradict(person_name(str(before.PatientName)), person_name(str(after.PatientName)))
    return one != other
