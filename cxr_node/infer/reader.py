"""Runs the network of one bundle on films, on CPU or GPU."""

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
    """Number format of a GPU's computation."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Reader:
    """Runs one bundle.

    On the CPU one film at a time, in float32: batches gain little there, and a film's scores are the same to the last
    bit whatever other films are read. On a GPU up to `batch_size` films; if its memory does not suffice the batch is
    halved, and a film that does not fit alone runs on the CPU.

    Parameters
    ----------
    device
        "cpu", "cuda", "cuda:1", or "auto": the first GPU if there is one.
    batch_size
        Largest batch on the GPU.
    precision
        Number format on a GPU; the model's identity names one other than float32.
    program
        The network on its device; by default from the bundle.
    engine
        Engine on the CPU; the model's identity names one other than the reference.

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
            set_deterministic()
            if precision is Precision.BFLOAT16:
                self._program = in_bfloat16(self._program, self._device)
                self.identity = replace(self.identity, preparation=f"{self.identity.preparation}, in {precision}")

    def warm_up(self) -> None:
        """Run one black film, so that the first real film does not pay for lazy initialization."""
        self._outputs(torch.zeros(1, *self._bundle.card.input.shape))

    @property
    def bundle(self) -> Bundle:
        """The bundle that is run."""
        return self._bundle

    @property
    def adapter(self) -> ModelAdapter:
        """Preprocessing and decoding for this network."""
        return ModelAdapter(card=self._bundle.card, identity=self.identity)

    def read(self, films: Sequence[Radiograph]) -> tuple[Prediction, ...]:
        """Return the prediction for each film, in order.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if the network fails on any of them, alone or together.
        """
        adapter = self.adapter
        outputs = self.forward([adapter.preprocess(film) for film in films])
        return tuple(
            adapter.decode_outputs(film.geometry, of_film) for film, of_film in zip(films, outputs, strict=True)
        )

    def forward(self, prepared: Sequence[Float32]) -> list[dict[str, Float32]]:
        """Run the network on prepared films, at most `batch_size` at a time; return the outputs of each, in order.

        Raises
        ------
        GiveUp
            With MODEL_ERROR if the network fails on any of them, alone or together.
        """
        per_film: list[dict[str, Float32]] = []
        for first in range(0, len(prepared), self.batch_size):
            stacked = np.stack(prepared[first : first + self.batch_size])
            batch = torch.from_numpy(stacked.reshape(len(stacked), *self._bundle.card.input.shape))
            try:
                outputs = self._outputs(batch)
            except (RuntimeError, ValueError) as error:
                card = self._bundle.card
                raise GiveUp(Reason.MODEL_ERROR, f"{card.name} {card.version}: {error}") from error
            arrays = {name: tensor.numpy().astype(np.float32, copy=False) for name, tensor in outputs.items()}
            per_film += [{name: array[number] for name, array in arrays.items()} for number in range(len(batch))]
        return per_film

    def _outputs(self, batch: torch.Tensor) -> Outputs:
        """Run the network; halve a batch that does not fit the GPU's memory."""
        try:
            return self._run(self._program, batch, self._device)
        except torch.OutOfMemoryError:
            if len(batch) > 1:
                _log.warning("no memory on %s for %d films: half as many", self._device, len(batch))
                halves = [self._outputs(half) for half in batch.tensor_split(2)]
                return {name: torch.cat([half[name] for half in halves]) for name in halves[0]}
        _log.warning("no memory on %s for one film: read on the CPU", self._device)
        if self._on_cpu is None:
            self._on_cpu = self._bundle.program(CPU)
        return self._run(self._on_cpu, batch, CPU)

    @staticmethod
    def _run(program: Program, batch: torch.Tensor, device: torch.device) -> Outputs:
        with torch.inference_mode():
            return {name: tensor.float().cpu() for name, tensor in program(batch.to(device)).items()}


def in_bfloat16(program: Program, device: torch.device) -> Program:
    """Return a program that computes convolutions and matrix products in bfloat16, by torch's autocast."""

    def run(batch: torch.Tensor) -> Outputs:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return program(batch)

    return run


def set_deterministic() -> None:
    """Disable TF32 on a GPU and select deterministic kernels, by the shape of the batch alone."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def choose_device(wanted: str) -> torch.device:
    """Return the device of a setting.

    Raises
    ------
    BundleError
        If it is no device, or this machine does not have it.
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
