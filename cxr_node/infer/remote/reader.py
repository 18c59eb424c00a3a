"""Remote reader: sends prepared films to an inference server, one a request, and checks each response against the card.

Safe to use from several threads: a server batches concurrent requests itself.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Float32
from cxr_node.domain.reading import ModelIdentity
from cxr_node.domain.reasons import Reason
from cxr_node.infer.card import Card
from cxr_node.infer.model_adapter import ModelAdapter, identity_of
from cxr_node.infer.output_shapes import expected_shapes
from cxr_node.infer.remote import protocol
from cxr_node.infer.remote.client import RemoteServer
from cxr_node.infer.remote.outcome import RemoteError, RequestOutcome
from cxr_node.infer.remote_card import RemoteNetwork

OnRequest = Callable[[RequestOutcome, float], None]
"""Called with the outcome of each inference request, and how long it took, in seconds."""


def uncounted(_outcome: RequestOutcome, _seconds: float) -> None:
    """Count nothing."""


class RemoteReader:
    """Network on an inference server.

    Parameters
    ----------
    card
        Prepares the films and decodes the outputs.
    model
        Model, version and tensors at the server.
    binary
        Send tensors by the binary data extension.
    """

    batch_size = 1

    def __init__(
        self,
        card: Card,
        model: RemoteNetwork,
        server: RemoteServer,
        *,
        binary: bool = True,
        on_request: OnRequest = uncounted,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.remote_model = model
        self.server = server
        self._card = card
        self._binary = binary
        self._on_request = on_request
        self._new_id = new_id
        self._clock = clock
        shapes = expected_shapes(card, 1)
        self._expected = {str(name): shapes[name] for name in card.network.outputs}
        identity = identity_of(card)
        self.identity: ModelIdentity = replace(identity, preparation=f"{identity.preparation}, by {model}")

    @property
    def adapter(self) -> ModelAdapter:
        """Preprocessing and decoding for this network."""
        return ModelAdapter(card=self._card, identity=self.identity)

    def check_ready(self) -> None:
        """Ask the server whether the version is ready; raise RemoteError if not."""
        try:
            self.server.get(protocol.ready_path(self.remote_model))
        except RemoteError as error:
            if not error.status:
                raise
            message = f"{self.remote_model} at {self.server.address} is not ready: HTTP status {error.status}"
            raise RemoteError(error.outcome, message, status=error.status, retry_after_s=error.retry_after_s) from error

    def check(self) -> None:
        """Check readiness, and read one black film; raise RemoteError if either fails."""
        self.check_ready()
        size = self._card.input
        self._infer(np.full(size.shape, size.value_range[0], np.float32))

    def forward(self, batch: Sequence[Float32]) -> Sequence[dict[str, Float32]]:
        """Return the outputs for each film, in order.

        Raises
        ------
        RemoteError
            If the server is at fault: no film of the batch is read.
        GiveUp
            With MODEL_ERROR if the server reads a black film and twice not one of these.
        """
        return [self._read(film) for film in batch]

    def _read(self, film: Float32) -> dict[str, Float32]:
        try:
            return self._infer(film)
        except RemoteError as error:
            if not error.may_be_the_film:
                raise
        self.check()
        try:
            return self._infer(film)
        except RemoteError as error:
            if not error.may_be_the_film:
                raise
            raise GiveUp(
                Reason.MODEL_ERROR, f"{self._card.name} {self._card.version}, {self.remote_model}: {error}"
            ) from error

    def _infer(self, film: Float32) -> dict[str, Float32]:
        model, request_id, started = self.remote_model, self._new_id(), self._clock()
        headers, body = protocol.encode_request(
            model, film, list(self._expected), request_id=request_id, binary=self._binary
        )
        outcome = RequestOutcome.INVALID
        try:
            response = self.server.post(protocol.infer_path(model), headers, body)
            outputs = protocol.decode_response(
                response.body,
                response.headers.get(protocol.HEADER_LENGTH),
                model=model,
                request_id=request_id,
                expected=self._expected,
            )
            outcome = RequestOutcome.OK
        except RemoteError as error:
            outcome = error.outcome
            raise
        finally:
            self._on_request(outcome, self._clock() - started)
        return outputs
