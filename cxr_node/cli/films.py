"""`cxr-node film`: a film as a picture, and the decision of the gate."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydicom import Dataset

from cxr_node import config
from cxr_node.archive.integrity import Damaged, read_intact
from cxr_node.cli.database import read_write
from cxr_node.cli.explain import print_explanations
from cxr_node.cli.searching import find
from cxr_node.cli.terminal import DEFAULT_CONFIG, CommandError, ConfigOption, JsonOption, reporting_errors, uid_of
from cxr_node.db.database import Connection
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.explanations import explanations_of
from cxr_node.domain.geometry import Orientation
from cxr_node.domain.hanging import hang, orientation_of
from cxr_node.domain.radiograph import Radiograph
from cxr_node.domain.reading import Appearance
from cxr_node.domain.reasons import Note
from cxr_node.ops import operator_log
from cxr_node.pixels import display, film, suitability
from cxr_node.pixels.parsing import parse
from cxr_node.pixels.rules import Rules
from cxr_node.pixels.view_check import judge_appearance, with_view
from cxr_node.queries import archived
from cxr_node.queries.search import IDENTIFIERS, Kind, Match
from cxr_node.records import dismissals
from cxr_node.settings.root import Settings
from cxr_node.wiring import preprocessing
from cxr_node.wiring.process import Process

app = typer.Typer(help="Single films.", no_args_is_help=True)


@app.command("show")
def show(
    which: Annotated[
        str,
        typer.Argument(
            help="A DICOM file, or a film in the archive by SOP Instance UID, number, accession number or Patient ID."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")] = Path("film.png"),
    ask_model: Annotated[
        bool, typer.Option("--model/--no-model", help="Ask the model for view and distance; loading it takes seconds.")
    ] = True,
    path: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write a film as it hangs as a PNG, 0 black to 255 white; print geometry, notes and whether it would be read.

    The model is that of `read.bundle`. The whole gate decides: header, picture, and what the model takes the film for.
    """
    with reporting_errors():
        content = _content(which, path)
        settings = config.load(path) if path.exists() else Settings()
        rules, limits = preprocessing.gate_rules(settings), preprocessing.film_limits(settings)
        try:
            dataset = parse(content)
            radiograph = film.radiograph(dataset, limits=limits)
        except GiveUp as error:
            (explanation,) = explanations_of(reasons=[error.reason])
            raise CommandError(f"{which}: {error}. {explanation.effect} {explanation.remedy}") from None
        hung = hang(radiograph)
        out.write_bytes(display.png(hung))
        answer = _ModelAnswer() if not ask_model else _ask(settings, hung)
    description: dict[str, Any] = {"picture": str(out), **_description(dataset, radiograph, rules, answer)}
    if as_json:
        typer.echo(json.dumps(description, indent=2))
        return
    explanations = description.pop("explanations")
    typer.echo("\n".join(f"{name:12} {value}" for name, value in description.items()))
    print_explanations(explanations)


@app.command("dismiss")
def dismiss(
    sop_instance_uid: Annotated[str, typer.Argument(metavar="UID", help="SOP Instance UID of the film.")],
    path: ConfigOption = DEFAULT_CONFIG,
    note: Annotated[str, typer.Option(help="Why, for the job, the log and the audit trail; no patient data.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Set a film aside: it is not analysed and its file is not opened for results, which are composed anew.

    For a film that ends processes, or one of another patient in a study. Its bytes stay.
    """
    with reporting_errors(), read_write(path) as process:
        uid = uid_of(sop_instance_uid)
        actor = operator_log.operator_name()
        with process.database.write() as transaction:
            dismissed = dismissals.dismiss_film(
                transaction, uid, detail=operator_log.dismissed_by(actor, note), actor=actor, now=process.clock()
            )
        if not dismissed:
            raise CommandError(f"there is no film {uid} that is not dismissed yet; see `cxr-node jobs list`")
        operator_log.record(process, "film dismissed", subject=f"films/{uid}")
    typer.echo(json.dumps({"dismissed": dismissed}) if as_json else f"dismissed: film {', '.join(map(str, dismissed))}")


def _content(which: str, path: Path) -> bytes:
    """Return the bytes of a file, or of a film in the archive."""
    if Path(which).is_file():
        return Path(which).read_bytes()
    with Process.open(config.load(path)) as process:
        with process.database.read() as connection:
            film = archived.original_film(connection, which) or _found_film(connection, which, path)
        if film is None:
            raise CommandError(f"{which!r} is neither a file nor a film in the archive; `cxr-node find` looks for more")
        try:
            return read_intact(process.archive, film)
        except Damaged as damaged:
            raise CommandError(str(damaged)) from None


def _found_film(connection: Connection, which: str, path: Path) -> archived.ArchivedFilm | None:
    """Return the one film that a number or an identifier finds; raise CommandError if it finds several."""
    hits = find(connection, path, which, by=IDENTIFIERS | {Match.FILM_NUMBER}).hits
    numbers = {hit.number for hit in hits if hit.kind is Kind.FILM}
    studies = [hit.study_id for hit in hits if hit.kind is Kind.STUDY and hit.study_id is not None]
    numbers.update(archived.film_numbers(connection, studies))
    if len(numbers) > 1:
        films = ", ".join(f'"film {number}"' for number in sorted(numbers))
        raise CommandError(f"{which!r} finds {len(numbers)} films; name one of them: {films}")
    return archived.film_in_archive(connection, numbers.pop()) if numbers else None


@dataclass(frozen=True, slots=True)
class _ModelAnswer:
    """The model's name and its appearance of a film, or why it has none."""

    model: str = "not asked"
    appearance: Appearance | None = None
    upright_after: int = 0

    def __str__(self) -> str:
        appearance = self.appearance
        if appearance is None:
            return self.model
        view = "no chest film" if appearance.view is None else f"view {appearance.view}"
        distance = f"distance {appearance.distance:.3g} of at most {appearance.limit:g}"
        return f"{self.model}: {view} (score {100 * appearance.score:.0f}), {distance}"


def _ask(settings: Settings, radiograph: Radiograph) -> _ModelAnswer:
    """Return what the model of the settings takes a film for."""
    # Imports torch, which takes seconds.
    from cxr_node.infer import bundle, bundle_registry
    from cxr_node.infer.reader import Reader
    from cxr_node.reading.turned import find_turned

    try:
        reader = Reader(
            bundle.load(bundle_registry.find(str(settings.read.bundle), settings.node.bundles_folder)), device="cpu"
        )
        prepared = [reader.adapter.preprocess(radiograph)]
        outputs = reader.forward(prepared)
        appearance = reader.adapter.decode_appearance(outputs[0])
        (upright_after,) = find_turned(reader, prepared, outputs)
    except (bundle.BundleError, GiveUp) as error:
        return _ModelAnswer(f"not asked: {error}")
    name = f"{reader.identity.name} {reader.identity.version}"
    if appearance is None:
        return _ModelAnswer(f"{name} classifies neither view nor distance")
    return _ModelAnswer(name, appearance, upright_after)


def _description(dataset: Dataset, radiograph: Radiograph, rules: Rules, answer: _ModelAnswer) -> dict[str, object]:
    geometry = radiograph.geometry
    verdicts = [suitability.judge_header(dataset, rules), suitability.judge_picture(radiograph, rules)]
    if answer.appearance is not None:
        frontal = suitability.states_frontal_chest(dataset, rules)
        verdicts.append(
            judge_appearance(
                answer.appearance, geometry, rules, states_frontal_chest=frontal, upright_after=answer.upright_after
            )
        )
        geometry = with_view(geometry, answer.appearance, rules)
    rejected = next((verdict for verdict in verdicts if verdict.refused), None)
    rotated = () if orientation_of(geometry) == Orientation() else (Note.ROTATED,)
    noted = (*radiograph.notes, *rotated, *(note for verdict in verdicts for note in verdict.notes))
    notes = dict.fromkeys(note.meaning for note in noted)
    explained = explanations_of(reasons=[rejected.refused] if rejected else [], notes=noted)
    spacing = geometry.spacing
    return {
        "size": f"{geometry.columns} x {geometry.rows} pixels",
        "spacing": f"{spacing.column_mm:.4f} x {spacing.row_mm:.4f} mm, {spacing.source}" if spacing else "unknown",
        "view": f"{geometry.view} ({geometry.view_source})",
        "grayscale": radiograph.grayscale,
        "model": str(answer),
        "notes": "; ".join(notes) or "none",
        "read": f"no: {rejected.refused.meaning} ({rejected.detail})" if rejected and rejected.refused else "yes",
        "explanations": [explanation.as_row() for explanation in explained],
    }
