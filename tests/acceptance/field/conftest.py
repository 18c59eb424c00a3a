"""DCMTK and Orthanc as other receivers of what the field sends, where both are installed."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import peers


@pytest.fixture(scope="session")
def other_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """DCMTK's storescp and Orthanc: the port of each."""
    folder = tmp_path_factory.mktemp("peers")
    options = {"DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True, "SaveJobs": False}
    with ExitStack() as stack:
        dcmtk = stack.enter_context(peers.storescp(folder / "storescp"))
        orthanc = stack.enter_context(peers.orthanc(folder / "orthanc", settings=options))
        yield {"DCMTK": dcmtk.port, "Orthanc": orthanc.port}
