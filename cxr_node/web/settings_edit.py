"""Edits of the settings file on the page: destinations with their routes, and priority rules, by operators.

A form is checked first, which shows what is wrong beside its fields, or the difference of the file and what a running
node takes up. What is applied is what was shown. Undo goes the same way.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.deliver.destination import DestinationKind
from cxr_node.domain.errors import RetryLater
from cxr_node.ops import operator_log
from cxr_node.ops.checks.destinations import DestinationReport, check_destination
from cxr_node.ops.checks.sent_report import send_test_report
from cxr_node.ops.settings_edit import forms
from cxr_node.ops.settings_edit.forms import FORMS, RowForm
from cxr_node.ops.settings_edit.proposal import Proposal, apply, propose, propose_undo, settings_file
from cxr_node.ops.settings_edit.rows import CannotEdit, RowEdit, rows_of
from cxr_node.ops.settings_edit.settings_file import EditRefused, SettingsFile
from cxr_node.queries import overview
from cxr_node.web.access import HasOperatorRole, Operator, Person
from cxr_node.web.context import InContext, WebContext, or_404
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)

_FIELD = "field."
"""Beginning of the names of posted fields that are settings."""
_LIST = "/settings/edit"

_RECENT = timedelta(days=1)
"""A host whose last periodic job is older has been taken away."""

Posted = Mapping[str, Sequence[str]]


async def _posted(request: Request) -> Posted:
    form = await request.form()
    return {name: [str(value) for value in form.getlist(name)] for name in form}


PostedForm = Annotated[Posted, Depends(_posted)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RowPage:
    """A row as its page shows it: what was entered, the digest of the file, and what came of it."""

    form: RowForm
    index: int | None
    digest: str
    values: Mapping[str, Sequence[str]]
    label: str = ""
    proposal: Proposal | None = None
    is_removal: bool = False
    report: DestinationReport | None = None
    failure: str = ""
    waiting: int = 0

    @property
    def errors(self) -> dict[str, list[str]]:
        """What is wrong, by setting."""
        errors: dict[str, list[str]] = {}
        for name, sentence in self.proposal.field_problems if self.proposal else ():
            errors.setdefault(name, []).append(sentence)
        return errors


@pages.get(_LIST)
def list_page(
    request: Request, context: InContext, person: HasOperatorRole, done: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """Show the rows that can be edited, what is in force, and the edit that can be undone."""
    file = _file(context)
    present, fault = _or_409(file.read), _reload(context)
    tables = [
        (
            section,
            name,
            [_listed(section, name, index, row) for index, row in enumerate(_rows(present.text, section, name))],
        )
        for section, name in (("deliver", "destinations"), ("receive", "urgent"))
    ]
    return render_page(
        request,
        person,
        "settings_edit.html",
        active="settings",
        file=file,
        present=present,
        tables=tables,
        forms=FORMS,
        version=file.undoable(present.digest),
        hosts=_other_hosts(context),
        restart_keys=context.process.live.restart_keys,
        fault=fault,
        done=done,
        tick_s=context.settings.schedule.tick_s,
    )


@pages.get("/settings/edit/row")
def row_page(
    request: Request,
    context: InContext,
    person: HasOperatorRole,
    kind: Annotated[str, Query(max_length=32)],
    index: Annotated[int | None, Query(ge=0, le=9999)] = None,
) -> Response:
    """Show the form of a row, or of a new one."""
    present = _or_409(_file(context).read)
    form = or_404(FORMS.get(kind), "kind of row")
    row = _row(present.text, form, index)
    values = forms.shown_values(form, row)
    page = _RowPage(form=form, index=index, digest=present.digest, values=values, label=_label(row, index))
    return _show(request, context, person, page)


@pages.post("/settings/edit/row")
def post_row(request: Request, context: InContext, person: Operator, posted: PostedForm) -> Response:
    """Check, test, apply or remove a row, as the pressed button says."""
    file = _file(context)
    form = or_404(FORMS.get(_one(posted, "kind")), "kind of row")
    index = int(_one(posted, "index")) if _one(posted, "index").isdigit() else None
    action = _one(posted, "action")
    values = {name.removeprefix(_FIELD): texts for name, texts in posted.items() if name.startswith(_FIELD)}
    page = _RowPage(
        form=form,
        index=index,
        digest=_one(posted, "digest"),
        values={field.name: values.get(field.name, []) for field in form.fields},
        label=_one(posted, "label")[:80],
        is_removal="remove" in action,
    )
    try:
        page = _proposed(context, file, page)
        if action in ("apply", "apply_remove"):
            return _apply(request, context, person, file, page, shown=_one(posted, "shown"))
    except (EditRefused, CannotEdit) as error:
        return _show(request, context, person, replace(page, failure=str(error)), status.HTTP_409_CONFLICT)
    if action in ("test", "report"):
        page = _tested(context, person, page, sends_report=action == "report")
    if page.is_removal and form.section == "deliver":
        page = replace(page, waiting=_waiting(context, page.label))
    is_wrong = page.proposal is not None and not page.proposal.is_valid
    return _show(request, context, person, page, status.HTTP_400_BAD_REQUEST if is_wrong else status.HTTP_200_OK)


@pages.get("/settings/edit/undo")
def undo_page(request: Request, context: InContext, person: HasOperatorRole) -> Response:
    """Show what undoing the last edit would change."""
    proposal = _or_409(lambda: propose_undo(_file(context)))
    return _render(request, context, person, "settings_undo.html", proposal=proposal)


@pages.post("/settings/edit/undo")
def undo(request: Request, context: InContext, person: Operator, posted: PostedForm) -> Response:
    """Undo the last edit, if it is still the one that the page has shown."""
    file = _file(context)
    proposal = _or_409(lambda: propose_undo(file))
    if _one(posted, "shown") != proposal.digest or not proposal.is_valid:
        return _render(request, context, person, "settings_undo.html", proposal=proposal)
    _or_409(lambda: apply(context.process, file, proposal, by=person.actor, is_undo=True))
    return _done(context, "undone")


def _proposed(context: WebContext, file: SettingsFile, page: _RowPage) -> _RowPage:
    """Return the page with the proposal of what was entered.

    Raises
    ------
    EditRefused
        If the file was changed since the form was opened.
    """
    present = file.read()
    if present.digest != page.digest:
        raise EditRefused(
            f"{file.path} was changed by somebody else since this form was opened, and was not written: open the page "
            "of settings again, and repeat the edit"
        )
    form = page.form
    row = _row(present.text, form, page.index)
    values = None if page.is_removal else forms.entered_values(form, row, page.values)
    edit = RowEdit(section=form.section, name=form.name, index=page.index, values=values)
    return replace(page, label=_label(row, page.index), proposal=propose(file, edit, running=context.process.loaded))


def _apply(
    request: Request, context: WebContext, person: Person, file: SettingsFile, page: _RowPage, *, shown: str
) -> Response:
    """Write what was shown; else show it first."""
    proposal = page.proposal
    if proposal is None or not proposal.is_valid or proposal.digest != shown:
        return _show(request, context, person, page, status.HTTP_400_BAD_REQUEST)
    apply(context.process, file, proposal, by=person.actor)
    return _done(context, "applied")


def _tested(context: WebContext, person: Person, page: _RowPage, *, sends_report: bool) -> _RowPage:
    """Return the page with a test of the destination as it was entered; without one where it is wrong."""
    row = _entered_destination(page)
    if row is None:
        return page
    report = check_destination(context.settings, row)
    if sends_report:
        report = replace(report, checks=(*report.checks, send_test_report(context.process, row, report)))
    what = "test report sent" if sends_report else "destination tested"
    operator_log.record(context.process, what, subject=f"destinations/{row.name}", by=person.actor)
    return replace(page, report=report)


def _entered_destination(page: _RowPage) -> DestinationKind | None:
    proposal = page.proposal
    if proposal is None or proposal.loaded is None or page.form.section != "deliver":
        return None
    # Of the file's folder, as a node would read it.
    settings = proposal.loaded.settings
    return settings.deliver.destinations[-1 if page.index is None else page.index]


def _done(context: WebContext, done: str) -> Response:
    _reload(context)
    context.health.forget()
    return RedirectResponse(f"{_LIST}?done={done}", status.HTTP_303_SEE_OTHER)


def _reload(context: WebContext) -> str:
    """Take up the file in this process; return why it cannot be."""
    try:
        context.process.live.reload()
    except RetryLater as error:
        return str(error)
    return ""


def _show(
    request: Request, context: WebContext, person: Person, page: _RowPage, code: int = status.HTTP_200_OK
) -> Response:
    return _render(request, context, person, "settings_row.html", code, page=page, proposal=page.proposal)


def _render(
    request: Request, context: WebContext, person: Person, template: str, code: int = status.HTTP_200_OK, **values: Any
) -> Response:
    tick_s = context.settings.schedule.tick_s
    response = render_page(request, person, template, active="settings", tick_s=tick_s, **values)
    response.status_code = code
    return response


def _file(context: WebContext) -> SettingsFile:
    return or_404(settings_file(context.process), "settings file")


def _or_409(call: Any) -> Any:
    try:
        return call()
    except (EditRefused, CannotEdit) as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None


def _one(posted: Posted, name: str) -> str:
    return next(iter(posted.get(name, ())), "")


def _rows(text: str, section: str, name: str) -> list[dict[str, Any]]:
    with suppress(ValueError):  # no TOML: the page says so
        return rows_of(text, section, name)
    return []


def _row(text: str, form: RowForm, index: int | None) -> dict[str, Any]:
    """Return a row of the file; an empty one for a new row."""
    if index is None:
        return {}
    rows = _rows(text, form.section, form.name)
    if index >= len(rows) or forms.form_of_row(form.section, form.name, rows[index]) is not form:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "there is no such row any more")
    return rows[index]


def _label(row: Mapping[str, Any], index: int | None) -> str:
    return str(row.get("name") or ("" if index is None else index + 1))


def _listed(section: str, name: str, index: int, row: Mapping[str, Any]) -> dict[str, Any]:
    form = forms.form_of_row(section, name, row)
    where = row.get("folder") or f"{row.get('ae_title', '')} at {row.get('host', '')} port {row.get('port', '')}"
    words = where if section == "deliver" else f"{row.get('priority_boost_s', '')} s"
    return {"index": index, "label": _label(row, index), "words": words, "form": form}


def _waiting(context: WebContext, name: str) -> int:
    with context.connection() as connection:
        return next((row.waiting for row in overview.destinations(connection) if row.destination == name), 0)


def _other_hosts(context: WebContext) -> list[str]:
    """Return the names of further hosts of this database."""
    with context.connection() as connection:
        jobs = overview.periodic_jobs(connection)
    since = context.process.clock() - _RECENT
    hosts = {job.host for job in jobs if job.started_at > since}
    return sorted(hosts - {context.settings.node.host_name})
