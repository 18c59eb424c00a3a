"""What the pixel stage drags in."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("module", ["film", "suitability", "display", "sandboxed"])
def test_the_stage_imports_no_network_library(module: str) -> None:
    program = f"import sys, cxr_node.pixels.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_the_decoding_process_starts_without_pydicom_and_numpy() -> None:
    """It starts anew after each crash, so that it loads a decoder and nothing else."""
    program = "import sys, cxr_node.pixels.sandboxed; print(sorted({'numpy', 'pydicom', 'PIL'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "[]\n"
