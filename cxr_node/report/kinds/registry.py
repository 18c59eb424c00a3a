"""Registry of result kinds: feeds settings, example configuration, composing, conformance statement and doctor."""

from collections.abc import Mapping

from cxr_node.report.kinds import (
    basic_text,
    chest_cad,
    encapsulated_pdf,
    key_objects,
    presentation_state,
    secondary_capture,
    segmentation,
    tid1500,
)
from cxr_node.report.kinds.kind import ResultKind

REPORT_FORMS: tuple[ResultKind, ...] = (
    tid1500.REPORT,
    tid1500.REPORT_COMPREHENSIVE,
    tid1500.REPORT_ENHANCED,
    basic_text.TEXT,
)
"""Forms of the report, best first: each leaves out more than the one before."""

RESULT_KINDS: tuple[ResultKind, ...] = (
    *REPORT_FORMS,
    tid1500.REPORT_MEASUREMENTS,
    tid1500.REPORT_OHIF,
    chest_cad.CHEST_CAD,
    secondary_capture.PICTURE,
    secondary_capture.ANATOMY_PICTURE,
    presentation_state.PRESENTATION_STATE,
    key_objects.KEY_IMAGES,
    segmentation.SEGMENTATION,
    encapsulated_pdf.ENCAPSULATED_PDF,
)

KIND_BY_NAME: Mapping[str, ResultKind] = {kind.name: kind for kind in RESULT_KINDS}
