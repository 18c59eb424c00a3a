"""torchvision as the reference of our import of CheXNet: run in a process of its own, on files in one folder.

`python -m tests.support.chexnet_reference PACKAGES FOLDER` reads films.npz (8 bits) and writes the weights of a
DenseNet-121 of torchvision with random values as published files have them: old.pth.tar, a checkpoint with old names
below the modules of training, and new.safetensors, names of today. It writes scores.npy: what torchvision's
transformations and its network give.
"""

import contextlib
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from tests.support.xrv_reference import imported, randomised

MEAN, DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def main(packages: Path, folder: Path) -> None:
    """Write the weight files and the scores."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    imported(packages)
    torchvision = importlib.import_module("torchvision")
    transforms = torchvision.transforms
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )
    stored = np.load(folder / "films.npz").values()
    films = torch.stack([prepare(Image.fromarray(film).convert("RGB")) for film in stored])
    network = torchvision.models.densenet121(weights=None)
    network.classifier = nn.Linear(network.classifier.in_features, 14)
    randomised(network, films, torch.full((14,), 0.5))
    state = network.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "new.safetensors")
    old = {f"module.densenet121.{_old(name)}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 7, "state_dict": old, "best_loss": np.float64(0.16)}, folder / "old.pth.tar")
    with torch.inference_mode():
        np.save(folder / "scores.npy", network.eval()(films).sigmoid().numpy())


def _old(name: str) -> str:
    name = re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name)
    return name.replace("classifier.", "classifier.0.")


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        main(Path(sys.argv[1]), Path(sys.argv[2]))
