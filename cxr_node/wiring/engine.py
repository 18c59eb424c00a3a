"""Which engine runs a network on this machine: chosen by measuring once, and remembered for the next start."""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.domain.radiograph import Geometry, Radiograph
from cxr_node.settings.root import Settings

if TYPE_CHECKING:
    import torch

    from cxr_node.infer.bundle import Bundle
    from cxr_node.infer.engines import EngineChoice

_log = logging.getLogger(__name__)

_MOST = 100
"""Choices that are remembered."""
_SEED = 1
_ROWS, _COLUMNS = 512, 416


def engine(settings: Settings, bundle: "Bundle") -> "EngineChoice":
    """Return the engine that the settings name for a bundle, or the fastest on this machine.

    What "auto" has chosen holds as long as the network, the libraries, the processor and the threads are the same.

    Raises
    ------
    BundleError
        If the engine that is named cannot be used.
    """
    from cxr_node.infer import engines

    section = settings.read
    if section.engine == engines.EAGER:
        return engines.choose(bundle, _nothing(), wanted=engines.EAGER)
    file = settings.node.data_folder / "engines.json"
    key = _key(bundle, section.threads)
    known = _remembered(file)
    name = known.get(key) if section.engine == engines.AUTO else None
    if name is not None and name in engines.ENGINES:
        try:
            return engines.EngineChoice(engine=name, program=engines.ENGINES[name](bundle, section.threads))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is measured anew
            _log.warning("engine %s, chosen at an earlier start, cannot be made: %s", name, error)
    chosen = engines.choose(bundle, _prepared(bundle), wanted=section.engine, threads=section.threads)
    if section.engine == engines.AUTO:
        _remember(file, {**known, key: chosen.engine})
    return chosen


def _nothing() -> "torch.Tensor":
    import torch

    return torch.empty(0)


def _prepared(bundle: "Bundle") -> "torch.Tensor":
    """Return the phantom of a seed as the network sees it, shape (1, 1, rows, columns)."""
    import torch

    from cxr_node.infer import prepare
    from cxr_node.phantom.film import film

    made = film(seed=_SEED, rows=_ROWS, columns=_COLUMNS)
    shown = Radiograph(p_values=made.p_values, geometry=Geometry(rows=_ROWS, columns=_COLUMNS), grayscale="phantom")
    return torch.from_numpy(prepare.prepare(shown, bundle.card.input.frame)[None, None])


def _key(bundle: "Bundle", threads: int) -> str:
    """Return what a choice depends on, in one string."""
    versions = [f"{name} {_version(name)}" for name in ("torch", "openvino")]
    parts = [bundle.card.network.sha256, *versions, _processor(), str(len(os.sched_getaffinity(0))), str(threads)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """Return the processor's name and what it can do, as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "; ".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags"))))


def _remembered(file: Path) -> dict[str, str]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(name) for key, name in known.items()} if isinstance(known, dict) else {}


def _remember(file: Path, known: dict[str, str]) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(dict(list(known.items())[-_MOST:]), indent=2) + "\n", encoding="utf-8")
        aside.replace(file)
    except OSError as error:
        _log.warning("the choice of an engine is not remembered: %s", error.strerror)
