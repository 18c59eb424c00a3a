"""Process that measures engines on a phantom and records the choice: `python -m cxr_node.wiring.engine_trial`.

It reads one line of JSON from standard input, and ends when that closes. It writes one line of JSON: the fault of a
named engine, empty if there is none, and the result of each engine.
"""

import fcntl
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_node.child_process import ignore_stop_signals, silence
from cxr_node.wiring import engine

if TYPE_CHECKING:
    import torch

    from cxr_node.infer.bundle import Bundle

_LOWEST_PRIORITY = 19
_SEED = 1
_ROWS, _COLUMNS = 512, 416


def main() -> None:
    """Measure, and reply."""
    ignore_stop_signals()
    output = silence(sys.stdout)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if request["is_beside"]:
        os.nice(_LOWEST_PRIORITY)
    output.write(json.dumps(_reply(request)).encode() + b"\n")
    output.flush()
    # The interpreter would wait at its end for the thread that reads standard input.
    os._exit(0)


def phantom_batch(bundle: "Bundle") -> "torch.Tensor":
    """Return a synthetic film as network input, shape (1, channels, rows, columns)."""
    import torch

    from cxr_node.domain.film_geometry import Geometry
    from cxr_node.domain.radiograph import Radiograph
    from cxr_node.infer import prepare
    from cxr_node.phantom.film import film

    p_values = film(seed=_SEED, rows=_ROWS, columns=_COLUMNS).p_values
    radiograph = Radiograph(p_values=p_values, geometry=Geometry(rows=_ROWS, columns=_COLUMNS), grayscale="phantom")
    prepared = torch.from_numpy(prepare.prepare(radiograph, bundle.card.input.frame))
    return prepared.reshape(1, *bundle.card.input.shape)


def _reply(request: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    from cxr_node.infer import bundle, engines
    from cxr_node.infer.engines import OPENVINO, openvino_in

    folder, key, threads = Path(request["folder"]), request["key"], request["threads"]
    if threads:
        torch.set_num_threads(threads)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        if key in engine.choices(folder) and request["is_beside"]:  # another reader of this host was faster
            return {"fault": "", "trials": []}
        shutil.rmtree(folder / key, ignore_errors=True)
        opened = bundle.load(Path(request["bundle"]))
        factories = {**engines.ENGINES, OPENVINO: openvino_in(folder / key)}
        try:
            choice = engines.choose(
                opened, phantom_batch(opened), wanted=request["engine"], threads=threads, engines=factories
            )
        except bundle.BundleError as error:
            return {"fault": str(error), "trials": []}
        if choice.engine != OPENVINO:
            shutil.rmtree(folder / key, ignore_errors=True)
        engine.record(folder, key, choice.engine)
    return {"fault": "", "trials": [{"engine": trial.engine, "result": str(trial)} for trial in choice.trials]}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder: one measurement of a host at a time."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end_with_parent() -> None:
    # Not by sys.stdin: a process that a library forks would wait for ever for its lock.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
