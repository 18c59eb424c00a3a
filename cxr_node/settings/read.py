"""Settings of gate and reader."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cxr_node.domain.image_kind import Action, ImageKind
from cxr_node.domain.section import NameOrPath, Seconds, Section, text_form
from cxr_node.pixels.limits import Limits
from cxr_node.pixels.rules import Rules

_RULES, _LIMITS = Rules(), Limits()
_KINDS = _RULES.kinds


class GateSection(Section):
    """Gate: which films are read. Others are archived, and the report gives the coded reason."""

    minimum_age_years: float = Field(
        _RULES.minimum_age_years, ge=0, le=120, description="Minimum patient age, in years; 0: every age."
    )
    body_parts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Words of Body Part Examined that mean a chest, instead of the built-in ones; empty: those."
    )
    accept_unknown_view: bool = Field(
        _RULES.accept_unknown_view, description="Read chest films without a view in the header."
    )
    view_from_model: bool = Field(
        _RULES.view_from_model, description="Use the model's view, where it is certain, for films without one."
    )
    no_chest_score: float = Field(
        _RULES.no_chest_score,
        ge=0,
        le=1,
        description='Score from which the model\'s "no chest film" refuses a film whose header states a frontal chest.',
    )
    accept_for_processing: bool = Field(_RULES.accept_for_processing, description="Read DX Images - For Processing.")
    quality_control: Action = Field(
        _KINDS[ImageKind.QUALITY_CONTROL],
        description='Quality Control Image or Subject is YES: "refuse", or "note" to read them.',
    )
    capture: Action = Field(
        _KINDS[ImageKind.CAPTURE],
        description='Pictures made by another product, such as heat maps: "refuse", or "note" to read them.',
    )
    tomosynthesis: Action = Field(
        _KINDS[ImageKind.TOMOSYNTHESIS], description='Tomosynthesis slices: "refuse", or "note" to read them.'
    )
    bone_suppressed: Action = Field(
        _KINDS[ImageKind.BONE_SUPPRESSED], description='Copies with bones suppressed: "refuse", or "note" to read them.'
    )
    dual_energy: Action = Field(
        _KINDS[ImageKind.DUAL_ENERGY],
        description='Dual energy images of bone or soft tissue only: "refuse", or "note" to read them.',
    )
    stitched: Action = Field(
        _KINDS[ImageKind.STITCHED],
        description='Images stitched from several exposures: "refuse", or "note" to read them.',
    )
    decubitus: Action = Field(
        _KINDS[ImageKind.DECUBITUS],
        description='Lateral decubitus views, by View Modifier Code: "refuse", or "note" to read them.',
    )
    lordotic: Action = Field(
        _KINDS[ImageKind.LORDOTIC],
        description='Lordotic views, by View Modifier Code: "refuse", or "note" to read them.',
    )
    view_conflict: Action = Field(
        _KINDS[ImageKind.VIEW_CONFLICT],
        description='Only one of View Position and View Code is frontal: "refuse", or "note" to read them.',
    )
    projection_conflict: Action = Field(
        _KINDS[ImageKind.PROJECTION_CONFLICT],
        description='One of View Position and View Code says PA, the other AP: "refuse", or "note" to read them.',
    )
    maximum_pixels: int = Field(
        _LIMITS.maximum_samples, ge=1, description="Maximum Rows x Columns to decode; larger films are not read."
    )
    decode_timeout_s: Seconds = Field(_LIMITS.decode_timeout_s, description="Timeout of decoding a film, in seconds.")
    memory_bytes: int = Field(
        4 * 2**30,
        ge=2**29,
        description="Address space of each process that prepares, composes or paints films, in bytes; a film that "
        "needs more is not analysed. Not of the reader itself, with read.processes = 0.",
    )


class CascadeSection(Section):
    """A bundle of the cascade, in the order of reading, and the films that it reads; docs/models/cascade.md."""

    bundle: NameOrPath = Field(
        "", description="Bundle, as read.bundle; empty: that of read.bundle, or the activated one."
    )
    views: tuple[Literal["PA", "AP", "UNKNOWN"], ...] = Field(
        (), description="Views, as the header states them; empty: all."
    )
    from_age_years: float | None = Field(
        None, ge=0, le=120, description="Least age of the patient, in years; a film without an age is not read."
    )
    below_age_years: float | None = Field(
        None, gt=0, le=120, description="Age of the patient, in years, from which films are not read."
    )
    finding: Annotated[
        str, text_form(r"([a-z][a-z0-9_]{0,63})?", "at most 64 lower-case letters, digits or underscores")
    ] = Field(
        "",
        description="Key of a finding of an earlier bundle that must be present; empty: no such condition.",
    )
    least_score: float | None = Field(
        None, ge=0, le=1, description="Score of `finding` from which films are read, instead of its presence."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each limit that no film can meet, or that has no finding."""
        least, limit = self.from_age_years, self.below_age_years
        if least is not None and limit is not None and least >= limit:
            yield f"{key}.from_age_years: must be less than {key}.below_age_years"
        if self.least_score is not None and not self.finding:
            yield f"{key}.least_score: needs {key}.finding"


class ReadSection(Section):
    """Bundle, device and processes of the reader."""

    kind: Literal["local", "remote"] = Field(
        "local", description='"local": the network runs on this host; "remote": on the inference server of [remote].'
    )
    bundle: NameOrPath = Field(
        "chest", description="Bundle: a name, built-in or installed, or a folder (with a slash)."
    )
    shadow: NameOrPath = Field(
        "", description="Second bundle, for shadow mode: it reads the same films, unreported. Empty: none."
    )
    cascade: tuple[CascadeSection, ...] = Field(
        (), description="Several bundles a film, in order, each under conditions; empty: read.bundle reads every film."
    )
    cascade_attempts: int = Field(
        5,
        ge=1,
        description="Attempts at a film before a bundle of the cascade that cannot answer for a passing reason is "
        "left out.",
    )
    keep_embeddings: bool = Field(
        False,
        description="Keep the vector of a bundle with the output `embedding` for each film, for "
        "`cxr-node embeddings export`; retention removes it.",
    )
    device: Annotated[str, text_form(r"auto|cpu|cuda(:\d+)?", '"auto", "cpu", "cuda" or "cuda:1"')] = Field(
        "auto",
        description='"auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".',
    )
    devices: tuple[Annotated[str, text_form(r"cpu|cuda(:\d+)?", '"cpu", "cuda" or "cuda:1"')], ...] = Field(
        (), description='One reader process on each, such as ["cuda:0", "cuda:1"]; empty: one, on `device`.'
    )
    threads: int = Field(0, ge=0, description="CPU threads of the network; 0: one per core.")
    engine: Literal["auto", "eager", "channels_last", "openvino"] = Field(
        "auto",
        description='Engine on the CPU: "eager" (PyTorch, the reference), "channels_last", "openvino" (an extra), '
        'or "auto": the fastest on this host whose scores differ by at most 0.001 from the reference.',
    )
    processes: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = Field(
        "auto",
        description='Preprocessing processes, which decode and measure films beside the network; "auto": one per core, '
        "at most 8; 0: none, films are read one at a time.",
    )
    lease_s: Seconds = Field(
        300.0, description="Lease of a film: time after which another reader may claim it, in seconds."
    )
    batch_size: int = Field(
        8, ge=1, le=256, description="Maximum films in a batch on a GPU. The CPU reads one at a time."
    )
    batch_wait_s: float = Field(0.0, ge=0, description="Time that a film waits for a batch to fill, in seconds.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision on a GPU. The CPU computes in float32."
    )
    timeout_s: Seconds = Field(
        120.0, description="Watchdog: a reader that needs longer for a batch, or lease_s, is restarted, in seconds."
    )
    crash_limit: int = Field(
        2, ge=1, description="Number of reader crashes during a film after which it is not analysed."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for a first bundle of the cascade that waits for a finding."""
        if self.cascade and self.cascade[0].finding:
            yield f"{key}.cascade.0.finding: no bundle reads before the first; move it down"
