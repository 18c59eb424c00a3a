"""`cxr-node bundle import-xrv` and `pull`: the field's public models as bundles."""

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

Model = Annotated[str, typer.Argument(help="TorchXRayVision's name, such as densenet121-res224-all.")]
To = Annotated[Path, typer.Option("--to", help="The bundle's folder, to be made.")]
Sha256 = Annotated[
    str, typer.Option(help="SHA-256 that the weight file must have; the published file's unless said, where known.")
]


def import_xrv(
    model: Model,
    weights: Annotated[Path, typer.Option(help="The published weight file.")],
    to: To,
    sha256: Sha256 = "",
) -> None:
    """Make a bundle of a weight file of TorchXRayVision. Nothing that the file may hold is run."""
    with bundle_errors():
        published = _find_model(model)
        wanted = _expected_digest(published, sha256)
        found = _digest(weights, published)
        if wanted is not None and found != wanted:
            raise CommandError(
                f"{weights} has SHA-256 {found}, {published.name} as published has {wanted}; fetch it again from "
                f"{published.url}, or, if this is the file you mean, say so: --sha256 {found}"
            )
        _write_bundle(published, weights, to, found)


def pull(
    model: Model,
    to: To,
    sha256: Sha256 = "",
    url: Annotated[str, typer.Option(help="Where to fetch it instead, such as a mirror of your own.")] = "",
) -> None:
    """Fetch a weight file of TorchXRayVision over HTTPS, check its digest, and make a bundle of it."""
    from cxr_node.infer import download
    from cxr_node.infer.bundle import BundleError

    with bundle_errors():
        published = _find_model(model)
        wanted = _expected_digest(published, sha256)
        if wanted is None:
            raise CommandError(
                f"no digest of {published.name} is known here, so it is not fetched unchecked: fetch {published.url} "
                f"yourself and run `cxr-node bundle import-xrv {model} --weights FILE --to {to}`, or give --sha256"
            )
        if to.exists():
            raise CommandError(f"{to} exists already; name a folder that does not")
        with tempfile.TemporaryDirectory() as folder, Progress(console=err, transient=True) as shown:
            task = shown.add_task(f"fetching {published.name}", total=None)
            file = Path(folder) / published.file
            try:
                download.fetch(
                    url or published.url,
                    file,
                    sha256=wanted,
                    progress=lambda come: shown.update(task, completed=come),
                )
            except BundleError as error:
                raise CommandError(
                    f"{error}. Without the internet: fetch {published.url} on another machine and run "
                    f"`cxr-node bundle import-xrv {model} --weights FILE --to {to}`"
                ) from None
            shown.stop()
            _write_bundle(published, file, to, wanted)


def _write_bundle(published: "Published", weights: Path, to: Path, digest: Digest) -> None:
    from cxr_node.infer import xrv_import

    coded = {label: (code, site) for label, (code, site, _) in codes.FINDINGS.items()}
    missing = xrv_import.labels_without_code(published, coded)
    typer.echo(f"making a bundle of {published.name}; this takes a minute or two", err=True)
    xrv_import.write(published, weights, to, codes=coded, digest=digest)
    if missing:
        typer.echo(f"left out, for no code could be verified: {', '.join(missing)}")
    labels = len(published.trained) - len(missing)
    typer.echo(f"{to}: {labels} labels, scores with the operating point at 0.5, not probabilities")
    typer.echo(f"next: cxr-node bundle show {to}, then cxr-node bundle install {to}")


def _find_model(model: str) -> "Published":
    from cxr_node.infer import xrv

    try:
        return xrv.MODELS[model]
    except KeyError:
        raise CommandError(f"no model {model!r} is known here; expected one of {', '.join(xrv.MODELS)}") from None


def _expected_digest(published: "Published", sha256: str) -> Digest | None:
    """Return the digest that the file must have, if one was given or is known."""
    try:
        return parse_digest(sha256 or published.sha256) if sha256 or published.sha256 else None
    except ValueError:
        raise CommandError(f"--sha256 {sha256!r}: expected 64 hexadecimal digits") from None


def _digest(file: Path, published: "Published") -> Digest:
    try:
        with file.open("rb") as content:
            return parse_digest(hashlib.file_digest(content, "sha256").hexdigest())
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}; fetch it from {published.url}") from None
