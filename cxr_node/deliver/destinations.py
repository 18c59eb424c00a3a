"""Kinds of destination: settings, example, doctor, conformance statement and audit trail read this list."""

from cxr_node.deliver.cstore import CStore
from cxr_node.deliver.destination import DestinationKind
from cxr_node.deliver.folder import Folder

DESTINATIONS: tuple[type[DestinationKind], ...] = (CStore, Folder)
