"""Reads films as a node with default settings does: the same gate, preparation, network and measurements."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_node import pipeline
from cxr_node.api.array_film import film_of_array
from cxr_node.api.chest_film import ChestFilm
from cxr_node.archive.store import film_key
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.film import Film
from cxr_node.domain.film_geometry import View
from cxr_node.domain.hanging import hang, hang_reading
from cxr_node.domain.instance import Instance
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.ops.trial.admission import SENDER, Candidate
from cxr_node.ops.trial.rows import NotAdmitted
from cxr_node.pixels import film as pixels
from cxr_node.pixels.parsing import parse
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext
from cxr_node.settings.root import Settings
from cxr_node.wiring import preprocessing

FilmSource = str | os.PathLike[str] | bytes | npt.NDArray[Any]
"""A DICOM file by its path or its bytes, or the pixels of a film."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _OneFilm:
    """An archive in memory that has one film."""

    content: bytes

    def get(self, _key: str) -> bytes:
        return self.content

    def has_place_of(self, _key: str) -> bool:
        return True


class ChestReader:
    """A bundle that reads films, opened once. Not for several threads at a time.

    Parameters
    ----------
    bundle_name
        Name of a built-in bundle, or the folder of one.
    device
        "cpu", "cuda", "cuda:1", or "auto": the first GPU if there is one.

    Raises
    ------
    BundleError
        If the bundle or the device cannot be used.
    """

    def __init__(self, bundle_name: str | os.PathLike[str] = "chest", *, device: str = "cpu") -> None:
        settings = Settings()
        self._network = Reader(bundle.load(bundle_registry.find(os.fspath(bundle_name))), device=device)
        self._rules = preprocessing.read_rules(settings)
        self._maximum_bytes = settings.receive.maximum_object_bytes

    def read(
        self,
        source: FilmSource,
        *,
        view: View | str = View.UNKNOWN,
        pixel_spacing_mm: float | None = None,
        age_years: int | None = None,
    ) -> ChestFilm:
        """Read a film.

        A film that the gate refuses, such as a lateral view, has no findings, and `not_analysed` says why.

        Parameters
        ----------
        source
            DICOM file, its bytes, or an array as `film_of_array` describes it.
        view, pixel_spacing_mm, age_years
            Of an array: the projection ("PA", "AP", "LATERAL"; by default the model judges it), the distance of pixels
            at the detector, without which lengths have no mm, and the patient's age. A file states its own.

        Raises
        ------
        ValueError
            If a node would not accept it as a film, or its pixels cannot be decoded.
        OSError
            If the file cannot be read.
        """
        if isinstance(source, np.ndarray):
            content = film_of_array(source, view=View(view), pixel_spacing_mm=pixel_spacing_mm, age_years=age_years)
        else:
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
        try:
            instance = Candidate(content=content).admit(maximum_object_bytes=self._maximum_bytes)
            dataset = parse(instance.content, limits=self._rules.limits)
            radiograph = pixels.radiograph(dataset, limits=self._rules.limits)
        except (NotAdmitted, GiveUp) as error:
            raise ValueError(f"this film cannot be read: {error}") from error
        context = ReadContext(archive=_OneFilm(instance.content), rules=self._rules)
        (reading,) = pipeline.read([_film(instance)], executor=InProcess(context), network=self._network)
        return ChestFilm(radiograph=hang(radiograph), reading=hang_reading(reading))


def read(
    source: FilmSource,
    *,
    view: View | str = View.UNKNOWN,
    pixel_spacing_mm: float | None = None,
    age_years: int | None = None,
) -> ChestFilm:
    """Read a film with the built-in bundle on the CPU; see `ChestReader.read`. The bundle is opened once."""
    return _built_in().read(source, view=view, pixel_spacing_mm=pixel_spacing_mm, age_years=age_years)


@cache
def _built_in() -> ChestReader:
    return ChestReader()


def _film(instance: Instance) -> Film:
    """Return the row that a database would have of a film."""
    return Film(
        film_id=1,
        study_id=1,
        identity=instance.identity,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        digest=instance.digest,
        archive_key=film_key(instance.digest),
        sender=SENDER,
        received_at=_NEVER,
        is_original=True,
    )
