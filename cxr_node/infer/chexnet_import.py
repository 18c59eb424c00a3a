"""Imports a weight file of CheXNet as a bundle."""

from dataclasses import asdict
from pathlib import Path

from cxr_node.domain.identifiers import Digest, digest_of
from cxr_node.infer import chexnet, import_bundle, steps, weights
from cxr_node.infer.bundle import BundleError
from cxr_node.infer.export import export_network
from cxr_node.infer.import_bundle import NETWORK, Coded, label_tables, table
from cxr_node.infer.prepare import Frame

VERSION = "1.0.0"

LICENCE = (
    "That of the weight file: ask its publisher. The films are those of NIH ChestX-ray14, with terms of their own."
)
INTENDED_USE = (
    "Research use only. Not a medical device; not for diagnosis or triage of patients. Frontal chest radiographs."
)
TRAINING = (
    "As the publisher of the weight file states; commonly ChestX-ray14 (Wang et al., CVPR 2017), after P. Rajpurkar et "
    "al., CheXNet (arXiv 1711.05225): DenseNet-121, 14 mined labels."
)
TEST = "Not judged here, and no figures come with the weight file; judge it on your own films before you believe it."
LIMITS = (
    "No operating points are published: every score is undetermined until you set them on this card by your own films. "
    "Scores follow the share of each label in the training films and are small; they are not calibrated. Labels were "
    "mined from reports. One square in the middle of the film is read once, where the publications average ten crops, "
    "so scores differ a little from theirs. Outlines come from a map of 7 x 7 cells. Not tested on children, lateral "
    "films."
)
DESCRIPTION = (
    "The film's shorter side is resized to 256 pixels of 8 bits (linear, against aliasing), the central square of 224 "
    "is cut out, black is 0.0 and white 1.0; the network subtracts ImageNet's mean and divides by its deviation."
)


def labels_without_code(codes: Coded) -> tuple[str, ...]:
    """Return the labels without a code, which no report could name."""
    return tuple(label for label in chexnet.LABELS if label not in codes)


def write(file: Path, folder: Path, *, name: str, url: str, codes: Coded, digest: Digest) -> None:
    """Write a bundle from a weight file to `folder`, which must not exist, and open it as the node does.

    Parameters
    ----------
    name
        Name of the bundle.
    url
        Where the weight file was published, or an empty string.
    digest
        SHA-256 of the file, for the card.

    Raises
    ------
    BundleError
        If the file does not contain CheXNet's weights, or the folder exists.
    """
    if folder.exists():
        raise BundleError(f"{folder} exists already; name a folder that does not")
    try:
        network = chexnet.load(weights.read(file))
    except (weights.UnsafeWeights, chexnet.RenameError) as error:
        raise BundleError(f"{file} was refused: {error}; expected weights of a DenseNet-121 with 14 labels") from error
    except OSError as error:
        raise BundleError(f"{file}: {error.strerror}") from error
    labels = [label for label in chexnet.LABELS if label in codes]
    merged = chexnet.CheXNet(network, [chexnet.LABELS.index(label) for label in labels])
    frame = Frame(rows=chexnet.SIZE, columns=chexnet.SIZE, recipe=steps.RECIPE, steps=chexnet.STEPS)
    content = export_network(merged.eval(), frame)
    source = table("[source]", url=url or "not stated", file_sha256=digest)
    text = "\n".join([_card(name, digest_of(content)), source, *_labels(labels, codes)])
    import_bundle.write(folder, content, text)


def _card(name: str, network: str) -> str:
    """Return the text of the card without labels and source."""
    changed = {key: value for key, value in asdict(chexnet.STEPS).items() if value != getattr(steps.DEFAULT, key)}
    tables = [
        table(
            "",
            schema_version=1,
            name=name,
            version=VERSION,
            manufacturer="The publisher of the weight file",
            licence=LICENCE,
            intended_use=INTENDED_USE,
        ),
        table("[network]", file=NETWORK, sha256=network, outputs=["finding_logits", "finding_maps"]),
        table(
            "[input]",
            rows=chexnet.SIZE,
            columns=chexnet.SIZE,
            window=[0.0, 0.0, 1.0, 1.0],
            value_range=[chexnet.STEPS.low, chexnet.STEPS.high],
            preparation=steps.RECIPE,
            description=DESCRIPTION,
        ),
        table("[input.steps]", **changed),
        table("[operating_points]", name="none published: every score is undetermined", network_sha256=network),
        table("[evidence]", training=TRAINING, test=TEST, limits=LIMITS),
    ]
    return "\n".join(tables)


def _labels(labels: list[str], codes: Coded) -> list[str]:
    points = {"score": 0.5, "undetermined_from": 0.0, "undetermined_to": 1.0}
    return [text for label in labels for text in label_tables(label, codes, **points)]
