"""Compose stage wired from settings: result kinds, routes to destinations, observer, and where it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from functools import partial

from cxr_node.composing.context import ComposeContext
from cxr_node.composing.route import Route
from cxr_node.deliver.notification_rules import NotificationRule
from cxr_node.pixels.sandbox import Sandbox
from cxr_node.process_pool.executor import Executor, InProcess
from cxr_node.process_pool.pool import ProcessPool
from cxr_node.report.kinds import tid1500
from cxr_node.report.kinds.kind import ResultKind
from cxr_node.report.kinds.registry import KIND_BY_NAME, REPORT_FORMS, RESULT_KINDS
from cxr_node.report.languages.registry import LANGUAGES
from cxr_node.report.source import Observer
from cxr_node.settings.results import REPORT_BEST
from cxr_node.settings.root import Settings
from cxr_node.wiring import audit_decorators, preprocessing, read
from cxr_node.wiring.process import Process
from cxr_node.work.handlers.compose import ComposeHandler


def routes(settings: Settings) -> dict[str, Route]:
    """Return the route to each destination: result kinds and condition."""
    return {
        row.name: Route(
            kinds=frozenset(KIND_BY_NAME[name].result_type.name for name in row.results if name in KIND_BY_NAME),
            forms=tuple(form.result_type for form in REPORT_FORMS) if REPORT_BEST in row.results else (),
            peer=row.peer_name,
            condition=row.when,
            takes_notes=row.takes_rejection_notes,
        )
        for row in settings.deliver.destinations
    }


def kinds_of(name: str) -> tuple[ResultKind, ...]:
    """Return the result kinds that a name in the settings stands for."""
    return REPORT_FORMS if name == REPORT_BEST else (KIND_BY_NAME[name],)


def observer(process: Process) -> Observer:
    """Return this node as results name it."""
    settings = process.settings
    return Observer(
        name=settings.node.name,
        serial_number=settings.report.serial_number,
        first_series_number=settings.report.series_number,
        language=LANGUAGES[settings.report.language],
        # A film without a time zone has the site's local times, and so do its results.
        time_zone=process.clock().astimezone().tzinfo or UTC,
    )


@contextmanager
def compose_context(process: Process) -> Iterator[ComposeContext]:
    """Open a compose context with its own sandbox."""
    settings = process.settings
    # Of a study without a destination the first is composed, for the web page and the archive. The others are there for
    # routes that are added while the process runs.
    names = [name for destination in settings.deliver.destinations for name in destination.results]
    configured = [kind for name in names for kind in kinds_of(name)] or [tid1500.REPORT]
    kinds = list(dict.fromkeys([*configured, *RESULT_KINDS]))
    limits = preprocessing.film_limits(settings)
    with Sandbox(limits) as sandbox:
        yield ComposeContext(
            archive=process.archive,
            kinds=kinds,
            observer=observer(process),
            limits=limits,
            sandbox=sandbox,
            reduced_films=process.reduced_films,
            character_sets={row.ae_title: row.character_sets for row in settings.report.character_sets},
        )


@contextmanager
def open_compose_context(settings: Settings) -> Iterator[ComposeContext]:
    """Open a compose context in a process of its own."""
    with Process.open(settings) as process, compose_context(process) as context:
        yield context


@contextmanager
def compose_executor(process: Process) -> Iterator[Executor[ComposeContext]]:
    """Start the process that parses films and composes results, or compose in this one."""
    settings = process.settings
    if not settings.compose.own_process:
        with compose_context(process) as context:
            yield InProcess(context)
        return
    # When its lease expires, the study is another worker's, so this process must have ended.
    timeout_s = min(settings.compose.timeout_s, settings.deliver.lease_s)
    open_context = partial(open_compose_context, settings)
    with ProcessPool(1, open_context, timeout_s=timeout_s, memory_bytes=settings.gate.memory_bytes) as pool:
        pool.start()
        yield pool


def compose_handler(process: Process, executor: Executor[ComposeContext]) -> ComposeHandler:
    """Return the handler that composes the results for a study's destinations."""
    return ComposeHandler(
        database=process.database,
        archive=process.archive,
        executor=executor,
        routes=process.live.mapping(routes),
        window=read.study_window(process.settings),
        clock=process.clock,
        before_removal=audit_decorators.before_removal(process.audit),
        notification_rules=notification_rules(process.settings),
        maximum_prior_age_days=process.settings.priors.maximum_age_days if process.settings.priors.compare else 0,
    )


def notification_rules(settings: Settings) -> tuple[NotificationRule, ...]:
    """Return the rules of notifications."""
    return tuple(
        NotificationRule(name=row.name, findings=frozenset(row.findings), minimum_score=row.minimum_score)
        for row in settings.notify.rules
    )
