"""Pool processes and roles import pydicom without codecs and requests, which a child that decodes has by itself."""

import subprocess
import sys

import pytest

from cxr_node.process_pool.pydicom_import import UNUSED, import_pydicom

_POOLS = (
    "from cxr_node.wiring import compose, dicomweb, pictures, preprocessing\n"
    "from cxr_node.reading import postprocess, preprocess, repeat\n"
    "from cxr_node.export import study"
)
_ROLES = "from cxr_node.service.role_starter import _import_shared_modules as load; load()"


def run(program: str) -> list[str]:
    """Return the words that a program prints after pydicom is imported as in pool processes."""
    imports = "import sys\nfrom cxr_node.process_pool.pydicom_import import UNUSED, import_pydicom\nimport_pydicom()\n"
    ended = subprocess.run(
        [sys.executable, "-c", imports + program], capture_output=True, text=True, check=True, timeout=120
    )
    return ended.stdout.split()


@pytest.mark.parametrize("modules", [_POOLS, _ROLES], ids=["pools", "roles"])
def test_what_processes_import_loads_no_codec(modules: str) -> None:
    assert run(f"{modules}\nprint(*(name for name in UNUSED if name in sys.modules))") == []


def test_preprocessing_processes_load_no_database() -> None:
    """Neither their context nor a film that is sent to them."""
    program = """
import pickle
from cxr_node.domain.film import Film
from cxr_node.reading import postprocess, preprocess, repeat
from cxr_node.wiring import preprocessing
preprocess_again = pickle.loads(pickle.dumps((preprocess.preprocess, postprocess.postprocess, Film)))
print(*({"asyncio", "sqlalchemy", "sqlite3", "cxr_node.db.database"} & sys.modules.keys()))
"""
    assert run(program) == []


def test_codecs_can_be_imported_later_and_pictures_are_decompressed() -> None:
    """JPEG Baseline is what results have; delivery decompresses it by Pillow."""
    program = """
import gdcm
from pydicom.pixels.decoders import JPEGBaseline8BitDecoder as decoder
print(gdcm.__name__, *decoder.available_plugins)
"""
    assert run(program) == ["gdcm", "pillow"]


def test_pydicom_that_is_imported_already_is_left_as_it_is() -> None:
    before = {name: sys.modules.get(name) for name in ("pydicom", *UNUSED)}
    import_pydicom()

    assert {name: sys.modules.get(name) for name in ("pydicom", *UNUSED)} == before
