"""SOP Classes that the node accepts or requests (PS3.4 annexes A to C)."""

from cxr_node.domain.identifiers import Uid

VERIFICATION = Uid("1.2.840.10008.1.1")
STUDY_ROOT_FIND = Uid("1.2.840.10008.5.1.4.1.2.2.1")

STORAGE_SOP_CLASSES = (
    Uid("1.2.840.10008.5.1.4.1.1.1"),  # Computed Radiography Image
    Uid("1.2.840.10008.5.1.4.1.1.1.1"),  # Digital X-Ray Image, For Presentation
    Uid("1.2.840.10008.5.1.4.1.1.1.1.1"),  # Digital X-Ray Image, For Processing
    Uid("1.2.840.10008.5.1.4.1.1.7"),  # Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.2"),  # Multi-frame Grayscale Byte Secondary Capture Image
    Uid("1.2.840.10008.5.1.4.1.1.7.3"),  # Multi-frame Grayscale Word Secondary Capture Image
)
"""Classes of chest films. pynetdicom copies supported contexts for each association, so no others are offered."""
