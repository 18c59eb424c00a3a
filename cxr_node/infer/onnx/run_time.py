"""Comparison of a converted network with ONNX Runtime, where that is installed."""

import importlib.util
from collections.abc import Sequence

import torch

from cxr_node.infer.onnx.convert import ImportedNetwork
from cxr_node.infer.onnx.tensors import UnsafeFile

TOLERANCE = 1e-4
"""Largest difference of an output, as a share of its largest value or of 1."""
_FILMS = 2
HOW_TO_INSTALL = "pip install 'cxr-node[onnx]'"


def is_installed() -> bool:
    """Whether ONNX Runtime can be imported."""
    return importlib.util.find_spec("onnxruntime") is not None


def difference(content: bytes, network: ImportedNetwork, scores: str, shape: Sequence[int]) -> float:
    """Return the largest difference of the output with the scores from that of ONNX Runtime, on random films.

    Parameters
    ----------
    content
        The file, which was read and checked before.
    shape
        Shape of one film as the file takes it.

    Raises
    ------
    ImportError
        If ONNX Runtime is not installed.
    UnsafeFile
        If ONNX Runtime cannot run the file.
    """
    import onnxruntime

    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        for _ in range(_FILMS):
            film = torch.rand(1, *shape, generator=generator)
            (expected,) = session.run([scores], {name: film.numpy()})
            with torch.inference_mode():
                actual = network.network(film)[scores].numpy()
            scale = max(float(abs(expected).max()), 1.0)
            largest = max(largest, float(abs(actual.reshape(-1) - expected.reshape(-1)).max()) / scale)
    except ImportError:
        raise
    except Exception as error:  # ONNX Runtime has exceptions of its own
        raise UnsafeFile(f"ONNX Runtime cannot run the file: {str(error)[:300]}") from error
    return largest
