"""Users page and its JSON: users added, changed and locked, and sessions ended, by operators."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Query, Request, Response, status
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from cxr_node.domain.permissions import PageRole, Permissions
from cxr_node.ops.users import UserAdministration, UserProblem, UserStatus
from cxr_node.web.access import HasOperatorRole, Operator, Person
from cxr_node.web.api import REFUSALS
from cxr_node.web.context import InContext, WebContext
from cxr_node.web.pages import render_page

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1", responses=REFUSALS)
_DONE = {
    "added": "The user was added.",
    "password": "The password was changed; sessions of the user have ended.",
    "permissions": "The permissions were changed; sessions of the user have ended.",
    "lock": "The user is locked; sessions of the user have ended.",
    "unlock": "The user can log in again.",
    "sessions": "The sessions have ended.",
}


class UserRow(BaseModel):
    """A user of the page."""

    name: str
    role: PageRole
    sees_films: bool
    sees_identifiers: bool
    is_of_settings: bool
    locked_at: datetime | None
    created_at: datetime | None
    created_by: str
    password_changed_at: datetime | None
    last_login: datetime | None
    open_sessions: int


def form_permissions(
    role: Annotated[PageRole, Form()] = PageRole.VIEWER,
    sees_films: Annotated[bool, Form()] = False,
    sees_identifiers: Annotated[bool, Form()] = False,
) -> Permissions:
    return Permissions(role=role, sees_films=sees_films, sees_identifiers=sees_identifiers)


FormPermissions = Annotated[Permissions, Depends(form_permissions)]
UserName = Annotated[str, Form(max_length=128)]
Password = Annotated[str, Form(max_length=4096)]


@api.get("/users", response_model=list[UserRow])
def get_users(context: InContext, person: HasOperatorRole) -> Any:
    """Return the users of the page, for operators."""
    return [_row(state) for state in _administration(context, person).statuses()]


@pages.get("/users")
def users_page(
    request: Request, context: InContext, person: HasOperatorRole, done: Annotated[str, Query(max_length=16)] = ""
) -> Response:
    """Show users and sessions."""
    return _page(request, context, person, message=_DONE.get(done, ""))


@pages.post("/users")
def add_user(
    request: Request,
    context: InContext,
    person: Operator,
    name: UserName,
    password: Password,
    permissions: FormPermissions,
) -> Response:
    """Add a user."""
    check_may_grant(person, permissions)
    return _change(request, context, person, "added", lambda users: users.add(name, password, permissions))


@pages.post("/users/password")
def set_password(
    request: Request, context: InContext, person: Operator, name: UserName, password: Password
) -> Response:
    """Set the password of a user."""

    def change(users: UserAdministration) -> None:
        check_may_grant(person, users.user(name).permissions)
        users.set_password(name, password)

    return _change(request, context, person, "password", change)


@pages.post("/users/permissions")
def set_permissions(
    request: Request, context: InContext, person: Operator, name: UserName, permissions: FormPermissions
) -> Response:
    """Set role and film access of a user."""

    def change(users: UserAdministration) -> None:
        check_may_grant(person, users.user(name).permissions)
        check_may_grant(person, permissions)
        if name == person.name and permissions.role is not PageRole.OPERATOR:
            raise UserProblem("you cannot take the role of operator from yourself; another operator can")
        users.set_permissions(name, permissions)

    return _change(request, context, person, "permissions", change)


@pages.post("/users/lock")
def lock(request: Request, context: InContext, person: Operator, name: UserName) -> Response:
    """Lock a user."""

    def change(users: UserAdministration) -> None:
        check_may_grant(person, users.user(name).permissions)
        if name == person.name:
            raise UserProblem("you cannot lock yourself; another operator can")
        users.lock(name)

    return _change(request, context, person, "lock", change)


@pages.post("/users/unlock")
def unlock(request: Request, context: InContext, person: Operator, name: UserName) -> Response:
    """Unlock a user."""

    def change(users: UserAdministration) -> None:
        check_may_grant(person, users.user(name).permissions)
        users.unlock(name)

    return _change(request, context, person, "unlock", change)


@pages.post("/users/end-sessions")
def end_sessions(request: Request, context: InContext, person: Operator, name: UserName) -> Response:
    """End all sessions of a person."""

    def change(users: UserAdministration) -> None:
        users.end_sessions(name)

    return _change(request, context, person, "sessions", change)


@pages.post("/users/end-session")
def end_session(
    request: Request, context: InContext, person: Operator, session: Annotated[int, Form(ge=1, le=2**63 - 1)]
) -> Response:
    """End one session."""
    return _change(request, context, person, "sessions", lambda users: users.end_session(session))


def _change(
    request: Request, context: WebContext, person: Person, done: str, change: Callable[[UserAdministration], None]
) -> Response:
    """Make a change and show the page again, or show the page with the reason why it was not made."""
    try:
        change(_administration(context, person))
    except UserProblem as error:
        return _page(request, context, person, failure=str(error), code=status.HTTP_400_BAD_REQUEST)
    return RedirectResponse(f"/users?done={done}", status.HTTP_303_SEE_OTHER)


def _page(
    request: Request,
    context: WebContext,
    person: Person,
    *,
    message: str = "",
    failure: str = "",
    code: int = status.HTTP_200_OK,
) -> Response:
    administration = _administration(context, person)
    statuses = administration.statuses()
    page = render_page(
        request,
        person,
        "users.html",
        active="users",
        statuses=statuses,
        sessions=administration.sessions(),
        minimum=context.settings.web.minimum_password_characters,
        message=message,
        failure=failure,
    )
    page.status_code = code
    return page


def _administration(context: WebContext, person: Person) -> UserAdministration:
    return UserAdministration(process=context.process, by=f"person/{person.name}")


def check_may_grant(person: Person, permissions: Permissions) -> None:
    """Refuse changes of users who may more than the person who changes them."""
    if not person.permissions.includes(permissions):
        raise HTTPException(
            status.HTTP_403_FORBIDDEN, "you may only give and change permissions that you have yourself"
        )


def _row(state: UserStatus) -> UserRow:
    user = state.user
    return UserRow(
        name=user.name,
        role=user.permissions.role,
        sees_films=user.permissions.sees_films,
        sees_identifiers=user.permissions.sees_identifiers,
        is_of_settings=user.is_of_settings,
        locked_at=user.locked_at,
        created_at=user.created_at,
        created_by=user.created_by,
        password_changed_at=user.password_changed_at,
        last_login=state.last_login,
        open_sessions=len(state.sessions),
    )
