"""Messages of the Open Inference Protocol (KServe v2, Triton), with the binary tensor data extension. Without I/O.

A response is used only if it states the model and the version of the request, every output with the expected shape
and type, and finite values. Anything else is a RemoteError: no part of it is used.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_node.domain.radiograph import Float32
from cxr_node.infer.output_shapes import ExpectedShape, described, fits
from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from cxr_node.infer.remote_card import RemoteNetwork

HEADER_LENGTH = "Inference-Header-Content-Length"
"""HTTP header of the binary extension: size of the JSON that precedes the tensors, in bytes."""
_JSON, _BINARY = "application/json", "application/octet-stream"
_DATATYPES: Mapping[str, str] = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_MAX_RANK = 8

Json = dict[str, Any]


def ready_path(model: RemoteNetwork) -> str:
    """Return the path that says whether a version of a model is ready."""
    return f"v2/models/{model.model}/versions/{model.version}/ready"


def infer_path(model: RemoteNetwork) -> str:
    """Return the path of inference."""
    return f"v2/models/{model.model}/versions/{model.version}/infer"


def encode_request(
    model: RemoteNetwork, film: Float32, outputs: Sequence[str], *, request_id: str, binary: bool
) -> tuple[dict[str, str], bytes]:
    """Return HTTP headers and body of an inference request for one film.

    Parameters
    ----------
    film
        Network input, shape (rows, columns) or (channels, rows, columns).
    outputs
        Outputs of the card that are requested.
    binary
        Send the tensor as binary data, and request the outputs so; else all of it is JSON.
    """
    tensor = np.ascontiguousarray(film, dtype=_DATATYPES[model.datatype])
    shape = (1,) * (4 - tensor.ndim) + tensor.shape
    film_tensor: Json = {"name": model.input, "shape": list(shape), "datatype": model.datatype}
    wanted: list[Json] = [{"name": model.tensor_of(output)} for output in outputs]
    message: Json = {"id": request_id, "inputs": [film_tensor], "outputs": wanted}
    if not binary:
        film_tensor["data"] = tensor.astype(np.float64).ravel().tolist()
        return {"Content-Type": _JSON}, json.dumps(message).encode()
    film_tensor["parameters"] = {"binary_data_size": tensor.nbytes}
    for entry in wanted:
        entry["parameters"] = {"binary_data": True}
    header = json.dumps(message).encode()
    return {"Content-Type": _BINARY, HEADER_LENGTH: str(len(header))}, header + tensor.tobytes()


def decode_response(
    body: bytes,
    header_length: str | None,
    *,
    model: RemoteNetwork,
    request_id: str,
    expected: Mapping[str, ExpectedShape],
) -> dict[str, Float32]:
    """Return the outputs of the card, without the batch dimension.

    Parameters
    ----------
    header_length
        Value of the HTTP header of the binary extension; None if the whole body is JSON.
    expected
        Shape of each requested output of the card, with the batch dimension of one film.

    Raises
    ------
    RemoteError
        If any part of the response is not as expected.
    """
    split = len(body) if header_length is None else _header_size(header_length, len(body))
    message = _parse(body[:split])
    _check_identity(message, model, request_id)
    tensors = _tensors(message, memoryview(body)[split:])
    outputs: dict[str, Float32] = {}
    for output, shape in expected.items():
        name = model.tensor_of(output)
        if name not in tensors:
            raise _invalid(f"has no output {name!r} among {', '.join(sorted(tensors)) or 'none'}")
        outputs[output] = _checked(name, tensors[name], shape)[0]
    return outputs


def _header_size(text: str, body_bytes: int) -> int:
    if not text.isdecimal() or len(text) > len(str(body_bytes)) or int(text) > body_bytes:
        raise _invalid(f"states {HEADER_LENGTH} {text[:20]!r} for a body of {body_bytes} bytes")
    return int(text)


def _parse(content: bytes) -> Json:
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):
        raise _invalid("is not JSON") from None
    if not isinstance(message, dict):
        raise _invalid("is not a JSON object")
    return message


def _check_identity(message: Json, model: RemoteNetwork, request_id: str) -> None:
    name, version = message.get("model_name"), message.get("model_version")
    if name != model.model or version != model.version:
        raise RemoteError(
            RequestOutcome.WRONG_MODEL,
            f"the response is of model {_quoted(name)} version {_quoted(version)}, expected "
            f"{model.model!r} version {model.version!r}",
        )
    if message.get("id", request_id) != request_id:
        raise _invalid("answers another request: its id differs")


def _tensors(message: Json, binary: memoryview) -> dict[str, npt.NDArray[np.generic]]:
    """Return every output of a response by name; binary data follow each other in the order of the outputs."""
    outputs = message.get("outputs")
    if not isinstance(outputs, list):
        raise _invalid("has no list of outputs")
    tensors: dict[str, npt.NDArray[np.generic]] = {}
    start = 0
    for entry in outputs:
        name, shape, size = _described_tensor(entry)
        if name in tensors:
            raise _invalid(f"has the output {name!r} twice")
        if size is None:
            tensors[name] = _from_json(name, entry, shape)
            continue
        tensors[name] = _from_binary(name, entry, shape, binary[start : start + size], size)
        start += size
    if start != len(binary):
        raise _invalid(f"has {len(binary)} bytes of binary data, its outputs take {start}")
    return tensors


def _described_tensor(entry: object) -> tuple[str, tuple[int, ...], int | None]:
    """Return name, shape and size of the binary data of an output; no size if its data are JSON."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise _invalid("has an output without a name")
    name, shape, parameters = entry["name"], entry.get("shape"), entry.get("parameters") or {}
    if not (
        isinstance(shape, list) and len(shape) <= _MAX_RANK and all(type(side) is int and side > 0 for side in shape)
    ):
        raise _invalid(f"has no valid shape of {_quoted(name)}")
    if entry.get("datatype") not in _DATATYPES:
        raise _invalid(f"has {_quoted(name)} as {_quoted(entry.get('datatype'))}, expected FP32, FP64 or FP16")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise _invalid(f"has no valid size of {_quoted(name)}")
    return name, tuple(shape), size


def _from_json(name: str, entry: Json, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    try:
        values = np.asarray(entry.get("data"))
    except ValueError:
        raise _invalid(f"has rows of different lengths in {_quoted(name)}") from None
    if values.dtype.kind not in "fi" or values.size != math.prod(shape):
        raise _invalid(f"has no numbers of shape {shape} in {_quoted(name)}")
    return values.reshape(shape)


def _from_binary(
    name: str, entry: Json, shape: tuple[int, ...], content: memoryview, size: int
) -> npt.NDArray[np.generic]:
    datatype = np.dtype(_DATATYPES[entry["datatype"]])
    if len(content) != size or size != math.prod(shape) * datatype.itemsize:
        raise _invalid(f"has {len(content)} bytes of {_quoted(name)}, not a tensor of shape {shape}")
    return np.frombuffer(content, datatype).reshape(shape)


def _checked(name: str, tensor: npt.NDArray[np.generic], expected: ExpectedShape) -> Float32:
    if not fits(tensor.shape, expected):
        raise _invalid(f"has {name!r} of shape {tensor.shape}, the card needs ({described(expected)})")
    with np.errstate(over="ignore"):
        values: Float32 = tensor.astype(np.float32)
    if not np.isfinite(values).all():
        raise RemoteError(RequestOutcome.NOT_FINITE, f"the response has values in {name!r} that are not finite")
    return values


def _invalid(fault: str) -> RemoteError:
    return RemoteError(RequestOutcome.INVALID, f"the response {fault}")


def _quoted(value: object) -> str:
    """Return a value of the server for a message: short, and printable."""
    return "none" if value is None else ascii(value)[:80]
