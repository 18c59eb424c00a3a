"""Pictures of results in `docs/pictures/results`, and the record of what they were made of.

`make pictures` makes them anew and writes the record: the digest of each picture, of the results of fixed studies in
each kind, of the built-in bundle, and the version of OHIF. A test compares the record with the code, so that no picture
shows what the code no longer makes (decision 0187).

    python -m tests.support.kept_pictures      writes the record
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from cxr_node.domain.radiograph import View
from cxr_node.domain.reading import Laterality, Presence
from cxr_node.domain.reasons import Reason
from cxr_node.report.kinds.registry import RESULT_KINDS
from cxr_node.report.source import ReferredResult, ReportedFilm
from tests.support import films, ohif
from tests.unit.report.studies import everything, finding, not_read, read, request, square

FOLDER = films.ROOT / "docs" / "pictures" / "results"
RECORD = FOLDER / "made-of.json"
ASKED = "CXR_NODE_KEEP_PICTURES"
WIDTH = 1280


def keep(name: str, make: Callable[[Path], object]) -> None:
    """Keep a picture as JPEG of at most 1280 columns, if pictures are asked for; `make` writes it as PNG.

    The folder has what results.md shows; a name that is not there is not kept.
    """
    if not os.environ.get(ASKED) or f"pictures/results/{name}.jpg" not in _page():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        taken = Path(folder) / f"{name}.png"
        make(taken)
        picture = Image.open(taken).convert("RGB")
        if picture.width > WIDTH:
            height = round(picture.height * WIDTH / picture.width)
            picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        picture.save(FOLDER / f"{name}.jpg", quality=85, subsampling=0, optimize=True)


def record() -> dict[str, object]:
    """Return what the pictures of the folder are made of, as the code is now."""
    return {
        "pictures": {path.name: _digest(path.read_bytes()) for path in sorted(FOLDER.glob("*.jpg"))},
        **sources(),
    }


def sources() -> dict[str, object]:
    """Return the digests of all that the pictures show."""
    card = files("cxr_node.bundles").joinpath("chest", "card.toml")
    return {"results": _results(), "bundle": _digest(card.read_bytes()), "ohif": ohif.VERSION}


def _results() -> dict[str, str]:
    """Return a digest for each kind: of the UIDs of its results of fixed studies, which follow from their content."""
    uids: dict[str, list[str]] = {kind.name: [] for kind in RESULT_KINDS}
    for study in _studies():
        referred: list[ReferredResult] = []
        for kind in sorted(RESULT_KINDS, key=lambda kind: kind.order):
            made = kind.compose_all(replace(request(study), results=tuple(referred)))
            referred += kind.referred(made)
            uids[kind.name] += [result.identity.sop_instance_uid for result in made]
    return {name: _digest("\n".join(made).encode()) for name, made in uids.items()}


def _studies() -> list[list[ReportedFilm]]:
    """Return studies with every kind of statement: findings with and without a region, none, a ratio, a refusal."""
    full = everything(films.dx(rows=64, columns=48))
    absent = finding("Lung Opacity", 0.04, Presence.ABSENT)
    opacity = finding("Lung Opacity", 0.9, Presence.PRESENT, laterality=Laterality.LEFT, regions=(square(8, 8, 12),))
    portable = read(films.cr(), absent, measurements=full.reading.measurements, view=View.AP)
    return [
        [full],
        [read(films.dx(rows=64, columns=48), absent)],
        [read(films.dx(rows=64, columns=48), opacity), portable],
        [not_read(films.dx(), Reason.VIEW, "LATERAL")],
    ]


def _page() -> str:
    return (films.ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def main() -> None:
    """Write the record."""
    RECORD.write_text(json.dumps(record(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
