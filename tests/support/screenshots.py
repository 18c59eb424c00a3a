"""Screenshots of results in `docs/pictures/results`, written by the tests that look at results in viewers."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.support import films

FOLDER = films.ROOT / "docs" / "pictures" / "results"
ASKED = "CXR_NODE_KEEP_PICTURES"
WIDTH = 1280


def keep(name: str, make: Callable[[Path], object]) -> None:
    """Write a picture, which `make` writes as PNG, to the folder as JPEG of at most 1280 columns, if that is asked for.

    The folder has what results.md shows; a name that is not there is not written.
    """
    if not os.environ.get(ASKED) or f"pictures/results/{name}.jpg" not in _page():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        original = Path(folder) / f"{name}.png"
        make(original)
        picture = Image.open(original).convert("RGB")
        if picture.width > WIDTH:
            height = round(picture.height * WIDTH / picture.width)
            picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        picture.save(FOLDER / f"{name}.jpg", quality=85, subsampling=0, optimize=True)


def _page() -> str:
    return (films.ROOT / "docs" / "results.md").read_text(encoding="utf-8")
