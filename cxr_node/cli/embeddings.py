"""`cxr-node embeddings export`: the vectors of films in a file."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from cxr_node.cli.database import STATEMENT_TIMEOUT_S, reading_database
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors
from cxr_node.cli.time_arguments import SinceOption, TimeoutOption, UntilOption, parse_time
from cxr_node.queries import embeddings
from cxr_node.queries.embeddings import EmbeddingModel, FilmEmbedding

app = typer.Typer(help="Embeddings of films.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Embeddings of films."""


@app.command("export")
def export(
    to: Annotated[Path, typer.Option("--to", help="File to write: .npz (NumPy) or .csv.")],
    path: ConfigOption = DEFAULT_CONFIG,
    model: Annotated[
        str, typer.Option(help="NAME, NAME@VERSION or SHA-256 of the weights; needed if there are several.")
    ] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    at_most_s: TimeoutOption = STATEMENT_TIMEOUT_S,
    as_json: JsonOption = False,
) -> None:
    """Write the embeddings of films by one model, with film numbers and SOP Instance UIDs; times are of reception.

    Vectors can be compared with those of other films of the same patient: treat the file as you treat the films.
    """
    with reporting_errors():
        if to.suffix not in (".npz", ".csv"):
            raise CommandError(f"--to {to}: expected a file that ends in .npz or .csv")
        with reading_database(path, at_most_s=at_most_s) as connection:
            chosen = _chosen(embeddings.models(connection), model)
            rows = embeddings.of_model(connection, chosen, since=parse_time(since), until=parse_time(until))
        if not rows:
            raise CommandError(f"no film received in this time has an embedding by {chosen}")
        _write(to, _npz(rows, chosen) if to.suffix == ".npz" else _csv(rows))
    numbers = len(rows[0].vector) // 4
    if as_json:
        of_model = {"model": chosen.name, "version": chosen.version, "weights_digest": chosen.weights_digest}
        typer.echo(json.dumps({"file": str(to), "films": len(rows), "numbers": numbers, **of_model}))
        return
    typer.echo(f"{to}: {len(rows)} films, {numbers} numbers each, by {chosen}")


def _chosen(present: Sequence[EmbeddingModel], wanted: str) -> EmbeddingModel:
    if not present:
        raise CommandError(
            "no embeddings are stored: they need read.keep_embeddings = true and a bundle with the output embedding "
            "when a film is read, and retention removes them"
        )
    matching = [model for model in present if not wanted or model.matches(wanted)]
    if len(matching) != 1:
        names = "; ".join(map(str, present))
        raise CommandError(f"--model {wanted!r} names {len(matching)} models; stored are embeddings by {names}")
    return matching[0]


def _npz(rows: Sequence[FilmEmbedding], model: EmbeddingModel) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        film_id=np.array([row.film_id for row in rows], np.int64),
        sop_instance_uid=np.array([row.sop_instance_uid for row in rows]),
        study_instance_uid=np.array([row.study_instance_uid for row in rows]),
        read_at=np.array([row.read_at.isoformat() for row in rows]),
        embedding=np.stack([_vector(row) for row in rows]),
        model=np.array([model.name, model.version, model.weights_digest]),
    )
    return buffer.getvalue()


def _csv(rows: Sequence[FilmEmbedding]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    columns = [f"e{number}" for number in range(len(rows[0].vector) // 4)]
    writer.writerow(["film_id", "sop_instance_uid", "study_instance_uid", "read_at", *columns])
    for row in rows:
        # Nine digits give a 32-bit float back exactly.
        numbers = [f"{number:.9g}" for number in _vector(row).tolist()]
        writer.writerow([row.film_id, row.sop_instance_uid, row.study_instance_uid, row.read_at.isoformat(), *numbers])
    return text.getvalue().encode()


def _vector(row: FilmEmbedding) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.frombuffer(row.vector, "<f4")


def _write(to: Path, content: bytes) -> None:
    """Write a file that its owner alone can read."""
    try:
        with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        raise CommandError(f"cannot write {to}: {error.strerror}") from None
