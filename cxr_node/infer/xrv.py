"""Published classifiers of TorchXRayVision: names, labels, operating points, URLs and digests.

As stated by its release 1.5.7, Apache-2.0. It publishes no digests: those here are of the same files on its authors'
Hugging Face pages, and are omitted where neither these pages nor another independent record had the file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

VERSION = "1.0.0"
"""Version of imported bundles: raised when the same file gets another preparation or other operating points."""

RELEASE = "https://github.com/mlmed/torchxrayvision/releases/download/v1/"

_NAN = math.nan
_LABELS = (
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
)
"""Labels of the outputs of every model, in order."""


class Architecture(StrEnum):
    """Architecture of a weight file."""

    DENSENET121 = "DenseNet-121"
    RESNET50 = "ResNet-50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published weight file.

    `thresholds` are the operating points of the outputs, between 0 and 1; NaN for an output that was not trained.
    `sha256` is empty if unknown.
    """

    name: str
    file: str
    architecture: Architecture
    size: int
    thresholds: tuple[float, ...]
    training: str
    sha256: str = ""

    @property
    def url(self) -> str:
        """URL of the file."""
        return RELEASE + self.file

    @property
    def trained(self) -> dict[str, tuple[int, float]]:
        """Trained outputs: label to the output's number and operating point."""
        pairs = enumerate(zip(_LABELS, self.thresholds, strict=True))
        return {label: (number, threshold) for number, (label, threshold) in pairs if not math.isnan(threshold)}


def _densenet(name: str, file: str, thresholds: tuple[float, ...], training: str, sha256: str = "") -> Published:
    return Published(
        name=f"densenet121-res224-{name}",
        file=f"{file}-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt",
        architecture=Architecture.DENSENET121,
        size=224,
        thresholds=thresholds,
        training=training,
        sha256=sha256,
    )


# fmt: off
_MODELS = (
    _densenet(
        "all", "nih-pc-chex-mimic_ch-google-openi-kaggle",
        (0.07422872, 0.038290843, 0.09814756, 0.0098118475, 0.023601074, 0.0022490358, 0.010060724, 0.103246614,
         0.056810737, 0.026791653, 0.050318155, 0.023985857, 0.01939503, 0.042889766, 0.053369623, 0.035975814,
         0.20204692, 0.05015312),
        "NIH ChestX-ray14, PadChest, CheXpert, MIMIC-CXR (CheXpert labels), Google's labels of NIH films, OpenI, "
        "RSNA Pneumonia Challenge",
        "56524913dd16a906422e8d8b66a7a5c46be1d82eb7ac012d8103776f1aa68899",
    ),
    _densenet(
        "rsna", "kaggle",
        (*[_NAN] * 8, 0.13486601, *[_NAN] * 7, 0.13511065, _NAN),
        "RSNA Pneumonia Challenge",
        "906a59f48cf09638b745d66848a6c6f9d741368c66244717a81207329d140268",
    ),
    _densenet(
        "nih", "nih",
        (0.039117552, 0.0034529066, 0.11396341, 0.0057298196, 0.00045666535, 0.0018880932, 0.012037827, 0.038744126,
         0.0037213727, 0.014730946, 0.016149804, 0.054241467, 0.037198864, 0.0004403434, *[_NAN] * 4),
        "NIH ChestX-ray14",
    ),
    _densenet(
        "pc", "pc",
        (0.031012505, 0.013347598, 0.081435576, 0.001262615, 0.002587246, 0.0035944257, 0.0023071, 0.055412333,
         0.044385884, 0.042766232, 0.043258056, 0.037629247, 0.005658899, 0.0091741895, _NAN, 0.026507627, _NAN, _NAN),
        "PadChest",
        "a9148ef62ae4e7a31a9bed8cef22811f39681cd61e4390398936efc6280af521",
    ),
    _densenet(
        "chex", "chex",
        (0.1988969, 0.05710573, _NAN, 0.0531293, 0.1435217, _NAN, _NAN, 0.27212676, 0.07749717, _NAN, 0.19712369,
         _NAN, _NAN, _NAN, 0.09932402, 0.09273402, 0.3270967, 0.10888247),
        "CheXpert",
    ),
    _densenet(
        "mimic_nb", "mimic_nb",
        (0.08558747, 0.011884617, _NAN, 0.0040595434, 0.010733786, _NAN, _NAN, 0.118761964, 0.022924708, _NAN,
         0.06358637, _NAN, _NAN, _NAN, 0.022143636, 0.017476924, 0.1258702, 0.014020768),
        "MIMIC-CXR (NegBio labels)",
    ),
    _densenet(
        "mimic_ch", "mimic_ch",
        (0.09121389, 0.010573786, _NAN, 0.005023008, 0.003698257, _NAN, _NAN, 0.08001232, 0.037242252, _NAN,
         0.05006329, _NAN, _NAN, _NAN, 0.019866971, 0.03823637, 0.11303808, 0.0069147074),
        "MIMIC-CXR (CheXpert labels)",
        "23b13a04459684ffa41247d068207a7657b4e1b4dec2b02431f5026bd75b1189",
    ),
    Published(
        name="resnet50-res512-all",
        file="pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt",
        architecture=Architecture.RESNET50,
        size=512,
        thresholds=(
            0.51570356, 0.50444704, 0.53787947, 0.50723547, 0.5025118, 0.5035252, 0.5038076, 0.51862943, 0.5078151,
            0.50724894, 0.5056339, 0.510706, 0.5053923, 0.5020846, _NAN, 0.5080557, 0.5138526, _NAN,
        ),
        training="PadChest, NIH ChestX-ray14, RSNA Pneumonia Challenge, SIIM-ACR Pneumothorax, VinDr-CXR",
    ),
)
# fmt: on

MODELS: Mapping[str, Published] = {model.name: model for model in _MODELS}
OUTPUTS = len(_LABELS)
