"""Elements by keyword: lists of keywords, sequence items, values repeated unchanged from a film."""

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset


def keywords(text: str) -> tuple[str, ...]:
    """Return the attribute keywords of a text, which spaces or line ends separate."""
    return tuple(text.split())


def item(**values: object) -> Dataset:
    """Return a sequence item with these values, by keyword."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def verbatim(keyword: str, value: str) -> DataElement:
    """Return an element with `value` unchanged.

    Modalities send UIDs that PS3.5 section 9.1 forbids, such as components with leading zeros. A result in their study
    repeats them; pydicom would log a warning with the value each time.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"not the keyword of an attribute: {keyword}")
    return DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)
