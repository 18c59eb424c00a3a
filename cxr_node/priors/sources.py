"""Kinds of source: settings, example, doctor and conformance statement read this list."""

from cxr_node.priors.archive import DicomArchive
from cxr_node.priors.source import PriorSourceKind
from cxr_node.priors.web_server import DicomWebSource

SOURCES: tuple[type[PriorSourceKind], ...] = (DicomArchive, DicomWebSource)
