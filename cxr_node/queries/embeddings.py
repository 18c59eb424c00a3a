"""Embeddings of films, for export. Films of constancy checks are left out."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from cxr_node.db.monitoring_tables import is_not_constancy_film
from cxr_node.db.point_tables import embedding
from cxr_node.db.tables import film, reading, study


@dataclass(frozen=True, slots=True, order=True)
class EmbeddingModel:
    """Model that gave embeddings."""

    name: str
    version: str
    weights_digest: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version} (weights SHA-256 {self.weights_digest})"

    def matches(self, wanted: str) -> bool:
        """Whether it is named by NAME, NAME@VERSION or the SHA-256 of its weights."""
        return wanted in (self.name, f"{self.name}@{self.version}", self.weights_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmEmbedding:
    """Vector of one film: 32-bit floats, little-endian."""

    film_id: int
    sop_instance_uid: str
    study_instance_uid: str
    read_at: datetime
    vector: bytes


_MODEL = tuple(
    func.coalesce(embedding.c[name], reading.c[name]) for name in ("model_name", "model_version", "weights_digest")
)
_JOINED = embedding.join(reading, reading.c.id == embedding.c.reading_id).join(film, film.c.id == reading.c.film_id)


def models(connection: Connection) -> list[EmbeddingModel]:
    """Return the models of the stored embeddings, in order."""
    query = select(*_MODEL).select_from(_JOINED).where(is_not_constancy_film()).distinct()
    return sorted(EmbeddingModel(*map(str, row)) for row in connection.execute(query))


def of_model(
    connection: Connection, model: EmbeddingModel, *, since: datetime | None, until: datetime | None
) -> list[FilmEmbedding]:
    """Return the newest embedding by a model of each film received in a time, by the number of the film."""
    conditions = [
        column == value for column, value in zip(_MODEL, (model.name, model.version, model.weights_digest), strict=True)
    ]
    if since is not None:
        conditions.append(film.c.received_at >= since)
    if until is not None:
        conditions.append(film.c.received_at < until)
    query = (
        select(film.c.id, film.c.sop_instance_uid, study.c.study_instance_uid, reading.c.read_at, embedding.c.vector)
        .select_from(_JOINED.join(study, study.c.id == film.c.study_id))
        .where(is_not_constancy_film(), *conditions)
        .order_by(film.c.id, reading.c.id)
    )
    newest: dict[int, FilmEmbedding] = {}
    for film_id, sop_instance_uid, study_instance_uid, read_at, vector in connection.execute(query):
        newest[film_id] = FilmEmbedding(
            film_id=film_id,
            sop_instance_uid=sop_instance_uid,
            study_instance_uid=study_instance_uid,
            read_at=read_at,
            vector=bytes(vector),
        )
    return list(newest.values())
