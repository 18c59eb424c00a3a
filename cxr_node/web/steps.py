"""Page and JSON resource of one step of a worklist."""

from typing import Any

from fastapi import APIRouter, Response
from starlette.requests import Request

from cxr_node.domain.procedure_step import REASONS
from cxr_node.queries.worklist_steps import step_detail, transaction_uid
from cxr_node.web import models
from cxr_node.web.access import LoggedIn, Person
from cxr_node.web.api import ABSENT, REFUSALS, Number
from cxr_node.web.context import InContext, WebContext, or_404
from cxr_node.web.pages import render_page

api = APIRouter(prefix="/api/v1", responses=REFUSALS)
pages = APIRouter(include_in_schema=False)


@api.get("/steps/{step_id}", response_model=models.StepDetail, responses=ABSENT)
def get_step(context: InContext, person: LoggedIn, step_id: Number) -> Any:
    """Return a step of a worklist with the films and results of its study, and what happened when."""
    return _detail(context, person, step_id)


@pages.get("/steps/{step_id}")
def step_page(request: Request, context: InContext, person: LoggedIn, step_id: Number) -> Response:
    """Show a step: state, times, films, results, events; for operators the Transaction UID."""
    detail = _detail(context, person, step_id)
    reason = REASONS.get(detail["step"]["reason"] or "")
    return render_page(
        request, person, "step.html", active="steps", meaning="" if reason is None else reason.meaning, **detail
    )


def _detail(context: WebContext, person: Person, step_id: int) -> dict[str, Any]:
    with context.connection() as connection:
        detail = or_404(step_detail(connection, step_id, sees_films=person.sees_films), "step")
        shows_lock = person.is_operator and person.sees_films
        return {**detail, "transaction_uid": transaction_uid(connection, step_id) if shows_lock else ""}
