"""Simulated inference server of the Open Inference Protocol (KServe v2), which fails in a chosen way."""

import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from cxr_node.simulators.http_handler import RETRY_AFTER_S, HttpHandler
from cxr_node.simulators.listener import Listener

Tensor = npt.NDArray[np.float32]
Compute = Callable[[Tensor], Mapping[str, Tensor]]
"""From the input tensor, shape (1, 1, rows, columns), to outputs by name."""

_HEADER_LENGTH = "Inference-Header-Content-Length"
_DRIP_S = 0.02
_DATATYPES = {"FP32": "<f4", "FP16": "<f2"}


class Mode(StrEnum):
    """What the server does with an inference request."""

    RIGHT = "right"
    SLOW = "slow beyond the time-out"
    DRIP = "a byte at a time"
    WRONG_NAME = "wrong model name"
    WRONG_VERSION = "wrong model version"
    NO_VERSION = "no model version"
    OTHER_ID = "response to another request"
    NOT_JSON = "not JSON"
    WRONG_SHAPE = "wrong shape"
    WRONG_DATATYPE = "wrong datatype"
    NO_OUTPUT = "no output"
    NOT_FINITE = "NaN"
    TOO_LARGE = "too large"
    TRUNCATED = "truncated"
    CLOSES = "closes in mid-answer"
    STATUS_500 = "status 500"
    STATUS_503 = "status 503 with Retry-After"
    NOT_READY = "not ready"


_STATUSES = {Mode.STATUS_500: 500, Mode.STATUS_503: 503, Mode.NOT_READY: 404}


class SimulatedInferenceServer(Listener):
    """Listens on loopback from `start` to `stop`; `mode` may change at any time, and a slow response ends with it.

    Parameters
    ----------
    port
        0 for any free port. After `stop`, `start` listens at the same.
    film_status
        HTTP status for an input tensor: a server may refuse one film.
    tls
        Context of a server with TLS.
    token
        Bearer token that each request must have; empty: none.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        model: str = "chest",
        version: str = "3",
        port: int = 0,
        film_status: Callable[[Tensor], int] = lambda _film: 200,
        tls: ssl.SSLContext | None = None,
        token: str = "",
    ) -> None:
        super().__init__(_Handler, port=port, tls=tls)
        self.compute, self.film_status = compute, film_status
        self.model, self.version = model, version
        self.token = token
        self.requests: Counter[Mode] = Counter()
        self._mode = Mode.RIGHT

    @property
    def mode(self) -> Mode:
        """What the server does with a request."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        changed, self._released = self._released, threading.Event()
        self._mode = mode
        changed.set()

    @property
    def url(self) -> str:
        """Address for clients."""
        return self.web_address


class _Handler(HttpHandler):
    owner: SimulatedInferenceServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer readiness."""
        owner = self.owner
        expected = f"/v2/models/{owner.model}/versions/{owner.version}/ready"
        status = 200 if self.path == expected else 404
        self._answer(_STATUSES.get(owner.mode, status) if self._is_authorised() else 401, b"")

    def do_POST(self) -> None:
        """Answer inference as the mode says."""
        owner, mode = self.owner, self.owner.mode
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        owner.requests[mode] += 1
        if not self._is_authorised():
            self._answer(401, b"{}")
            return
        if mode in _STATUSES:
            self._answer(_STATUSES[mode], b'{"error": "by the simulated server"}')
            return
        if mode is Mode.SLOW:
            owner.wait()
            return
        message, film = self._request(body)
        status = owner.film_status(film)
        if status != 200:
            self._answer(status, b'{"error": "this film"}')
            return
        self._answer_with(_altered(self._response(message, film), mode), message, mode)

    def _is_authorised(self) -> bool:
        return not self.owner.token or self.headers.get("Authorization") == f"Bearer {self.owner.token}"

    def _request(self, body: bytes) -> tuple[dict[str, Any], Tensor]:
        length = int(self.headers.get(_HEADER_LENGTH, len(body)))
        message: dict[str, Any] = json.loads(body[:length])
        tensor = message["inputs"][0]
        datatype = _DATATYPES[tensor["datatype"]]
        if "data" in tensor:
            values = np.array(tensor["data"], datatype)
        else:
            values = np.frombuffer(body[length : length + tensor["parameters"]["binary_data_size"]], datatype)
        return message, values.reshape(tensor["shape"]).astype(np.float32)

    def _response(self, message: dict[str, Any], film: Tensor) -> dict[str, Any]:
        outputs = self.owner.compute(film)
        return {
            "model_name": self.owner.model,
            "model_version": self.owner.version,
            "id": message["id"],
            "outputs": [
                {"name": wanted["name"], "datatype": "FP32", "values": np.asarray(outputs[wanted["name"]], "<f4")}
                for wanted in message["outputs"]
            ],
        }

    def _answer_with(self, response: dict[str, Any], request: dict[str, Any], mode: Mode) -> None:
        is_binary = any(wanted.get("parameters", {}).get("binary_data") for wanted in request["outputs"])
        tensors = b""
        for output in response["outputs"]:
            values = output.pop("values")
            output.setdefault("shape", list(values.shape))
            if is_binary:
                tensors += values.tobytes()
                output["parameters"] = {"binary_data_size": values.nbytes}
            else:
                output["data"] = values.ravel().tolist()
        header = b"<html>" if mode is Mode.NOT_JSON else json.dumps(response).encode()
        self._answer(200, header + tensors, mode, header_length=len(header) if is_binary else 0)

    def _answer(self, status: int, body: bytes, mode: Mode = Mode.RIGHT, *, header_length: int = 0) -> None:
        stated = len(body)
        if mode is Mode.TRUNCATED:
            body = body[: len(body) // 2]
        self.send_response(status)
        self.send_header("Content-Length", str(stated))
        if header_length:
            self.send_header(_HEADER_LENGTH, str(header_length))
        if status == _STATUSES[Mode.STATUS_503]:
            self.send_header("Retry-After", str(RETRY_AFTER_S))
        if mode is Mode.CLOSES:
            self.flush_headers()
            self.close_connection = True
            return
        self.end_headers()
        if mode is Mode.DRIP:
            for number in range(len(body)):
                self.wfile.write(body[number : number + 1])
                if self.owner.wait(_DRIP_S):
                    break
        else:
            self.wfile.write(body)
        self.close_connection = True


def _altered(response: dict[str, Any], mode: Mode) -> dict[str, Any]:
    """Return a right response with the fault of a mode."""
    replaced: dict[Mode, dict[str, Any]] = {
        Mode.WRONG_NAME: {"model_name": "another"},
        Mode.WRONG_VERSION: {"model_version": "4"},
        Mode.NO_VERSION: {"model_version": None},
        Mode.OTHER_ID: {"id": "another"},
        Mode.NO_OUTPUT: {"outputs": response["outputs"][1:]},
        Mode.TOO_LARGE: {"parameters": {"padding": "x" * (1 << 18)}},
    }
    first = response["outputs"][0]
    values = first["values"]
    match mode:
        case Mode.WRONG_SHAPE:
            first["values"] = np.concatenate([values, values], axis=1)
        case Mode.WRONG_DATATYPE:
            first["datatype"] = "INT32"
        case Mode.NOT_FINITE:
            first["values"] = np.full_like(values, np.nan)
    return {**response, **replaced.get(mode, {})}
