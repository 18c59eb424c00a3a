"""Implementation Class UID and Version Name (PS3.7 section D.3.3.2)."""

from cxr_node.domain.identifiers import derive_uid

IMPLEMENTATION_CLASS_UID = derive_uid("cxr-node", "implementation class")
IMPLEMENTATION_VERSION_NAME = "CXR_NODE"
