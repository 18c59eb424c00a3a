"""Observation context at the head of every document: language, observer and procedure."""

from cxr_node.report import codes
from cxr_node.report.source import Observer
from cxr_node.report.sr.content import ContentItem, Relationship, code, text, uid_reference

_CONTEXT = Relationship.HAS_OBS_CONTEXT
_MODIFIER = Relationship.HAS_CONCEPT_MOD


def observation_context(observer: Observer) -> list[ContentItem]:
    """Return language (TID 1204), a device as observer (TID 1002, 1004) and the procedure reported."""
    return [
        code(codes.LANGUAGE, observer.language.code, _MODIFIER),
        code(codes.OBSERVER_TYPE, codes.DEVICE, _CONTEXT),
        uid_reference(codes.DEVICE_OBSERVER_UID, observer.uid, _CONTEXT),
        text(codes.DEVICE_OBSERVER_NAME, observer.name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MANUFACTURER, observer.manufacturer, _CONTEXT),
        text(codes.DEVICE_OBSERVER_MODEL_NAME, observer.model_name, _CONTEXT),
        text(codes.DEVICE_OBSERVER_SERIAL_NUMBER, observer.serial_number, _CONTEXT),
        code(codes.PROCEDURE_REPORTED, codes.IMAGING_PROCEDURE, _MODIFIER),
    ]
