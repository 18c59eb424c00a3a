"""Comparison of two versions of this project: the same films, read and composed, and the largest differences.

    python -m benchmarks.same_results --keep FOLDER [--phantoms 200] [PICTURES ...]      # in the one checkout
    python -m benchmarks.same_results --against FOLDER [--phantoms 200] [PICTURES ...]   # in the other

Films are phantoms, every tenth of them at the size of a detector (15 MB), and the DICOM files and PNG pictures in
PICTURES; of a folder with many pictures --every takes each n-th. Each film passes preprocessing, network and
postprocessing of the built-in bundle as in the read role, without a database; --composed says of how many films the
results are composed as well. The network runs only for inputs that FOLDER has no outputs for: where preparation gives
the same bits, both versions decode the same outputs.

The last lines are the largest differences of scores, of points of outlines and lines in pixels of the film, of values,
confidences and heat maps, and the numbers of films that differ in anything else, and of results that differ in a byte.
"""

import argparse
import io
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from PIL import Image
from pydicom.uid import generate_uid

from cxr_node.archive.reduced_films import ReducedFilms
from cxr_node.archive.store import Archive
from cxr_node.domain.film import Film
from cxr_node.domain.identifiers import AeTitle, Uid, digest_of
from cxr_node.domain.instance import Sender
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import Reading
from cxr_node.domain.reduced_film import ReducedFilm
from cxr_node.infer import bundle, bundle_registry
from cxr_node.infer.reader import Reader
from cxr_node.phantom import dicom, film
from cxr_node.pixels.film import radiograph
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.parsing import parse, split_file
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.process_pool.executor import InProcess
from cxr_node.reading.context import ReadContext, ReadRules
from cxr_node.reading.postprocess import postprocess
from cxr_node.reading.preprocess import preprocess
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.pictures.reduced import reduce_film
from cxr_node.report.source import ComposeRequest, ReportedFilm
from tests.support import films
from tests.unit.report.studies import NODE, NOW, identity_of

_ENLARGED, _ONE_IN = 6, 10
_SEED = 4_000_000
_CASES_FILE = "cases.pickle"
_DIGITS = 15
LIMITS = Limits()


@dataclass(slots=True)
class OneFilm:
    """Archive of one film; the rest of its protocol is not used."""

    content: bytes

    def get(self, _key: str) -> bytes:
        """Return the film."""
        return self.content


def contents(pictures: Sequence[Path], *, phantoms: int, every: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and DICOM file of each film."""
    for number in range(phantoms):
        synthetic = film.film(seed=_SEED + number, rows=512, columns=416)
        if number % _ONE_IN == 0:
            large = np.repeat(np.repeat(synthetic.p_values, _ENLARGED, 0), _ENLARGED, 1)
            synthetic = replace(synthetic, p_values=large)
        yield f"phantom {number}", written(dicom.dataset(synthetic, now=dicom.EXAMPLE_TIME))
    for folder in pictures:
        for number, path in enumerate(sorted(path for path in folder.iterdir() if path.is_file())):
            if path.suffix == ".png" and number % every == 0:
                yield f"{folder.name}/{path.name}", written(of_picture(path))
            elif path.suffix != ".png":
                with_meta = pydicom.dcmread(path, force=True)
                if "TransferSyntaxUID" in with_meta.file_meta and "PixelData" in with_meta:
                    yield f"{folder.name}/{path.name}", path.read_bytes()


def written(dataset: pydicom.Dataset) -> bytes:
    """Return the bytes of the file."""
    target = io.BytesIO()
    pydicom.dcmwrite(target, dataset, enforce_file_format=True)
    return target.getvalue()


def of_picture(path: Path) -> pydicom.Dataset:
    """Return a picture as a film of 8 bits with the header of a detector's, UIDs by its name."""
    pixels = np.asarray(Image.open(path).convert("L"))
    uid = {
        keyword: generate_uid(entropy_srcs=[path.name, keyword]) for keyword in ("SOPInstanceUID", "StudyInstanceUID")
    }
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "WindowCenter": None, "WindowWidth": None}
    size = {"Rows": pixels.shape[0], "Columns": pixels.shape[1], "PixelData": pixels.tobytes()}
    dataset = films.dx(changes={**bits, **size, **uid, "ViewPosition": "PA", "ViewCodeSequence": None})
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset["PixelData"].VR = "OW"
    return dataset


@dataclass(slots=True)
class Case:
    """A film's reading as plain values, and the digests of its results by kind."""

    reading: dict[str, Any]
    results: dict[str, list[str]] = field(default_factory=dict)


class Version:
    """The checkout that this runs in."""

    def __init__(self, outputs: Path, sandbox: Sandbox) -> None:
        torch.set_num_threads(1)
        self._reader = Reader(bundle.load(bundle_registry.find(bundle_registry.built_in()[0])), device="cpu")
        self._outputs, self._sandbox = outputs, sandbox
        self._reduced_films = ReducedFilms(outputs / "reduced")
        outputs.mkdir(parents=True, exist_ok=True)

    def case(self, content: bytes, *, is_composed: bool) -> Case:
        """Read a film, and compose its results."""
        dataset = parse(content)
        reading = self._reading(content, dataset)
        results: dict[str, list[str]] = {}
        if is_composed:
            reported = ReportedFilm(header=dataset, reading=reading)
            request = ComposeRequest(
                films=[reported],
                load_film=lambda _: self._reduced(content, dataset),
                observer=NODE,
                now=NOW,
            )
            for kind in RESULT_KINDS:
                results[kind.name] = [result.digest for result in kind.compose(request)]
        return Case(asdict(reading), results)

    def _reduced(self, content: bytes, dataset: pydicom.Dataset) -> ReducedFilm:
        """Return a film as reading has left it for composing, or decoded again."""
        left = self._reduced_films.get(digest_of(split_file(content)[1]))
        return left or reduce_film(radiograph(dataset, limits=LIMITS, sandbox=self._sandbox))

    def _reading(self, content: bytes, dataset: pydicom.Dataset) -> Reading:
        archive: Archive = OneFilm(content)  # type: ignore[assignment]  # get() alone is called
        rules = ReadRules(gate=Rules(minimum_age_years=0), limits=LIMITS)
        context = ReadContext(archive=archive, rules=rules, sandbox=self._sandbox, reduced_films=self._reduced_films)
        adapter = self._reader.adapter
        preprocessed = preprocess(context, _row(content, dataset), adapter=adapter)
        if isinstance(preprocessed, Reading):
            return preprocessed
        passed, prepared = preprocessed
        pairs = [(passed, self._forward(prepared))]
        (reading,) = InProcess(context).map(lambda film, pair: postprocess(film, pair, adapter=adapter), pairs)
        return reading

    def _forward(self, prepared: Float32) -> Mapping[str, Float32]:
        path = self._outputs / f"{digest_of(prepared.tobytes())}.npz"
        if not path.exists():
            outputs: dict[str, Any] = dict(self._reader.forward([prepared])[0])
            np.savez(path, **outputs)
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _row(content: bytes, dataset: pydicom.Dataset) -> Film:
    return Film(
        film_id=1,
        study_id=1,
        identity=identity_of(dataset),
        transfer_syntax_uid=Uid(dataset.file_meta.TransferSyntaxUID),
        digest=digest_of(split_file(content)[1]),
        archive_key="films/film",
        sender=Sender(calling_ae_title=AeTitle("X"), called_ae_title=AeTitle("Y"), address="127.0.0.1"),
        received_at=NOW,
        is_original=True,
    )


class Differences:
    """Largest difference of each kind of number, and counts of films that differ otherwise."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self.other: Counter[str] = Counter()
        self.films = self.analysed = self.results = 0

    def add(self, before: Case, now: Case) -> None:
        """Compare two readings of a film."""
        self.films += 1
        self.analysed += now.reading["prediction"] is not None
        self._compare("", before.reading, now.reading)
        for kind, digests in now.results.items():
            self.results += len(digests)
            self.other[f"results: {kind}"] += digests != before.results.get(kind)

    def _compare(self, name: str, before: Any, now: Any) -> None:
        """Compare values of any kind; `name` is that of the innermost field."""
        if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
            for key in before:
                self._compare(str(key), before[key], now[key])
        elif isinstance(before, list | tuple) and isinstance(now, list | tuple) and len(before) == len(now):
            for one, other in zip(before, now, strict=True):
                self._compare(name, one, other)
        elif isinstance(before, float) and isinstance(now, float):
            self.largest[name] = max(self.largest.get(name, 0.0), abs(before - now))
        elif name == "levels" and before is not None and now is not None and len(before) == len(now):
            levels = [np.frombuffer(one, np.uint8).astype(int) for one in (before, now)]
            self.largest[name] = max(self.largest.get(name, 0.0), float(np.abs(levels[0] - levels[1]).max()))
        elif before != now:
            self.other[name or "whole reading"] += 1

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        yield f"{self.films} films, {self.analysed} of them analysed, {self.results} results composed"
        for name, difference in sorted(self.largest.items()):
            yield f"{name:24} largest difference {difference:.{_DIGITS}g}"
        for name, count in sorted(self.other.items()):
            yield f"{name:24} differs in {count}"


def main() -> None:
    """Keep the readings of this version, or compare with those that were kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--phantoms", type=int, default=200)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--composed", type=int, default=10, metavar="N", help="results of every n-th film")
    folders = parser.add_mutually_exclusive_group(required=True)
    folders.add_argument("--keep", type=Path)
    folders.add_argument("--against", type=Path)
    options = parser.parse_args()
    folder: Path = options.keep or options.against
    earlier: dict[str, Case] = {}
    if options.against:
        earlier = pickle.loads((folder / _CASES_FILE).read_bytes())  # noqa: S301  # own file
    differences = Differences()
    cases: dict[str, Case] = {}
    with Sandbox(LIMITS) as sandbox:
        version = Version(folder / "outputs", sandbox)
        films_of_run = contents(options.pictures, phantoms=options.phantoms, every=options.every)
        for number, (name, content) in enumerate(films_of_run):
            case = version.case(content, is_composed=number % options.composed == 0)
            if options.keep:
                cases[name] = case
            else:
                differences.add(earlier[name], case)
    if options.keep:
        (folder / _CASES_FILE).write_bytes(pickle.dumps(cases))
        return
    for line in differences.lines():
        print(line)


if __name__ == "__main__":
    main()
