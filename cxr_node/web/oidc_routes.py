"""People who come from an OpenID Provider: sent there, and let in when they come back."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import RedirectResponse
from itsdangerous import BadSignature, URLSafeTimedSerializer

from cxr_node.settings.root import Settings
from cxr_node.web.access import Guard
from cxr_node.web.access_audit import address_of
from cxr_node.web.context import WebContext
from cxr_node.web.oidc import Attempt, Known, NotLoggedIn, Provider
from cxr_node.web.pages import keep_session, login_form

COOKIE = "cxr-node-login"
BACK = "/login/oidc/back"
_WAITS_S = 600
"""How long someone may take to log in over there."""
_SHOWN = 64


def router(settings: Settings, key: bytes) -> APIRouter:
    """Return the two addresses of a login elsewhere: where it begins and where it comes back to."""
    made = APIRouter(include_in_schema=False)
    provider = Provider(settings.oidc)
    signer = URLSafeTimedSerializer(key, salt="login elsewhere", signer_kwargs={"digest_method": hashlib.sha256})

    @made.get("/login/oidc")
    def go(request: Request) -> Response:
        """Send a browser to the provider."""
        try:
            address, attempt = provider.begin()
        except NotLoggedIn as error:
            return _refused(request, error)
        answer = RedirectResponse(address, status.HTTP_303_SEE_OTHER)
        # Lax: the provider's answer is a navigation from another site, and must find it.
        answer.set_cookie(
            COOKIE,
            signer.dumps(asdict(attempt)),
            max_age=_WAITS_S,
            path=BACK,
            httponly=True,
            samesite="lax",
            secure=settings.web.secure_cookie,
        )
        return answer

    @made.get(BACK)
    def come_back(request: Request) -> Response:
        """Let in whom the provider names, if it was this browser that was sent there."""
        try:
            who = provider.finish(_begun(request, signer), code=_code(request.query_params))
        except NotLoggedIn as error:
            return _refused(request, error)
        return _welcome(request, who)

    return made


def _begun(request: Request, signer: URLSafeTimedSerializer) -> Attempt:
    """Return the login that this browser has begun, whose state the answer must repeat."""
    try:
        attempt = Attempt(**signer.loads(request.cookies.get(COOKIE, ""), max_age=_WAITS_S))
    except BadSignature as error:
        raise NotLoggedIn("no login was begun here in the last minutes") from error
    if not hmac.compare_digest(request.query_params.get("state", "").encode(), attempt.state.encode()):
        raise NotLoggedIn("the answer is not to the login that was begun here")
    return attempt


def _code(answer: Mapping[str, str]) -> str:
    code = answer.get("code", "")
    if not code:
        said = "".join(each for each in answer.get("error", "no code")[:_SHOWN] if each.isalnum() or each in " _-")
        raise NotLoggedIn(f"the provider says {said}")
    return code


def _welcome(request: Request, who: Known) -> Response:
    desk: WebContext = request.app.state.desk
    guard: Guard = request.app.state.guard
    desk.access_audit.tried_to_log_in(who.name, address_of(request), failure="")
    # A page, not a redirection: a browser that comes from another site shows no strict cookie along one.
    template = request.app.state.templates.get_template("welcome.html")
    page = template.render(person=None, node=desk.settings.node.name, here="")
    answer = Response(page, media_type="text/html")
    session = guard.let_in(who.name, is_operator=who.is_operator, sees_films=who.sees_films)
    keep_session(answer, session, desk.settings.web)
    answer.delete_cookie(COOKIE, path=BACK)
    return answer


def _refused(request: Request, error: NotLoggedIn) -> Response:
    desk: WebContext = request.app.state.desk
    desk.access_audit.tried_to_log_in(error.name or "oidc/", address_of(request), failure=str(error))
    answer = login_form(request, wrong=f"Not logged in: {error}.", code=status.HTTP_401_UNAUTHORIZED)
    answer.delete_cookie(COOKIE, path=BACK)
    return answer
