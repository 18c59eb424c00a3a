"""Settings of the gate and the reader."""

from typing import Annotated, Literal

from pydantic import Field

from cxr_node.domain.section import NameOrPath, Seconds, Section
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.suitability import Rules

_RULES, _LIMITS = Rules(), Limits()


class GateSection(Section):
    """Which films are read. The others are kept and answered with the reason why they are not."""

    minimum_age_years: float = Field(
        _RULES.minimum_age_years, ge=0, le=120, description="Younger patients' films are not read; 0 reads every age."
    )
    accept_unknown_view: bool = Field(
        _RULES.accept_unknown_view, description="Read chest films that state no view anywhere."
    )
    view_from_model: bool = Field(
        _RULES.view_from_model, description="Take the model's view, where it is certain, for films that state none."
    )
    accept_for_processing: bool = Field(_RULES.accept_for_processing, description="Read DX images For Processing.")
    maximum_pixels: int = Field(
        _LIMITS.maximum_samples,
        ge=1,
        description="Largest Rows x Columns that is decoded; larger ones are refused unread.",
    )
    decode_timeout_s: Seconds = Field(
        _LIMITS.decode_timeout_s, description="How long decoding one film may take, in seconds."
    )


class ReadSection(Section):
    """The model that reads."""

    bundle: NameOrPath = Field(
        "chest", description="Folder of a bundle (with a slash), or the name of one built in or installed."
    )
    shadow: NameOrPath = Field(
        "",
        description="A second bundle, named likewise, that reads the same films after the first; nothing of it leaves. "
        "Empty for none.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description='"auto" (GPU if there is one), "cpu", "cuda", "cuda:1".',
    )
    devices: tuple[Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$")], ...] = Field(
        (), description='A reader on each of these, such as ["cuda:0", "cuda:1"]; empty for one, on `device`.'
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0 for one per core.")
    engine: Literal["auto", "eager", "channels_last", "openvino"] = Field(
        "auto",
        description='What runs the network on the CPU: "eager" (PyTorch, the reference), "channels_last", "openvino" '
        '(the extra of that name), or "auto": the fastest here whose scores are within 0.001 of the reference\'s.',
    )
    processes: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = Field(
        "auto",
        description='Processes that decode and measure films while others are in the network; "auto" for one per core, '
        "8 at most; 0 for none: one film after the other.",
    )
    lease_s: Seconds = Field(
        300.0, description="How long a reader may hold a film before another takes it, in seconds."
    )
    batch_size: int = Field(
        8, ge=1, le=256, description="The most films that go to a GPU together; on the CPU they go one at a time."
    )
    batch_wait_s: float = Field(
        0.0, ge=0, description="How long a film may wait for others to go to the GPU with, in seconds; 0 not at all."
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="What a GPU computes in; the CPU always in float32."
    )
    timeout_s: Seconds = Field(
        120.0,
        description="Reading that takes longer, or as long as lease_s, ends the reader, which starts anew, in seconds.",
    )
    crash_limit: int = Field(2, ge=1, description="A film during which the reader died this often is set aside.")
