"""Inference engine of the settings; "auto" chooses the fastest, measured once beside the reader, for this machine.

Until then films are read by the reference. The measurement is a process of the lowest priority: it imports what no
reader needs, and converts networks for seconds. The folder `engines` of the data folder has the choices and converted
networks.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_node import child_process
from cxr_node.domain.files import replace_whole
from cxr_node.settings.root import Settings

if TYPE_CHECKING:
    from cxr_node.infer.bundle import Bundle
    from cxr_node.infer.engines import EngineChoice
    from cxr_node.infer.reader import Reader

_log = logging.getLogger(__name__)

FOLDER = "engines"
_CHOICES = "choices.json"
_MOST_CHOICES = 8
"""Newest choices that are kept: each may have a converted network of tens of megabytes."""


def engine(settings: Settings, bundle: "Bundle") -> "EngineChoice":
    """Return the engine of the settings for a bundle; with "auto" the reference, until engines were measured.

    A named engine that was not measured yet is measured now.

    Raises
    ------
    BundleError
        If the named engine cannot be used.
    """
    from cxr_node.infer import engines
    from cxr_node.infer.bundle import BundleError

    wanted = settings.read.engine
    choice = None if wanted == engines.EAGER else chosen(settings, bundle)
    if choice is None and wanted not in (engines.AUTO, engines.EAGER):
        measure(settings, bundle, is_beside=False)
        choice = chosen(settings, bundle)
        if choice is None:
            raise BundleError(f"engine {wanted!r} cannot be opened; set read.engine to auto or eager")
    if choice is not None:
        return choice
    return engines.EngineChoice(engine=engines.EAGER, program=engines.eager(bundle, settings.read.threads))


def chosen(settings: Settings, bundle: "Bundle") -> "EngineChoice | None":
    """Return the engine that an earlier measurement chose, opened; None if there was none, or it does not open."""
    from cxr_node.infer import engines

    threads, known = settings.read.threads, choices(_folder(settings))
    key = _key(settings, bundle)
    if settings.read.engine != engines.AUTO and known.get(_of_auto(key)) == settings.read.engine:
        key = _of_auto(key)
    name = known.get(key)
    if name is None or name not in engines.ENGINES:
        return None
    try:
        program = (
            engines.openvino_from(_folder(settings) / key, threads)
            if name == engines.OPENVINO
            else engines.ENGINES[name](bundle, threads)
        )
    except Exception as error:  # noqa: BLE001  # whatever the cause, measure again
        _log.warning("engine %s, chosen earlier, does not start and is measured again: %s", name, error)
        return None
    return engines.EngineChoice(engine=name, program=program)


def measure(settings: Settings, bundle: "Bundle", *, is_beside: bool) -> None:
    """Measure the engines in a process of its own, which records the choice; `is_beside` at the lowest priority.

    Raises
    ------
    BundleError
        If the named engine cannot be used, or the process ends otherwise.
    """
    from cxr_node.infer.bundle import BundleError

    request = {
        "bundle": str(bundle.path.parent.absolute()),
        "engine": settings.read.engine,
        "threads": settings.read.threads,
        "folder": str(_folder(settings).absolute()),
        "key": _key(settings, bundle),
        "is_beside": is_beside,
    }
    child = child_process.start(
        "cxr_node.wiring.engine_trial",
        # PyTorch would start a compiler process for each core, for nothing.
        environment={**child_process.environment_without_secrets(), "TORCHINDUCTOR_COMPILE_THREADS": "1"},
        stdin=child_process.PIPE,
        stdout=child_process.PIPE,
    )
    try:
        # The child ends when its standard input closes, as at the end of this process.
        reply = b""
        if child.stdin is not None and child.stdout is not None:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            reply = child.stdout.readline()  # a process of the child's may hold the pipe open
    except OSError:
        reply = b""
    finally:
        status = child_process.end(child)
    try:
        document = json.loads(reply)
    except ValueError:
        raise BundleError(f"the measurement of engines ended with status {status}") from None
    for trial in document["trials"]:
        _log.info("engine %s: %s", trial["engine"], trial["result"])
    if document["fault"]:
        raise BundleError(document["fault"])


def measure_beside(settings: Settings, reader: "Reader", on_chosen: Callable[["Reader"], None]) -> None:
    """Measure engines while `reader` reads; call `on_chosen` with its successor if another is equal and faster.

    Only for "auto" on a CPU, and only if nothing was chosen yet. The successor is warmed up.
    """
    from cxr_node.infer.engines import AUTO, EAGER
    from cxr_node.infer.reader import CPU, Reader, choose_device

    bundle = reader.bundle
    if settings.read.engine != AUTO or choose_device(settings.read.device) != CPU:
        return
    if _key(settings, bundle) in choices(_folder(settings)):
        return

    def run() -> None:
        try:
            measure(settings, bundle, is_beside=True)
            choice = chosen(settings, bundle)
            if choice is None or choice.engine == EAGER:
                return
            successor = Reader(bundle, device="cpu", engine=choice)
            successor.warm_up()
        except Exception as error:  # noqa: BLE001  # whatever the cause, the reader reads on
            _log.warning("engines are measured again at the next start: %s", error)
            return
        _log.warning("reads %s by engine %s from now on", bundle.card.name, choice.engine)
        on_chosen(successor)

    threading.Thread(target=run, name="engines", daemon=True).start()


def choices(folder: Path) -> dict[str, str]:
    """Return the chosen engines by key, the oldest first."""
    try:
        document = json.loads((folder / _CHOICES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(name) for key, name in document.items()} if isinstance(document, dict) else {}


def record(folder: Path, key: str, name: str) -> None:
    """Record the chosen engine of a key; the oldest choices are removed. The caller holds the lock of the folder."""
    newest: Mapping[str, str] = {**choices(folder), key: name}
    newest = dict(list(newest.items())[-_MOST_CHOICES:])
    replace_whole(folder / _CHOICES, json.dumps(newest, indent=2).encode() + b"\n")
    for path in folder.iterdir():
        if path.is_dir() and path.name not in newest:
            shutil.rmtree(path, ignore_errors=True)


def _folder(settings: Settings) -> Path:
    return settings.node.data_folder / FOLDER


def _key(settings: Settings, bundle: "Bundle") -> str:
    """Return the key of a choice: a digest of all that it depends on; of a named engine with that name."""
    versions = [f"{name} {_version(name)}" for name in ("torch", "openvino")]
    parts: list[Any] = [bundle.card.network.sha256, *versions, _processor(), len(os.sched_getaffinity(0))]
    parts.append(settings.read.threads)
    return f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}-{settings.read.engine}"


def _of_auto(key: str) -> str:
    """Return the key of "auto" that differs in nothing else."""
    return f"{key.partition('-')[0]}-auto"


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
