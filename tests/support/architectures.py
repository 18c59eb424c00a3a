"""Public architectures that imports are held against, and short forms of two of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How a network is built and exported.

    Parameters
    ----------
    package
        torchvision or timm.
    builder
        Name of the function of `torchvision.models`, or of the model in timm; default: that of the architecture.
    side
        Rows and columns of its input.
    is_newer_exporter
        Whether torch's newer exporter writes the file, or the older one.
    """

    package: str = "torchvision"
    builder: str = ""
    side: int = 64
    options: Mapping[str, Any] = field(default_factory=dict)
    is_newer_exporter: bool = False


_NO_AUXILIARY = {"aux_logits": False, "init_weights": False}
_VIT = {"image_size": 64, "patch_size": 16, "num_layers": 2, "num_heads": 3, "hidden_dim": 48, "mlp_dim": 96}

SHORT: Mapping[str, Architecture] = {
    "squeezenet1_1": Architecture(),
    "vit of 2 layers": Architecture(builder="vision_transformer.VisionTransformer", options=_VIT),
}
"""Those of `make test`."""

PUBLIC: Mapping[str, Architecture] = {
    "squeezenet1_1": SHORT["squeezenet1_1"],
    "shufflenet_v2_x0_5": Architecture(),
    "alexnet": Architecture(side=224),
    "resnet18": Architecture(),
    "resnext50_32x4d": Architecture(side=128),
    "wide_resnet50_2": Architecture(side=128),
    "densenet121": Architecture(),
    "googlenet": Architecture(options=_NO_AUXILIARY),
    "inception_v3": Architecture(side=192, options=_NO_AUXILIARY),
    "mobilenet_v2": Architecture(),
    "mobilenet_v3_small": Architecture(),
    "mnasnet0_5": Architecture(),
    "efficientnet_b0": Architecture(),
    "efficientnet_v2_s": Architecture(),
    "regnet_y_400mf": Architecture(is_newer_exporter=True),
    "convnext_tiny": Architecture(),
    "swin_t": Architecture(side=224),
    "swin_v2_t": Architecture(side=128, is_newer_exporter=True),
    "maxvit_t": Architecture(side=224),
    "vit_tiny_patch16_224": Architecture(package="timm", side=224),
    "swin_tiny_patch4_window7_224": Architecture(package="timm", side=224),
    "convnext_atto": Architecture(package="timm"),
    "convnextv2_atto": Architecture(package="timm", is_newer_exporter=True),
    "mixer_s32_224": Architecture(package="timm", side=224),
    "ghostnet_050": Architecture(package="timm"),
    "tf_efficientnet_lite0": Architecture(package="timm"),
    "mobilenetv4_conv_small": Architecture(package="timm"),
    "mobilevit_xxs": Architecture(package="timm"),
    "efficientformer_l1": Architecture(package="timm", side=224),
    "coatnet_nano_rw_224": Architecture(package="timm", side=224),
    "nfnet_l0": Architecture(package="timm"),
    "resnetv2_50x1_bit": Architecture(package="timm"),
}
"""Those of `make test-long`, as published, but for the number of classes."""
