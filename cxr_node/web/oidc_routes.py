"""Routes of OpenID Connect logins: redirect to the provider, and callback."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from fastapi import APIRouter, Request, Response, status
from fastapi.responses import RedirectResponse
from itsdangerous import BadSignature, URLSafeTimedSerializer

from cxr_node.settings.root import Settings
from cxr_node.web.access import Authenticator
from cxr_node.web.access_audit import address_of
from cxr_node.web.bounded_work import BoundedPool
from cxr_node.web.context import WebContext
from cxr_node.web.oidc import LoginAttempt, OidcUser, Provider
from cxr_node.web.pages import login_form, set_session_cookie
from cxr_node.web.provider_client import LoginError

COOKIE = "cxr-node-login"
CALLBACK_PATH = "/login/oidc/callback"
_LOGIN_TIMEOUT_S = 600
"""Time allowed for the login at the provider."""
_MAX_ERROR_CHARACTERS = 64


def router(settings: Settings, key: bytes) -> APIRouter:
    """Return the routes that start and finish a login at the provider."""
    routes = APIRouter(include_in_schema=False)
    provider = Provider(settings.oidc)
    # Apart from passwords: local users log in while the provider does not respond.
    pool = BoundedPool("oidc", threads=4, places=16, places_per_address=8)
    signer = URLSafeTimedSerializer(key, salt="oidc login", signer_kwargs={"digest_method": hashlib.sha256})

    @routes.get("/login/oidc")
    async def start(request: Request) -> Response:
        """Redirect the browser to the provider."""
        return await pool.run(partial(_redirect, request, provider, signer), address=address_of(request))

    @routes.get(CALLBACK_PATH)
    async def finish(request: Request) -> Response:
        """Start a session for the person, if this browser started the login."""
        return await pool.run(partial(_finish, request, provider, signer), address=address_of(request))

    return routes


def _redirect(request: Request, provider: Provider, signer: URLSafeTimedSerializer) -> Response:
    try:
        address, attempt = provider.start_login()
    except LoginError as error:
        return _rejected(request, error)
    context: WebContext = request.app.state.context
    response = RedirectResponse(address, status.HTTP_303_SEE_OTHER)
    # Lax: the callback is a navigation from another site and needs this cookie.
    response.set_cookie(
        COOKIE,
        signer.dumps(asdict(attempt)),
        max_age=_LOGIN_TIMEOUT_S,
        path=CALLBACK_PATH,
        httponly=True,
        samesite="lax",
        secure=context.settings.web.secure_cookie,
    )
    return response


def _finish(request: Request, provider: Provider, signer: URLSafeTimedSerializer) -> Response:
    try:
        user = provider.finish_login(_attempt_of(request, signer), code=_code(request.query_params))
    except LoginError as error:
        return _rejected(request, error)
    return _logged_in(request, user)


def _attempt_of(request: Request, signer: URLSafeTimedSerializer) -> LoginAttempt:
    """Return the login that this browser started, after a check of the state parameter."""
    try:
        attempt = LoginAttempt(**signer.loads(request.cookies.get(COOKIE, ""), max_age=_LOGIN_TIMEOUT_S))
    except BadSignature as error:
        raise LoginError("this browser started no login in the last minutes") from error
    if not hmac.compare_digest(request.query_params.get("state", "").encode(), attempt.state.encode()):
        raise LoginError("the response is not for the login that this browser started")
    return attempt


def _code(parameters: Mapping[str, str]) -> str:
    code = parameters.get("code", "")
    if not code:
        text = parameters.get("error", "no code")[:_MAX_ERROR_CHARACTERS]
        error = "".join(character for character in text if character.isalnum() or character in " _-")
        raise LoginError(f"the provider reports {error}")
    return code


def _logged_in(request: Request, user: OidcUser) -> Response:
    context: WebContext = request.app.state.context
    authenticator: Authenticator = request.app.state.authenticator
    context.access_audit.record_login(user.name, address_of(request), failure="")
    # A page, not a redirect: browsers send no SameSite=Strict cookie on a redirect from another site.
    template = request.app.state.templates.get_template("welcome.html")
    page = template.render(person=None, node=context.settings.node.name, active="")
    response = Response(page, media_type="text/html")
    session = authenticator.start_session(user.name, user.permissions, address=address_of(request))
    set_session_cookie(response, session, context.settings.web)
    response.delete_cookie(COOKIE, path=CALLBACK_PATH)
    return response


def _rejected(request: Request, error: LoginError) -> Response:
    context: WebContext = request.app.state.context
    context.access_audit.record_login(error.name or "oidc/", address_of(request), failure=str(error))
    response = login_form(request, failure=f"Not logged in: {error}.", code=status.HTTP_401_UNAUTHORIZED)
    response.delete_cookie(COOKIE, path=CALLBACK_PATH)
    return response
