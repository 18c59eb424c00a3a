"""SOP Classes that the node accepts or requests (PS3.4 annexes A to C, CC)."""

from cxr_node.domain.identifiers import Uid

VERIFICATION = Uid("1.2.840.10008.1.1")
KEY_OBJECT_SELECTION = Uid("1.2.840.10008.5.1.4.1.1.88.59")
STUDY_ROOT_FIND = Uid("1.2.840.10008.5.1.4.1.2.2.1")
STUDY_ROOT_MOVE = Uid("1.2.840.10008.5.1.4.1.2.2.2")
STUDY_ROOT_GET = Uid("1.2.840.10008.5.1.4.1.2.2.3")
UPS_PUSH = Uid("1.2.840.10008.5.1.4.34.6.1")
UPS_PULL = Uid("1.2.840.10008.5.1.4.34.6.3")

STORAGE_KEYWORDS = {
    "ComputedRadiographyImageStorage": Uid("1.2.840.10008.5.1.4.1.1.1"),
    "DigitalXRayImageStorageForPresentation": Uid("1.2.840.10008.5.1.4.1.1.1.1"),
    "DigitalXRayImageStorageForProcessing": Uid("1.2.840.10008.5.1.4.1.1.1.1.1"),
    "SecondaryCaptureImageStorage": Uid("1.2.840.10008.5.1.4.1.1.7"),
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage": Uid("1.2.840.10008.5.1.4.1.1.7.2"),
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage": Uid("1.2.840.10008.5.1.4.1.1.7.3"),
}
"""Storage SOP Classes of chest films by keyword (PS3.6 table A-1)."""

PRIOR_SOP_CLASSES = (
    STORAGE_KEYWORDS["ComputedRadiographyImageStorage"],
    STORAGE_KEYWORDS["DigitalXRayImageStorageForPresentation"],
)
"""Classes of prior films. Pictures of this node, and of others, are of no such class."""

STORAGE_SOP_CLASSES = tuple(STORAGE_KEYWORDS.values())
"""Classes of chest films. pynetdicom copies supported contexts for each association, so no others are offered."""
