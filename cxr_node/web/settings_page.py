"""Settings page: every setting with value, default, meaning and place, searched by text; tests of destinations."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response

from cxr_node.ops import operator_log, settings_list
from cxr_node.ops.checks.destinations import check_destination
from cxr_node.web.access import LoggedIn, Operator
from cxr_node.web.context import InContext, or_404
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)


@pages.get("/settings")
def settings_page(
    request: Request,
    context: InContext,
    person: LoggedIn,
    q: Annotated[str, Query(max_length=200)] = "",
    changed: Annotated[bool, Query()] = False,
) -> Response:
    """Show the settings that contain `q`; with `changed` those that differ from their default."""
    loaded = context.process.loaded
    tables = settings_list.tables(context.settings, loaded, text=q.strip(), only_changed=changed)
    file = loaded.path if loaded else None
    return render_page(
        request, person, "settings.html", active="settings", tables=tables, q=q, changed=changed, file=file
    )


@pages.post("/settings/destinations/test")
def probe_destination(
    request: Request, context: InContext, person: Operator, name: Annotated[str, Form(max_length=64)]
) -> Response:
    """Test a destination by C-ECHO and negotiation of its results, and show the checks; no object is sent."""
    rows = {row.name: row for row in context.settings.deliver.destinations}
    report = check_destination(context.settings, or_404(rows.get(name), "destination"))
    operator_log.record(
        context.process, "destination tested", subject=f"destinations/{name}", by=f"person/{person.name}"
    )
    return render_page(request, person, "destination_test.html", active="settings", report=report)
