"""Inference engine of the settings; "auto" measures the engines once and caches the fastest in the data folder."""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node.domain.film_geometry import Geometry
from cxr_node.domain.radiograph import Radiograph
from cxr_node.settings.root import Settings

if TYPE_CHECKING:
    import torch

    from cxr_node.infer.bundle import Bundle
    from cxr_node.infer.engines import EngineChoice

_log = logging.getLogger(__name__)

_CACHE_SIZE = 100
_SEED = 1
_ROWS, _COLUMNS = 512, 416


def engine(settings: Settings, bundle: "Bundle") -> "EngineChoice":
    """Return the engine that the settings name for a bundle, or the fastest on this machine.

    A cached choice holds for one network, library versions, processor and number of threads.

    Raises
    ------
    BundleError
        If the named engine cannot be used.
    """
    from cxr_node.infer import engines

    section = settings.read
    if section.engine == engines.EAGER:
        return engines.choose(bundle, _empty_batch(), wanted=engines.EAGER)
    cache_file = settings.node.data_folder / "engines.json"
    key = _key(bundle, section.threads)
    cache = _load(cache_file)
    name = cache.get(key) if section.engine == engines.AUTO else None
    if name is not None and name in engines.ENGINES:
        try:
            return engines.EngineChoice(engine=name, program=engines.ENGINES[name](bundle, section.threads))
        except Exception as error:  # noqa: BLE001  # whatever the cause, measure again
            _log.warning("engine %s, chosen at an earlier start, failed to start and is chosen again: %s", name, error)
    chosen = engines.choose(bundle, _phantom_batch(bundle), wanted=section.engine, threads=section.threads)
    if section.engine == engines.AUTO:
        _save(cache_file, {**cache, key: chosen.engine})
    return chosen


def _empty_batch() -> "torch.Tensor":
    import torch

    return torch.empty(0)


def _phantom_batch(bundle: "Bundle") -> "torch.Tensor":
    """Return a synthetic film as network input, shape (1, channels, rows, columns)."""
    import torch

    from cxr_node.infer import prepare
    from cxr_node.phantom.film import film

    p_values = film(seed=_SEED, rows=_ROWS, columns=_COLUMNS).p_values
    radiograph = Radiograph(p_values=p_values, geometry=Geometry(rows=_ROWS, columns=_COLUMNS), grayscale="phantom")
    prepared = torch.from_numpy(prepare.prepare(radiograph, bundle.card.input.frame))
    return prepared.reshape(1, *bundle.card.input.shape)


def _key(bundle: "Bundle", threads: int) -> str:
    """Return the cache key: a digest of all that a choice depends on."""
    versions = [f"{name} {_version(name)}" for name in ("torch", "openvino")]
    parts = [bundle.card.network.sha256, *versions, _processor(), str(len(os.sched_getaffinity(0))), str(threads)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """Return the processor's name and flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "; ".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags"))))


def _load(file: Path) -> dict[str, str]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(name) for key, name in document.items()} if isinstance(document, dict) else {}


def _save(file: Path, cache: dict[str, str]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(dict(list(cache.items())[-_CACHE_SIZE:]), indent=2) + "\n", encoding="utf-8")
        temporary.replace(file)
    except OSError as error:
        _log.warning("the engine choice is not cached: %s", error.strerror)
