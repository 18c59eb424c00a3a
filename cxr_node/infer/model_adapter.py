"""What lies on both sides of a network: from a film to what it is given, from its outputs to a prediction. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Float32, Geometry, Radiograph
from cxr_node.domain.reading import Appearance, ModelIdentity, Prediction, Region, Structure
from cxr_node.domain.reasons import Reason
from cxr_node.infer import prepare, structures
from cxr_node.infer.card import Card
from cxr_node.infer.findings import findings
from cxr_node.infer.out_of_distribution import appearance


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAdapter:
    """Prepares films for the network of a card and says what its outputs mean; may go to another process."""

    card: Card
    identity: ModelIdentity

    @property
    def outlines_anatomy(self) -> bool:
        """Whether there will be anything to measure."""
        return bool(self.card.structures)

    def preprocess(self, film: Radiograph) -> Float32:
        """Return a film as the network sees it, shape (rows, columns) of the card."""
        return prepare.prepare(film, self.card.input.frame)

    def decode_outputs(self, geometry: Geometry, given: Mapping[str, Float32]) -> Prediction:
        """Return what the network's outputs for one film say.

        Parameters
        ----------
        given
            Each output by its name, without the dimension of the batch.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if they are no numbers.
        """
        area = prepare.analysed_area(geometry, self.card.input.frame)
        maps_area = structures.window_of(area, self.card.network.maps_window)
        try:
            return Prediction(
                model=self.identity,
                findings=findings(self.card, given["finding_logits"], given.get("finding_maps"), geometry, maps_area),
                analysed_area=area,
                structures=self._structures(given, area),
                appearance=self._appearance(given),
            )
        except ValueError as error:
            raise GiveUp(Reason.MODEL_ERROR, f"{self.card.name} {self.card.version}: {error}") from error

    def _structures(self, given: Mapping[str, Float32], area: Region) -> tuple[Structure, ...]:
        logits = given.get("structure_logits")
        return () if logits is None else structures.structures(self.card.anatomy, logits, area)

    def _appearance(self, given: Mapping[str, Float32]) -> Appearance | None:
        table = self.card.appearance
        if table is None:
            return None
        return appearance(given["view_logits"], float(given["distance"][0]), limit=table.distance_limit)
