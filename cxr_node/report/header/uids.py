"""Which UIDs a result bears. They follow from what it says, so the same result is the same instance."""

from collections.abc import Sequence

from cxr_node.domain.identifiers import Digest, Uid, derive_uid
from cxr_node.domain.reading import Reading
from cxr_node.report.source import Observer


def series_instance_uid(study_instance_uid: Uid, kind: str, node: Observer) -> Uid:
    """Return the series of all results of one kind that this node makes for a study."""
    return derive_uid("series", study_instance_uid, kind, node.uid)


def sop_instance_uid(readings: Sequence[Reading], kind: str, node: Observer, content: Digest) -> Uid:
    """Return the UID of a result: sources, kind, models, software and content make it, no time does."""
    sources = sorted(reading.film.sop_instance_uid for reading in readings)
    models = sorted({reading.prediction.model.weights_digest for reading in readings if reading.prediction})
    return derive_uid("instance", *sources, kind, *models, node.software_version, content)


def tracking_uid(film_sop_instance_uid: Uid, key: str) -> Uid:
    """Return the Tracking Unique Identifier of one finding on one film, the same whenever it is read again."""
    return derive_uid("tracking", film_sop_instance_uid, key)
