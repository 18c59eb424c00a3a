"""`cxr-node bundle import-xrv`, `pull` and `import-chexnet`: published weights as bundles."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from cxr_node.cli.bundles import bundle_errors
from cxr_node.cli.terminal import CommandError, err
from cxr_node.domain.identifiers import Digest, parse_digest
from cxr_node.report import codes

if TYPE_CHECKING:
    from cxr_node.infer.xrv import Published

Model = Annotated[str, typer.Argument(help="Name in TorchXRayVision, such as densenet121-res224-all.")]
To = Annotated[Path, typer.Option("--to", help="Folder of the new bundle.")]
Sha256 = Annotated[
    str, typer.Option(help="Expected SHA-256 of the weight file; default: that of the published file, if known.")
]


def import_xrv(
    model: Model, weights: Annotated[Path, typer.Option(help="The published weight file.")], to: To, sha256: Sha256 = ""
) -> None:
    """Make a bundle from a weight file of TorchXRayVision. Code in the file is not executed."""
    with bundle_errors():
        from cxr_node.infer import anatomy_import

        if model == anatomy_import.NAME:
            digest = _checked_digest(weights, sha256, anatomy_import.URL)
            typer.echo(f"making a bundle of {model}; this takes some minutes", err=True)
            anatomy_import.write(weights, to, digest=digest)
            typer.echo(f"{to}: outlines, and no findings")
            return
        published = _find_model(model)
        expected = _expected_digest(published, sha256)
        digest = _digest(weights, published.url)
        if expected is not None and digest != expected:
            raise CommandError(
                f"{weights} has SHA-256 {digest}, but {published.name} as published has {expected}; fetch it again "
                f"from {published.url}, or, if this file is intended, add --sha256 {digest}"
            )
        _write_bundle(published, weights, to, digest)


def import_chexnet(
    weights: Annotated[Path, typer.Option(help="Weight file: safetensors, or a state dictionary of PyTorch.")],
    to: To,
    name: Annotated[str, typer.Option(help="Name of the new bundle.")] = "chexnet",
    url: Annotated[str, typer.Option(help="Where the file was published, for the card.")] = "",
    sha256: Annotated[str, typer.Option(help="Expected SHA-256 of the weight file.")] = "",
) -> None:
    """Make a bundle from weights of CheXNet (DenseNet-121, 14 labels). Code in the file is not executed."""
    with bundle_errors():
        from cxr_node.infer import chexnet, chexnet_import

        digest = _checked_digest(weights, sha256, url)
        coded = {label: (code, site) for label, (code, site, _) in codes.FINDINGS.items()}
        typer.echo("making a bundle of CheXNet; this takes a minute or two", err=True)
        chexnet_import.write(weights, to, name=name, url=url, codes=coded, digest=digest)
        typer.echo(f"{to}: {len(chexnet.LABELS)} labels; every score is undetermined until its threshold is set")
    typer.echo(f"next: set the thresholds ([operating_points]) in {to}/card.toml, then cxr-node bundle install {to}")


def pull(
    model: Model,
    to: To,
    sha256: Sha256 = "",
    url: Annotated[str, typer.Option(help="Another address to fetch from, such as a mirror.")] = "",
) -> None:
    """Fetch a weight file of TorchXRayVision over HTTPS, check its digest, and make a bundle from it."""
    from cxr_node.infer import download
    from cxr_node.infer.bundle import BundleError

    with bundle_errors():
        published = _find_model(model)
        expected = _expected_digest(published, sha256)
        if expected is None:
            raise CommandError(
                f"no digest of {published.name} is known, so it is not fetched: fetch {published.url} "
                f"yourself and run `cxr-node bundle import-xrv {model} --weights FILE --to {to}`, or give --sha256"
            )
        if to.exists():
            raise CommandError(f"{to} exists; name a new folder")
        with tempfile.TemporaryDirectory() as folder, Progress(console=err, transient=True) as progress:
            task = progress.add_task(f"fetching {published.name}", total=None)
            file = Path(folder) / published.file
            try:
                download.fetch(
                    url or published.url,
                    file,
                    sha256=expected,
                    progress=lambda size: progress.update(task, completed=size),
                )
            except BundleError as error:
                raise CommandError(
                    f"{error}. Without the internet: fetch {published.url} on another machine and run "
                    f"`cxr-node bundle import-xrv {model} --weights FILE --to {to}`"
                ) from None
            progress.stop()
            _write_bundle(published, file, to, expected)


def _write_bundle(published: "Published", weights: Path, to: Path, digest: Digest) -> None:
    from cxr_node.infer import xrv_import

    coded = {label: (code, site) for label, (code, site, _) in codes.FINDINGS.items()}
    missing = xrv_import.labels_without_code(published, coded)
    typer.echo(f"making a bundle of {published.name}; this takes a minute or two", err=True)
    xrv_import.write(published, weights, to, codes=coded, digest=digest)
    if missing:
        typer.echo(f"left out, because no code could be verified: {', '.join(missing)}")
    labels = len(published.trained) - len(missing)
    typer.echo(f"{to}: {labels} labels; scores have the threshold 50 of 100 and are not probabilities")
    typer.echo(f"next: cxr-node bundle show {to}, then cxr-node bundle install {to}")


def _find_model(model: str) -> "Published":
    from cxr_node.infer import xrv

    try:
        return xrv.MODELS[model]
    except KeyError:
        raise CommandError(f"unknown model {model!r}; expected one of {', '.join(xrv.MODELS)}") from None


def _expected_digest(published: "Published", sha256: str) -> Digest | None:
    """Return the expected digest of the file, if one is given or known."""
    return _parsed_digest(sha256 or published.sha256) if sha256 or published.sha256 else None


def _checked_digest(file: Path, sha256: str, url: str) -> Digest:
    """Return the digest of a file for which none is known; raise CommandError if it is not the one given."""
    digest = _digest(file, url)
    if sha256 and digest != _parsed_digest(sha256):
        raise CommandError(f"{file} has SHA-256 {digest}, expected {sha256}; fetch it again")
    return digest


def _parsed_digest(sha256: str) -> Digest:
    try:
        return parse_digest(sha256)
    except ValueError:
        raise CommandError(f"--sha256 {sha256!r}: expected 64 hexadecimal digits") from None


def _digest(file: Path, url: str = "") -> Digest:
    try:
        with file.open("rb") as content:
            return parse_digest(hashlib.file_digest(content, "sha256").hexdigest())
    except OSError as error:
        hint = f"; fetch it from {url}" if url else ""
        raise CommandError(f"{file}: {error.strerror}{hint}") from None
