"""Films of the demo: real ones of NIH ChestX-ray14, with what they show, and a lateral phantom."""

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "films"
"""DICOM files, `films.toml`, and their terms of use in NOTICE.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFilm:
    """A film of the demo, what a radiologist read on it, and which findings the built-in model must call present."""

    name: str
    source: str
    """Name of its file in NIH ChestX-ray14."""
    description: str
    age: int
    """In years."""
    sex: str
    imager_pixel_spacing_mm: float
    reading: str
    labels: str
    findings: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Its DICOM file."""
        return FOLDER / f"{self.name}.dcm"


def demo_films() -> tuple[DemoFilm, ...]:
    """Return the real films, in the order in which the demo sends them."""
    with (FOLDER / "films.toml").open("rb") as file:
        rows = tomllib.load(file)["films"]
    return tuple(DemoFilm(**{**row, "findings": tuple(row["findings"])}) for row in rows)


def write_demo_films(folder: Path) -> dict[Path, str]:
    """Copy the real films and write a lateral phantom to `folder`; return what each file shows."""
    from cxr_node.phantom import dicom

    folder.mkdir(parents=True, exist_ok=True)
    shown = {}
    for film in demo_films():
        target = folder / film.path.name
        shutil.copyfile(film.path, target)
        shown[target] = film.description
    shown[dicom.write_lateral_example(folder)] = "Lateral view (phantom)"
    return shown
