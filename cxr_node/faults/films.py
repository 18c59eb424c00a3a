"""Films for the fault suite: variants of one small phantom, each in a study of its own."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from pydicom.dataset import FileDataset

from cxr_node.domain.identifiers import derive_uid
from cxr_node.phantom import dicom
from cxr_node.phantom.film import film as phantom_film
from cxr_node.phantom.truth_types import PhantomFilm

SIDE_PIXELS = 256
"""A little more than the suitability gate requires."""

_ACQUIRED_AT = datetime(2024, 5, 1, 10, 15, tzinfo=UTC)


class Films:
    """Films by number: the same seed and number give the same bytes."""

    def __init__(self, seed: int, *, side_pixels: int = SIDE_PIXELS) -> None:
        self._seed = seed
        self._phantom: PhantomFilm = phantom_film(seed=1, rows=side_pixels, columns=side_pixels)

    def make(self, number: int, *, study: int | None = None) -> FileDataset:
        """Return the film `number`, of a study of its own unless another is named."""
        noise = np.random.default_rng([self._seed, number]).integers(0, 1024, (8, 8), dtype=np.uint16)
        p_values = self._phantom.p_values.copy()
        p_values[:8, :8] = noise
        of_study = number if study is None else study
        film = dicom.dataset(
            replace(self._phantom, p_values=p_values),
            now=_ACQUIRED_AT,
            study_instance_uid=derive_uid("fault suite", str(self._seed), str(of_study), "study"),
        )
        film.SOPInstanceUID = derive_uid("fault suite", str(self._seed), str(number), "film")
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        return film


class PatientFilms(Films):
    """Films of which each is of a patient of its own; `by_study` has those made so far."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.by_study: dict[str, FileDataset] = {}

    def make(self, number: int, *, study: int | None = None) -> FileDataset:
        """Return the film `number`."""
        film = super().make(number, study=study)
        film.PatientID = f"PATIENT{number}"
        self.by_study[str(film.StudyInstanceUID)] = film
        return film
