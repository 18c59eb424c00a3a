"""Kinds of destination: settings, example, doctor, conformance statement and audit trail read this list."""

from cxr_node.deliver.cstore import CStore
from cxr_node.deliver.destination import DestinationKind
from cxr_node.deliver.fhir import Fhir
from cxr_node.deliver.folder import Folder
from cxr_node.deliver.hl7 import Hl7
from cxr_node.deliver.stow import Stow

DESTINATIONS: tuple[type[DestinationKind], ...] = (CStore, Folder, Stow, Hl7, Fhir)
