"""Messages of the Open Inference Protocol: encoding, and refusal of every response that is not as expected."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cxr_node.domain.radiograph import Float32
from cxr_node.infer import card as cards
from cxr_node.infer.output_shapes import expected_shapes
from cxr_node.infer.remote import protocol
from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from tests.support import remote

FILM = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
EXPECTED = {name: expected_shapes(remote.card(), 1)[name] for name in ("finding_logits", "finding_maps")}
LOGITS, MAPS = np.array([[0.1]], "<f4"), np.arange(64, dtype="<f4").reshape(1, 1, 8, 8)

Json = dict[str, Any]


def message() -> Json:
    """Return a right response in JSON."""
    return {
        "model_name": "chest",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [1, 1], "data": LOGITS.ravel().tolist()},
            {"name": "maps", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": MAPS.ravel().tolist()},
        ],
    }


def decode(body: bytes, header_length: str | None = None) -> dict[str, Float32]:
    """Decode a response to the request "7"."""
    return protocol.decode_response(body, header_length, model=remote.model(), request_id="7", expected=EXPECTED)


def binary_body() -> tuple[bytes, int]:
    """Return a right response with binary data, and the size of its JSON."""
    response = message()
    for output, tensor in zip(response["outputs"], (LOGITS, MAPS), strict=True):
        del output["data"]
        output["parameters"] = {"binary_data_size": tensor.nbytes}
    header = json.dumps(response).encode()
    return header + LOGITS.tobytes() + MAPS.tobytes(), len(header)


def test_a_json_request_holds_the_film_exactly() -> None:
    headers, body = protocol.encode_request(
        remote.model(), FILM, ["finding_logits", "finding_maps"], request_id="7", binary=False
    )
    request = json.loads(body)

    assert headers == {"Content-Type": "application/json"}
    tensor = request["inputs"][0]
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("image", [1, 1, 32, 32], "FP32")
    assert (np.array(tensor["data"], np.float32).reshape(32, 32) == FILM).all()
    assert request["outputs"] == [{"name": "logits"}, {"name": "maps"}]


def test_a_binary_request_holds_the_film_after_its_json() -> None:
    headers, body = protocol.encode_request(remote.model(), FILM, ["finding_logits"], request_id="7", binary=True)
    length = int(headers[protocol.HEADER_LENGTH])
    request = json.loads(body[:length])

    assert request["inputs"][0]["parameters"] == {"binary_data_size": FILM.nbytes}
    assert body[length:] == FILM.astype("<f4").tobytes()
    assert request["outputs"] == [{"name": "logits", "parameters": {"binary_data": True}}]


def test_a_film_of_three_channels_and_16_bit_floats_is_encoded() -> None:
    model = remote.model().model_copy(update={"datatype": "FP16"})
    film = np.stack([FILM] * 3)

    _, body = protocol.encode_request(model, film, ["finding_logits"], request_id="7", binary=True)

    assert body.endswith(film.astype("<f2").tobytes())
    assert b'"shape": [1, 3, 32, 32]' in body


@pytest.mark.parametrize("is_binary", [False, True])
def test_outputs_are_decoded_without_the_batch_dimension(is_binary: bool) -> None:
    body, length = binary_body()
    outputs = decode(body, str(length)) if is_binary else decode(json.dumps(message()).encode())

    assert outputs["finding_logits"].shape == (1,)
    assert outputs["finding_logits"][0] == np.float32(0.1)
    assert (outputs["finding_maps"] == MAPS[0]).all()


def test_outputs_in_another_order_nested_or_of_64_bits_are_decoded() -> None:
    response = message()
    response["outputs"].reverse()
    response["outputs"][0] |= {"data": MAPS.tolist(), "datatype": "FP64"}
    response["outputs"].insert(1, {"name": "more", "datatype": "FP32", "shape": [1], "data": [1]})

    assert (decode(json.dumps(response).encode())["finding_maps"] == MAPS[0]).all()


def output(number: int, **changes: object) -> Callable[[Json], None]:
    """Return a change of one output."""
    return lambda response: response["outputs"][number].update(changes)


def top(**changes: object) -> Callable[[Json], None]:
    """Return a change of the response."""
    return lambda response: response.update(changes)


FAULTS: dict[str, tuple[Callable[[Json], None], RequestOutcome]] = {
    "another model": (top(model_name="chest2"), RequestOutcome.WRONG_MODEL),
    "another version": (top(model_version="2"), RequestOutcome.WRONG_MODEL),
    "no version": (top(model_version=None), RequestOutcome.WRONG_MODEL),
    "version as a number": (top(model_version=3), RequestOutcome.WRONG_MODEL),
    "another request": (top(id="8"), RequestOutcome.INVALID),
    "no outputs": (top(outputs=None), RequestOutcome.INVALID),
    "outputs that are no tensors": (top(outputs=[1]), RequestOutcome.INVALID),
    "one output missing": (lambda response: response["outputs"].pop(), RequestOutcome.INVALID),
    "an output twice": (lambda response: response["outputs"].append(response["outputs"][0]), RequestOutcome.INVALID),
    "another name": (output(0, name="scores"), RequestOutcome.INVALID),
    "another shape": (output(0, shape=[1, 2], data=[0.1, 0.2]), RequestOutcome.INVALID),
    "a batch of two": (output(0, shape=[2, 1], data=[0.1, 0.2]), RequestOutcome.INVALID),
    "fewer values than the shape": (output(1, data=[1.0]), RequestOutcome.INVALID),
    "a negative side": (output(0, shape=[-1, -1]), RequestOutcome.INVALID),
    "a side as a truth value": (output(0, shape=[True, True]), RequestOutcome.INVALID),
    "no shape": (output(0, shape=None), RequestOutcome.INVALID),
    "integers by datatype": (output(0, datatype="INT32"), RequestOutcome.INVALID),
    "words": (output(0, data=["0.1"]), RequestOutcome.INVALID),
    "truth values": (output(0, data=[True]), RequestOutcome.INVALID),
    "nothing": (output(0, data=None), RequestOutcome.INVALID),
    "ragged rows": (output(1, data=[[1.0], [1.0, 2.0]]), RequestOutcome.INVALID),
    "a size of binary data without any": (output(0, parameters={"binary_data_size": 4}), RequestOutcome.INVALID),
    "a negative size": (output(0, parameters={"binary_data_size": -4}), RequestOutcome.INVALID),
    "not a number": (output(0, data=[float("nan")]), RequestOutcome.NOT_FINITE),
    "infinity": (output(0, data=[float("inf")]), RequestOutcome.NOT_FINITE),
    "larger than 32-bit floats": (output(0, data=[1e300]), RequestOutcome.NOT_FINITE),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_response_that_is_not_as_expected_is_refused(name: str) -> None:
    change, outcome = FAULTS[name]
    response = message()
    change(response)

    with pytest.raises(RemoteError) as refused:
        decode(json.dumps(response).encode())

    assert refused.value.outcome is outcome


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"model_name": "chest"'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteError) as refused:
        decode(body)

    assert refused.value.outcome is RequestOutcome.INVALID


@pytest.mark.parametrize("length", ["-1", "1e3", "99999999999", "x", ""])
def test_a_wrong_header_length_is_refused(length: str) -> None:
    with pytest.raises(RemoteError, match="Inference-Header-Content-Length"):
        decode(binary_body()[0], length)


@pytest.mark.parametrize("change", [b"", b"more"])
def test_binary_data_of_another_size_are_refused(change: bytes) -> None:
    body, length = binary_body()

    with pytest.raises(RemoteError):
        decode(body + change if change else body[:-1], str(length))


@pytest.mark.parametrize(
    ("pattern", "replacement", "expected"),
    [
        (r"\[network.remote\]\nmodel = .*\nversion = .*\ninput = .*\noutputs = .*\n", "", "expected file"),
        ("finding_maps = ", "view_logits = ", "view_logits not among outputs"),
        ('version = "3"', 'version = "3/../4"', "network.remote.version"),
        ('model = "chest"', 'model = "../chest"', "network.remote.model"),
    ],
)
def test_a_card_with_a_wrong_remote_table_is_invalid(pattern: str, replacement: str, expected: str) -> None:
    import re

    text, count = re.subn(pattern, replacement, remote.card_text())
    assert count

    with pytest.raises(cards.CardError, match=expected):
        cards.parse(text.encode())
