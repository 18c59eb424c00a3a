"""Films through one network."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

import numpy as np
import torch

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.radiograph import Float32, Radiograph
from cxr_node.domain.reading import ModelIdentity, Prediction
from cxr_node.domain.reasons import Reason
from cxr_node.infer.bundle import Bundle, BundleError, Program
from cxr_node.infer.engines import EAGER, EngineChoice
from cxr_node.infer.model_adapter import ModelAdapter

_log = logging.getLogger(__name__)

CPU = torch.device("cpu")
Outputs = Mapping[str, torch.Tensor]


class Precision(StrEnum):
    """What a GPU computes in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Reader:
    """Runs one bundle.

    On the CPU films go through one at a time, in float32: batches gain little there, and so a film's scores are the
    same to the last bit whatever films came with it. On a GPU up to `batch_size` films go together; when its memory
    does not suffice the batch is halved, and a film that does not fit alone is read on the CPU.

    Parameters
    ----------
    device
        "cpu", "cuda", "cuda:1", or "auto": the first GPU if there is one.
    batch_size
        The most films that go to the GPU together.
    precision
        What a GPU computes in; the model's identity says so where it is not float32.
    program
        The network on its device, if it is not to be made from the bundle.
    engine
        What runs it on the CPU; the model's identity names one that is not the reference.

    Raises
    ------
    BundleError
        If the device does not exist.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str,
        batch_size: int = 8,
        precision: Precision = Precision.FLOAT32,
        program: Program | None = None,
        engine: EngineChoice | None = None,
    ) -> None:
        self._bundle = bundle
        self._device = choose_device(device)
        self.batch_size = 1 if self._device == CPU and program is None else batch_size
        self.identity: ModelIdentity = bundle.identity
        if engine is not None and engine.engine != EAGER:
            self.identity = replace(self.identity, preparation=f"{self.identity.preparation}, by {engine.engine}")
        self._program = program or (engine.program if engine is not None else bundle.program(self._device))
        self._on_cpu: Program | None = None
        if self._device != CPU:
            repeatable()
            if precision is Precision.BFLOAT16:
                self._program = in_bfloat16(self._program, self._device)
                self.identity = replace(self.identity, preparation=f"{self.identity.preparation}, in {precision}")

    def warm_up(self) -> None:
        """Run one black film, so that the first real one does not pay for what is made on first use."""
        taken = self._bundle.card.input
        self._outputs(torch.zeros(1, 1, taken.rows, taken.columns))

    @property
    def adapter(self) -> ModelAdapter:
        """What prepares films for this network and says what its outputs mean."""
        return ModelAdapter(card=self._bundle.card, identity=self.identity)

    def read(self, films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        """Return what the network makes of each film, in order.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if the network fails on any of them, alone or together.
        """
        interpreter = self.adapter
        outputs = self.forward([interpreter.preprocess(film) for film in films])
        return tuple(
            interpreter.decode_outputs(film.geometry, given) for film, given in zip(films, outputs, strict=True)
        )

    def forward(self, prepared: Sequence[Float32]) -> list[dict[str, Float32]]:
        """Run the network on prepared films, at most `batch_size` at a time; return the outputs of each, in order.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if the network fails on any of them, alone or together.
        """
        given: list[dict[str, Float32]] = []
        for first in range(0, len(prepared), self.batch_size):
            batch = torch.from_numpy(np.stack(prepared[first : first + self.batch_size])[:, None])
            try:
                outputs = self._outputs(batch)
            except (RuntimeError, ValueError) as error:
                card = self._bundle.card
                raise GiveUp(Reason.MODEL_ERROR, f"{card.name} {card.version}: {error}") from error
            arrays = {name: tensor.numpy().astype(np.float32, copy=False) for name, tensor in outputs.items()}
            given += [{name: array[number] for name, array in arrays.items()} for number in range(len(batch))]
        return given

    def _outputs(self, batch: torch.Tensor) -> Outputs:
        """Run the network; halve what does not fit the GPU's memory."""
        try:
            return self._run(self._program, batch, self._device)
        except torch.OutOfMemoryError:
            if len(batch) > 1:
                _log.warning("no memory on %s for %d films: half as many", self._device, len(batch))
                return _joined([self._outputs(half) for half in batch.tensor_split(2)])
        _log.warning("no memory on %s for one film: read on the CPU", self._device)
        if self._on_cpu is None:
            self._on_cpu = self._bundle.program(CPU)
        return self._run(self._on_cpu, batch, CPU)

    @staticmethod
    def _run(program: Program, batch: torch.Tensor, device: torch.device) -> Outputs:
        with torch.inference_mode():
            return {name: tensor.float().cpu() for name, tensor in program(batch.to(device)).items()}


def in_bfloat16(program: Program, device: torch.device) -> Program:
    """Return a program that computes in bfloat16 where torch holds that to be safe: convolutions and products."""

    def run(batch: torch.Tensor) -> Outputs:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return program(batch)

    return run


def repeatable() -> None:
    """Let a GPU compute float32 as such, and choose its kernels by the shape of the batch alone."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def choose_device(wanted: str) -> torch.device:
    """Return the device that a setting names.

    Raises
    ------
    BundleError
        If it is no device, or this machine has none of that kind or number.
    """
    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return torch.device("cuda", 0) if present else CPU
    if wanted == "cpu":
        return CPU
    kind, _, number = wanted.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        raise BundleError(f"device {wanted!r}: expected auto, cpu, cuda or cuda:0, cuda:1 and so on")
    if int(number or "0") >= present:
        raise BundleError(f"device {wanted!r}: this machine has {present} GPU(s) that torch can use; set auto or cpu")
    return torch.device("cuda", int(number or "0"))


def _joined(parts: list[Outputs]) -> Outputs:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
