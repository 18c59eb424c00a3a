"""Page of one's own password: changed by everyone whose user is in the database."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response, status
from fastapi.responses import RedirectResponse

from cxr_node.ops.users import UserAdministration, UserProblem
from cxr_node.web.access import Authenticator, LoggedIn, Person, TooManyAttempts, require_token
from cxr_node.web.access_audit import AccessAudit, address_of
from cxr_node.web.bounded_work import BoundedPool
from cxr_node.web.context import WebContext
from cxr_node.web.pages import render_page, set_session_cookie

pages = APIRouter(include_in_schema=False)
Password = Annotated[str, Form(max_length=4096)]


def _require_own_password(person: LoggedIn) -> Person:
    if not person.has_own_password:
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            "your password is not kept here: it is that of the settings file, or of the provider that you log in with",
        )
    return person


HasOwnPassword = Annotated[Person, Depends(_require_own_password)]


@pages.get("/password")
def password_page(request: Request, person: HasOwnPassword) -> Response:
    """Show the form."""
    return _page(request, person)


@pages.post("/password")
async def change_password(
    request: Request,
    person: HasOwnPassword,
    token: Annotated[str, Form()],
    old: Password,
    new: Password,
    again: Password,
) -> Response:
    """Change the password, and go on with a new session; the others of this user end."""
    require_token(person, token)
    pool: BoundedPool = request.app.state.login_pool
    return await pool.run(partial(_change, request, person, old, new, again), address=address_of(request))


def _change(request: Request, person: Person, old: str, new: str, again: str) -> Response:
    context: WebContext = request.app.state.context
    authenticator: Authenticator = request.app.state.authenticator
    access_audit: AccessAudit = context.access_audit
    address = address_of(request)
    try:
        if not authenticator.is_password(person.name, old, address=address):
            access_audit.record_login(person.name, address, failure="wrong old password")
            return _page(request, person, failure="The old password is wrong.")
    except TooManyAttempts:
        failure = "Too many wrong passwords: wait a minute."
        return _page(request, person, failure=failure, code=status.HTTP_429_TOO_MANY_REQUESTS)
    if new != again:
        return _page(request, person, failure="The new password was not entered the same twice.")
    if new == old:
        return _page(request, person, failure="The new password is the old one.")
    try:
        UserAdministration(process=context.process, by=person.actor).set_password(person.name, new)
    except UserProblem as error:
        return _page(request, person, failure=str(error))
    session = authenticator.log_in(person.name, new, address=address)
    if session is None:  # locked in this moment
        return RedirectResponse("/login", status.HTTP_303_SEE_OTHER)
    access_audit.record_login(person.name, address, failure="")
    response = RedirectResponse("/password?done=1", status.HTTP_303_SEE_OTHER)
    set_session_cookie(response, session, context.settings.web)
    return response


def _page(request: Request, person: Person, *, failure: str = "", code: int = status.HTTP_400_BAD_REQUEST) -> Response:
    context: WebContext = request.app.state.context
    page = render_page(
        request,
        person,
        "own_password.html",
        active="password",
        minimum=context.settings.web.minimum_password_characters,
        is_done="done" in request.query_params and not failure,
        failure=failure,
    )
    page.status_code = code if failure else status.HTTP_200_OK
    return page
