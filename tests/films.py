"""Films for tests: real ones where the folder is present, and their absence said in one line."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILMS = Path(os.environ.get("CXR_NODE_FILMS", ROOT.parent / "shared" / "films"))
"""The folder of real films, which is not part of the project: NIH and DICOM samples."""

needs_real_films = pytest.mark.skipif(not FILMS.is_dir(), reason=f"no real films at {FILMS} (set CXR_NODE_FILMS)")


def real(name: str) -> Path:
    """Return the path of the DICOM sample `name`, without its suffix, or skip the test where it is missing."""
    path = FILMS / "dicom" / f"{name}.dcm"
    if not path.is_file():
        pytest.skip(f"no real film {name} at {FILMS} (set CXR_NODE_FILMS)")
    return path
