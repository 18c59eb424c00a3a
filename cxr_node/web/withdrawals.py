"""Withdrawal of a study's films and results by an operator: a page that says what each action does."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Query, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.domain.rejection_titles import RejectionTitle
from cxr_node.ops import withdrawals
from cxr_node.ops.withdrawals import CAUSES, NothingWithdrawn
from cxr_node.queries import browse
from cxr_node.queries.study_status import study_status
from cxr_node.web.access import HasOperatorRole, Operator
from cxr_node.web.context import InContext, or_404
from cxr_node.web.pages import render_page

router = APIRouter(include_in_schema=False)
_NUMBER = {"ge": 1, "le": 2**63 - 1}
Study = Annotated[int, Query(**_NUMBER)]
FormStudy = Annotated[int, Form(**_NUMBER)]
Note = Annotated[str, Form(max_length=200)]


@router.get("/actions/withdraw")
def withdraw_page(request: Request, context: InContext, person: HasOperatorRole, study: Study) -> Response:
    """Show what withdrawing and issuing anew would do, and what was withdrawn already."""
    with context.connection() as connection:
        uid = or_404(browse.study_uid(connection, study), "study")
        summary = study_status(connection, uid)["summary"]
    values = {"study_id": study, "summary": summary, "causes": CAUSES}
    return render_page(request, person, "withdraw.html", active="studies", **values)


@router.post("/actions/withdraw")
def withdraw(
    context: InContext,
    person: Operator,
    study: FormStudy,
    cause: Annotated[Literal["safety", "worklist", "quality"], Form()] = "safety",
    note: Note = "",
) -> Response:
    """Withdraw the films of a study, and the results that they are in."""
    try:
        withdrawals.withdraw(context.process, study, title=CAUSES[cause], note=note, by=person.actor)
    except NothingWithdrawn as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
    return _back(study)


@router.post("/actions/withdraw/undo")
def restore(context: InContext, person: Operator, study: FormStudy) -> Response:
    """Show the withdrawn films of a study again."""
    try:
        withdrawals.restore(context.process, study, by=person.actor)
    except NothingWithdrawn as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
    return _back(study)


@router.post("/actions/reissue")
def reissue(context: InContext, person: Operator, study: FormStudy, note: Note = "") -> Response:
    """Withdraw the results of a study, and issue them anew."""
    with context.connection() as connection:
        or_404(browse.study_uid(connection, study), "study")
    try:
        withdrawals.reissue(context.process, study, title=RejectionTitle.WORKLIST, note=note, by=person.actor)
    except NothingWithdrawn as error:
        raise HTTPException(status.HTTP_409_CONFLICT, str(error)) from None
    return _back(study)


def _back(study: int) -> Response:
    return RedirectResponse(f"/studies/{study}", status.HTTP_303_SEE_OTHER)
