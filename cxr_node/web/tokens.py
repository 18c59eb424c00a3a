"""Page of API tokens and its JSON: tokens made, shown once, and revoked, by operators."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response, status
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from cxr_node.domain.permissions import PageRole
from cxr_node.ops.tokens import LONGEST_DAYS, TokenAdministration, TokenProblem
from cxr_node.web.access import HasOperatorRole, Operator, Person
from cxr_node.web.api import REFUSALS
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page
from cxr_node.web.users import FormPermissions, check_may_grant

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
TokenName = Annotated[str, Form(max_length=128)]


class TokenRow(BaseModel):
    """An API token, without its secret."""

    name: str
    role: PageRole
    sees_films: bool
    sees_identifiers: bool
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@api.get("/tokens", response_model=list[TokenRow])
def get_tokens(context: InContext, person: HasOperatorRole) -> Any:
    """Return the API tokens, the newest first, for operators; also expired and revoked ones."""
    return [
        TokenRow(
            name=token.name,
            role=token.permissions.role,
            sees_films=token.permissions.sees_films,
            sees_identifiers=token.permissions.sees_identifiers,
            created_at=token.created_at,
            created_by=token.created_by,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
            last_used_at=token.last_used_at,
        )
        for token in _administration(context, person).tokens()
    ]


@pages.get("/tokens")
def tokens_page(
    request: Request, context: InContext, person: HasOperatorRole, revoked: Annotated[bool, Query()] = False
) -> Response:
    """Show API tokens."""
    return _page(request, context, person, message="The token is revoked." if revoked else "")


@pages.post("/tokens")
def add_token(
    request: Request,
    context: InContext,
    person: Operator,
    name: TokenName,
    days: Annotated[int, Form(ge=1, le=LONGEST_DAYS)],
    permissions: FormPermissions,
) -> Response:
    """Make a token, and show it once."""
    check_may_grant(person, permissions)
    try:
        secret = _administration(context, person).add(name, permissions, days=days)
    except TokenProblem as error:
        return _page(request, context, person, failure=str(error))
    return _page(request, context, person, secret=secret)


@pages.post("/tokens/revoke")
def revoke(request: Request, context: InContext, person: Operator, name: TokenName) -> Response:
    """Revoke a token."""
    try:
        _administration(context, person).revoke(name)
    except TokenProblem as error:
        return _page(request, context, person, failure=str(error))
    return RedirectResponse("/tokens?revoked=true", status.HTTP_303_SEE_OTHER)


def _page(
    request: Request, context: WebContext, person: Person, *, message: str = "", failure: str = "", secret: str = ""
) -> Response:
    page = render_page(
        request,
        person,
        "tokens.html",
        active="users",
        tokens=_administration(context, person).tokens(),
        now=context.process.clock(),
        longest_days=LONGEST_DAYS,
        message=message,
        failure=failure,
        secret=secret,
    )
    page.status_code = status.HTTP_400_BAD_REQUEST if failure else status.HTTP_200_OK
    return page


def _administration(context: WebContext, person: Person) -> TokenAdministration:
    return TokenAdministration(process=context.process, by=f"person/{person.name}")
