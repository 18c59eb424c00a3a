"""Who observed, what was done, and in which language it is told: the same at the head of every report."""

from cxr_node.report import codes
from cxr_node.report.source import Observer
from cxr_node.report.sr.content import ContentItem, Relationship, code, text, uid_reference

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD


def observation_context(node: Observer) -> list[ContentItem]:
    """Return language (TID 1204), a device as observer (TID 1002, 1004) and the procedure reported."""
    return [
        code(codes.LANGUAGE, node.speaks.code, _MODIFIER),
        code(codes.OBSERVER_TYPE, codes.DEVICE, _CONTEXT),
        uid_reference(codes.DEVICE_OBSERVER_UID, node.uid, _CONTEXT),
        text(codes.DEVICE_OBSERVER_NAME, node.name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MANUFACTURER, node.manufacturer, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MODEL_NAME, node.model_name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_SERIAL_NUMBER, node.serial_number, _CONTEXT),
        code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, _MODIFIER),
    ]
