"""Settings page: every setting with value, default, meaning and place; searched by text."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from cxr_node.ops import settings_list
from cxr_node.web.access import LoggedIn
from cxr_node.web.context import InContext
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
