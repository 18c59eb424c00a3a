"""Writes an imported network and its card as a bundle, and opens it as the node does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cxr_node.domain.identifiers import digest_of
from cxr_node.infer import import_bundle
from cxr_node.infer.import_bundle import NETWORK, table
from cxr_node.infer.onnx import convert
from cxr_node.infer.onnx.answers import Answers, LabelAnswer
from cxr_node.infer.onnx.convert import ImportedNetwork

LIMITS = (
    "Imported from an ONNX file. Scores are not calibrated. The operating points are those that were stated at the "
    "import. Judge it on your own films before you use it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What a bundle is written from: a network, the answers, its labels, and the proof of equality in a sentence."""

    network: ImportedNetwork
    answers: Answers
    labels: Sequence[LabelAnswer]
    has_maps: bool
    file_name: str
    file_sha256: str
    proof: str


def write(source: Import, folder: Path) -> None:
    """Write a bundle to `folder`, which must not exist.

    Raises
    ------
    BundleError
        If the folder exists, or the node cannot open the bundle.
    UnsafeFile
        If the network cannot be converted.
    """
    content = convert.convert(source.network, source.answers.frame())
    import_bundle.write(folder, content, card(source, digest_of(content)))


def card(source: Import, network: str) -> str:
    """Return the text of the card; `network` is the digest of the converted network."""
    answers = source.answers
    rows, columns = answers.size()
    outputs = ["finding_logits", "finding_maps"] if source.has_maps else ["finding_logits"]
    tables = [
        table(
            "",
            schema_version=1,
            name=answers.text("name"),
            version=answers.text("version"),
            manufacturer=answers.text("manufacturer"),
            licence=answers.text("licence"),
            intended_use=answers.text("intended_use"),
        ),
        table("[network]", file=NETWORK, sha256=network, outputs=outputs),
        table(
            "[input]",
            rows=rows,
            columns=columns,
            window=[0.0, 0.0, 1.0, 1.0],
            value_range=list(answers.value_range()),
            preparation="steps",
            description="In steps, as its authors prepare films.",
        ),
        table("[input.steps]", **answers.steps().model_dump()),
        table(
            "[operating_points]", name=f"as stated at the import of {source.file_name}"[:2000], network_sha256=network
        ),
        table("[evidence]", training=answers.text("training"), test=source.proof, limits=LIMITS),
        table("[source]", url=source.file_name, file_sha256=source.file_sha256),
    ]
    for label in source.labels:
        low, high = label.undetermined
        coded = {"code": label.code} if label.site is None else {"code": label.code, "site": label.site}
        tables.append(table("[[labels]]", key=label.key, **coded))
        point = {"label": label.key, "score": label.score, "undetermined_from": low, "undetermined_to": high}
        tables.append(table("[[operating_points.points]]", **point))
    return "\n".join(tables)
