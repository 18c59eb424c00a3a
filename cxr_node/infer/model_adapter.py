"""Model adapter: prepares films as network input and decodes network outputs into predictions. Without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film_geometry import Geometry, View
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import (
    Appearance,
    Embedding,
    Finding,
    Measurement,
    ModelIdentity,
    NamedPoint,
    Prediction,
    Presence,
    Region,
    Structure,
)
from cxr_node.domain.reasons import Reason
from cxr_node.infer import points, prepare, structures
from cxr_node.infer.card import Card
from cxr_node.infer.findings import cardiomegaly, findings, presence, sigmoid
from cxr_node.infer.out_of_distribution import appearance


def identity_of(card: Card) -> ModelIdentity:
    """Return the identity of a card's model, as reports and readings state it."""
    return ModelIdentity(
        name=card.name,
        version=card.version,
        manufacturer=card.manufacturer,
        weights_digest=card.network.digest,
        preparation=card.input.identity,
        operating_points=card.operating_points.name,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAdapter:
    """Preprocessing and decoding for the network of a card; can be sent to another process."""

    card: Card
    identity: ModelIdentity

    @property
    def finding_keys(self) -> tuple[str, ...]:
        """Keys of the findings, in the order of the card."""
        return tuple(label.key for label in self.card.labels)

    @property
    def outlines_anatomy(self) -> bool:
        """Whether predictions contain structures, which measurements need."""
        return bool(self.card.structures)

    def preprocess(self, film: Radiograph) -> Float32:
        """Return a film as network input, shape (rows, columns) of the card, or (channels, rows, columns)."""
        return prepare.prepare(film, self.card.input.frame)

    def decode_appearance(self, outputs: Mapping[str, Float32]) -> Appearance | None:
        """Return the appearance of one film by the network's outputs; None if the card has no such outputs.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if an output is not finite.
        """
        table = self.card.appearance
        if table is None:
            return None
        try:
            return appearance(outputs["view_logits"], float(outputs["distance"][0]), limit=table.distance_limit)
        except ValueError as error:
            raise self._model_error(error) from error

    def scores(self, outputs: Mapping[str, Float32]) -> dict[str, tuple[float, Presence]]:
        """Return score and presence of each finding, by its key, without maps and outlines; none without labels."""
        if not self.card.labels:
            return {}
        scores = [sigmoid(float(logit)) for logit in outputs["finding_logits"]]
        pairs = zip(self.card.labels, scores, strict=True)
        return {label.key: (score, presence(score, self.card.point_of(label))) for label, score in pairs}

    def decode_outputs(self, geometry: Geometry, outputs: Mapping[str, Float32]) -> Prediction:
        """Return the prediction from the network's outputs for one film.

        Parameters
        ----------
        outputs
            Outputs by name, without the batch dimension.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if an output is not finite, or a confidence is not from 0 to 1.
        """
        area = prepare.analysed_area(geometry, self.card.input.frame)
        maps_area = structures.window_of(area, self.card.network.maps_window)
        try:
            return Prediction(
                model=self.identity,
                findings=self._findings(outputs, geometry, maps_area),
                analysed_area=area,
                structures=self._structures(outputs, area),
                appearance=self.decode_appearance(outputs),
                points=self._points(outputs, area),
                embeddings=self._embeddings(outputs),
            )
        except ValueError as error:
            raise self._model_error(error) from error

    def _findings(self, outputs: Mapping[str, Float32], geometry: Geometry, area: Region) -> tuple[Finding, ...]:
        if not self.card.labels:
            return ()
        return findings(self.card, outputs["finding_logits"], outputs.get("finding_maps"), geometry, area)

    def findings_by_measurement(self, measurements: Sequence[Measurement], view: View) -> tuple[Finding, ...]:
        """Return the findings that the card derives from measurements, for a film of this view."""
        table = self.card.cardiomegaly_by_ratio
        return () if table is None else cardiomegaly(table, measurements, view)

    def _structures(self, outputs: Mapping[str, Float32], area: Region) -> tuple[Structure, ...]:
        logits = outputs.get("structure_logits")
        return () if logits is None else structures.structures(self.card.anatomy, logits, area)

    def _points(self, outputs: Mapping[str, Float32], area: Region) -> tuple[NamedPoint, ...]:
        if not self.card.points:
            return ()
        frame = self.card.input.frame
        return points.named_points(
            self.card.points, outputs["points"], rows=frame.rows, columns=frame.columns, area=area
        )

    def _embeddings(self, outputs: Mapping[str, Float32]) -> tuple[Embedding, ...]:
        return () if self.card.embedding is None else (points.embedding(outputs["embedding"]),)

    def _model_error(self, error: ValueError) -> GiveUp:
        return GiveUp(Reason.MODEL_ERROR, f"{self.card.name} {self.card.version}: {error}")
