"""Elements with a film's value unchanged, also where it is invalid."""

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement


def verbatim(keyword: str, value: str) -> DataElement:
    """Return an element with `value` unchanged.

    Modalities send UIDs that PS3.5 section 9.1 forbids, such as components with leading zeros. A result in their study
    repeats them; pydicom would log a warning with the value each time.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"not the keyword of an attribute: {keyword}")
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)
