"""UIDs of results, derived from their content: equal content is the same instance."""

from collections.abc import Sequence

from cxr_node.domain.identifiers import Digest, Uid, derive_uid
from cxr_node.domain.reading import Reading
from cxr_node.report.source import Observer


def series_instance_uid(study_instance_uid: Uid, type_name: str, observer: Observer) -> Uid:
    """Return the series of all results of one type that this node makes for a study."""
    return derive_uid("series", study_instance_uid, type_name, observer.uid)


def sop_instance_uid(
    readings: Sequence[Reading], type_name: str, observer: Observer, content: Digest, *, corrections: Sequence[str] = ()
) -> Uid:
    """Return the UID of a result: sources, type_name, models, software and content make it, no time does.

    `corrections` are digests of sources whose demographics a person corrected: equal content is then another instance.
    """
    sources = sorted(reading.film.sop_instance_uid for reading in readings)
    predictions = [reading.prediction for reading in readings if reading.prediction]
    models = sorted({model.weights_digest for prediction in predictions for model in prediction.models})
    return derive_uid(
        "instance", *sources, type_name, *models, observer.software_version, content, *sorted(corrections)
    )


def tracking_identifier(observer: Observer, label: str) -> str:
    """Return the Tracking Identifier of what `label` names."""
    return f"{observer.model_name} {label}"


def tracking_uid(film_sop_instance_uid: Uid, key: str) -> Uid:
    """Return the Tracking Unique Identifier of a finding, region or structure on a film, the same at each reading."""
    return derive_uid("tracking", film_sop_instance_uid, key)
