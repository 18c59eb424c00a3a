"""`cxr-node send` and `cxr-node echo`: a simulated modality."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cxr_node.cli.peer_argument import parse_peer
from cxr_node.cli.terminal import CommandError, JsonOption, err, out, reporting_errors
from cxr_node.domain.identifiers import AeTitle, parse_ae_title
from cxr_node.simulators import modality
from cxr_node.simulators.modality import SendResult

PeerArgument = Annotated[str, typer.Argument(help="Node to send to: AETITLE@HOST:PORT.")]
CallingOption = Annotated[str, typer.Option("--calling", help="Calling AE title.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A called Application Entity and the calling AE title."""

    host: str
    port: int
    called_ae_title: AeTitle
    calling_ae_title: AeTitle


def send(
    peer: PeerArgument,
    films: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    calling: CallingOption = "CXRMODALITY",
    as_json: JsonOption = False,
) -> None:
    """Send films to a node by C-STORE. Exit status 1 if one was not stored."""
    with reporting_errors():
        target, paths = _peer(peer, calling), _files(films)
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True, disable=as_json) as progress:
            task = progress.add_task("", total=len(paths))
            results = modality.send(paths, **asdict(target), on_sent=lambda _: progress.advance(task))
        if as_json:
            typer.echo(json.dumps([asdict(result) for result in results], indent=2))
        else:
            _print(results)
        failed = sum(not result.stored for result in results)
        if failed:
            raise CommandError(f"{failed} of {len(results)} films were not stored")


def echo(peer: PeerArgument, calling: CallingOption = "CXRMODALITY", as_json: JsonOption = False) -> None:
    """Verify a node by C-ECHO."""
    with reporting_errors():
        try:
            seconds = modality.echo(**asdict(_peer(peer, calling)))
        except ConnectionError as error:
            raise CommandError(f"{peer}: {error}") from None
    typer.echo(json.dumps({"peer": peer, "seconds": seconds}) if as_json else f"{peer} responded in {seconds:.3f} s")


def _print(results: list[SendResult]) -> None:
    for result in results:
        status = "no response" if result.status is None else f"0x{result.status:04X}"
        word = "stored" if result.stored else "NOT STORED"
        line = f"{word}  {status}  {result.size_bytes:>10,} B  {result.seconds:7.3f} s  {result.film}"
        out.print(f"{line}  {result.comment}".rstrip(), markup=False, soft_wrap=True)


def _peer(text: str, calling: str) -> Peer:
    try:
        title, host, port = parse_peer(text)
        return Peer(host=host, port=port, called_ae_title=title, calling_ae_title=parse_ae_title(calling))
    except ValueError as error:
        raise CommandError(str(error)) from None


def _files(paths: list[Path]) -> list[Path]:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise CommandError(f"there is no such file or folder: {', '.join(missing)}")
    files = [
        file
        for path in paths
        for file in (sorted(child for child in path.rglob("*") if child.is_file()) if path.is_dir() else [path])
    ]
    if not files:
        raise CommandError("there are no files in these folders")
    return files
