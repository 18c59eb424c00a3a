"""Kinds of worklist: settings, example and doctor read this list."""

from cxr_node.ups.application_entity import DicomWorklist
from cxr_node.ups.web_server import DicomWebWorklist
from cxr_node.ups.worklist import WorklistKind

WORKLISTS: tuple[type[WorklistKind], ...] = (DicomWorklist, DicomWebWorklist)
