"""The kinds of result, where each goes, and the stage that composes them, wired from settings."""

from collections.abc import Mapping
from datetime import UTC
from importlib.metadata import version

from cxr_node import pipeline
from cxr_node.db.database import Database
from cxr_node.deliver.routing import Condition
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.report.header.header import ResultType
from cxr_node.report.kinds import basic_text, tid1500
from cxr_node.report.kinds.kind import (
    ChestCad,
    KeyImages,
    Picture,
    PresentationState,
    Report,
    ResultKind,
    Segmentation,
    Text,
)
from cxr_node.report.source import Observer
from cxr_node.settings.results import CStoreSection, FolderSection, ResultName
from cxr_node.settings.root import Settings
from cxr_node.wiring import preprocessing, process, read
from cxr_node.work.handlers.read import ComposeHandler

RESULT_KINDS: Mapping[ResultName, ResultKind] = {
    ResultName.REPORT: Report(),
    ResultName.REPORT_COMPREHENSIVE: Report(tid1500.COMPREHENSIVE),
    ResultName.REPORT_ENHANCED: Report(tid1500.ENHANCED),
    ResultName.TEXT: Text(),
    ResultName.CHEST_CAD: ChestCad(),
    ResultName.PICTURE: Picture(),
    ResultName.MARKS: PresentationState(),
    ResultName.KEY_IMAGES: KeyImages(),
    ResultName.SEGMENTATION: Segmentation(),
}
"""What a destination can be sent to what composes it; report-best is one of REPORT_FORMS."""


REPORT_FORMS: Mapping[ResultName, ResultType] = {
    ResultName.REPORT: tid1500.COMPREHENSIVE_3D,
    ResultName.REPORT_COMPREHENSIVE: tid1500.COMPREHENSIVE,
    ResultName.REPORT_ENHANCED: tid1500.ENHANCED,
    ResultName.TEXT: basic_text.BASIC_TEXT,
}
"""The forms of the report, best first: each leaves out more than the one before."""


def routes(settings: Settings) -> dict[str, pipeline.Route]:
    """Return what goes to each destination, and when."""
    return {
        each.name: pipeline.Route(
            kinds=frozenset(RESULT_KINDS[name].name for name in each.results if name in RESULT_KINDS),
            forms=tuple(REPORT_FORMS.values()) if ResultName.REPORT_BEST in each.results else (),
            peer=peer_of(each),
            condition=Condition(
                calling_ae_titles=each.when.calling_ae_titles,
                station_names=each.when.station_names,
                views=each.when.views,
                findings=each.when.findings,
            ),
        )
        for each in settings.deliver.destinations
    }


def peer_of(section: CStoreSection | FolderSection) -> str:
    """Return who stands behind a destination; what one takes says nothing of another."""
    if isinstance(section, FolderSection):
        return str(section.folder)
    return f"{section.ae_title}@{section.host}:{section.port}"


def expanded(name: ResultName) -> tuple[ResultName, ...]:
    """Return the kinds of result that a name may come to."""
    return tuple(REPORT_FORMS) if name is ResultName.REPORT_BEST else (name,)


def observer(settings: Settings) -> Observer:
    """Return this node as results name it."""
    return Observer(
        name=settings.node.name,
        serial_number=settings.report.serial_number,
        software_version=version("cxr-node"),
        first_series_number=settings.report.series_number,
        language=settings.report.language,
        # Where a film names no time zone, its times are the site's, and so are ours.
        time_zone=process.now().astimezone().tzinfo or UTC,
    )


def compose_stage(settings: Settings, opened: Database, sandbox: Sandbox) -> ComposeHandler:
    """Return the stage that composes what a study's destinations ask for."""
    # A study without a destination is composed all the same: the report is kept, and can be looked at.
    asked = [name for each in settings.deliver.destinations for name in each.results]
    wanted = dict.fromkeys(one for name in asked for one in expanded(name)) or {ResultName.REPORT: None}
    return ComposeHandler(
        database=opened,
        archive=process.archive(settings),
        node=observer(settings),
        kinds=[RESULT_KINDS[name] for name in wanted],
        routes=routes(settings),
        limits=preprocessing.film_limits(settings),
        sandbox=sandbox,
        character_sets={each.ae_title: each.character_sets for each in settings.report.character_sets},
        quiet=read.quiet(settings),
        clock=process.now,
    )
