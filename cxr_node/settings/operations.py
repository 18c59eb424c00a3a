"""Settings of audit trail, web page, logins, traces and alarms."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cxr_node.domain.permissions import PageRole
from cxr_node.domain.secret import SecretText, SecretUrl, secret_form
from cxr_node.domain.section import (
    MailAddress,
    OptionalPath,
    PasswordHashText,
    PeerPort,
    Port,
    Seconds,
    Section,
    text_form,
)
from cxr_node.net.tls_settings import TlsClient

_HEADER = secret_form(r"[!-<>-~]{1,100}=[ -~]{1,4000}", '"Name=value"')
_HTTP_URL = secret_form(r"(https?://\S{1,400})?", "http://... or https://..., at most 400 characters")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class AuditSection(TlsClient):
    """Audit trail: DICOM audit messages (PS3.15 annex A.5) in files, and to a syslog receiver."""

    enabled: bool = Field(True, description="Write the audit trail to the folder audit of the data folder.")
    associations: bool = Field(True, description="Record accepted associations. Rejected ones are always recorded.")
    keep_days: int = Field(
        0, ge=0, description="Retention of trail files, in days, once the syslog receiver has them; 0: unlimited."
    )
    source_id: str = Field("", max_length=64, description="Audit Source ID; empty: node.name.")
    enterprise_site_id: str = Field("", max_length=64, description="Audit Enterprise Site ID; empty: none.")
    syslog_host: str = Field("", description="Address of the syslog receiver; empty: none.")
    syslog_port: PeerPort = Field(6514, description="TCP port of the syslog receiver.")
    syslog_transport: Literal["tls", "tcp"] = Field(
        "tls", description='"tls", which requires tls_ca, or "tcp", which sends patient IDs unencrypted.'
    )
    tls_ca: OptionalPath = Field(None, description="PEM file of the certificate authorities trusted for the receiver.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each missing TLS setting."""
        yield from super().contradictions(key)
        if self.syslog_host and self.syslog_transport == "tls" and not self.tls_ca:
            yield f'{key}.syslog_host: needs {key}.tls_ca, or syslog_transport = "tcp", which is unencrypted'


USER_NAME = r"^[\w.@-]{1,64}$"


class PageUserSection(Section):
    """User of the web page. `cxr-node user add` adds users to the database instead, without a restart."""

    name: Annotated[str, text_form(USER_NAME, "1 to 64 letters, digits, or any of . _ - @")] = Field(
        description="User name."
    )
    password_hash: PasswordHashText = Field(description="Hash that `cxr-node config password` prints.")
    role: PageRole = Field(
        PageRole.VIEWER, description='"viewer" reads; "operator" may also change the node and its work.'
    )
    sees_films: bool = Field(False, description="Permit films and their readings.")
    sees_identifiers: bool = Field(
        False,
        description="Permit accession numbers, Patient IDs and study dates, and search by them, which is audited; "
        "needs sees_films.",
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for identifiers without films."""
        if self.sees_identifiers and not self.sees_films:
            yield f"{key}.sees_identifiers: needs sees_films, as identifiers are shown on the pages of films"


class OidcSection(Section):
    """Logins to the web page by OpenID Connect, in addition to web.users. Roles of the provider give permissions."""

    issuer: Annotated[
        SecretUrl,
        secret_form(
            r"(https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?\S*)?",
            "https://HOST/..., or http:// on this host",
        ),
    ] = Field(
        SecretUrl(""),
        description="Issuer URL, exactly as the provider states it; empty: no OpenID Connect. http only on this host.",
    )
    client_id: str = Field("", description="Client ID of this node at the provider.")
    client_secret: SecretText = Field(
        SecretText(""), description="Client secret; empty: public client, protected by PKCE only."
    )
    redirect_url: Annotated[
        SecretUrl, secret_form(r"https?://\S+/login/oidc/callback", "http(s)://HOST/login/oidc/callback")
    ] = Field(
        SecretUrl("http://127.0.0.1:8011/login/oidc/callback"),
        description="Redirect URI, as registered at the provider: the page's address and /login/oidc/callback.",
    )
    label: str = Field("OpenID Connect", max_length=64, description="Text of the login button.")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description='Requested scopes; must include "openid".')
    name_claim: str = Field("preferred_username", description="Claim with the user name, for the audit trail.")
    roles_claim: str = Field("realm_access.roles", description="Claim with the roles; dots separate nested keys.")
    viewers: tuple[str, ...] = Field((), description="Roles that may read.")
    operators: tuple[str, ...] = Field((), description="Roles that may read, and requeue jobs.")
    see_films: tuple[str, ...] = Field((), description="Roles that may see films and their readings.")
    see_identifiers: tuple[str, ...] = Field(
        (), description="Roles that may also see accession numbers, Patient IDs and study dates, and search by them."
    )
    tls_ca: OptionalPath = Field(
        None, description="PEM file of the certificate authorities trusted for the provider; empty for the system's."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for each missing setting, if `issuer` is set."""
        if not self.issuer:
            return
        if not self.client_id:
            yield f"{key}.client_id: must be set where {key}.issuer is"
        if "openid" not in self.scopes:
            yield f'{key}.scopes: must include "openid", or the provider returns no user'
        if not self.viewers and not self.operators:
            yield f"{key}.viewers and {key}.operators: set one of them, or no role may log in"


class WebSection(Section):
    """Web server: pages, JSON, metrics and health checks."""

    host: str = Field("127.0.0.1", description="Address to listen on. For other hosts, use a reverse proxy with TLS.")
    port: Port = Field(8011, description="TCP port to listen on; 0: any free port.")
    secure_cookie: bool = Field(
        False, description="Mark the session cookie Secure (HTTPS only). Set it behind a proxy with TLS."
    )
    session_s: Seconds = Field(28800.0, description="Lifetime of a session, in seconds.")
    minimum_password_characters: int = Field(
        15, ge=8, le=64, description="Minimum length of new passwords, in characters; NIST SP 800-63B-4 requires 15."
    )
    learn: bool = Field(
        False,
        description="Serve the page /learn, on which one changes a phantom and sees its film and reading; needs half "
        "a gigabyte of memory while it is used.",
    )
    users: tuple[PageUserSection, ...] = Field((), description="Users beside those of the database; empty: none.")


class TraceSection(Section):
    """OpenTelemetry traces of each study from C-STORE to delivery, by OTLP over HTTP. Requires the extra otel."""

    endpoint: Annotated[SecretUrl, _HTTP_URL] = Field(
        SecretUrl(""),
        description="Traces URL of the collector, such as http://127.0.0.1:4318/v1/traces; empty: no traces.",
    )
    headers: tuple[Annotated[SecretText, _HEADER], ...] = Field(
        (), description='HTTP headers of each request, such as "Authorization=Bearer x".'
    )
    timeout_s: Seconds = Field(5.0, le=8.0, description="Timeout of a request, in seconds.")
    every_s: Seconds = Field(5.0, description="Export interval, in seconds.")


class AlertSection(Section):
    """Alarms, sent once at begin and end: failed or overdue jobs, disk space, certificates, database, model."""

    webhook: Annotated[SecretText, _HTTP_URL] = Field(
        SecretText(""), description="URL that a JSON message is posted to; empty: none."
    )
    mail_to: tuple[MailAddress, ...] = Field((), description="E-mail recipients; empty: none.")
    mail_from: MailAddress = Field("cxr-node@localhost", description="E-mail sender.")
    mail_host: str = Field("127.0.0.1", description="SMTP server.")
    mail_port: PeerPort = Field(25, description="TCP port of the SMTP server.")
    mail_tls: bool = Field(False, description="Require STARTTLS.")
    mail_user: str = Field("", description="User name at the SMTP server; empty: no login.")
    mail_password: SecretText = Field(SecretText(""), description="Password of mail_user.")
    every_s: Seconds = Field(60.0, description="Interval of the checks, in seconds.")
    destination_unreachable_s: Seconds = Field(
        300.0, description="Time after which an unreachable destination is an alarm, in seconds."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for an incomplete or unencrypted login at the SMTP server."""
        if bool(self.mail_user) != bool(self.mail_password):
            yield f"{key}.mail_user and {key}.mail_password: one is of no use without the other"
        if self.mail_password and not self.mail_tls and self.mail_host not in _LOOPBACK:
            yield f"{key}.mail_password: needs {key}.mail_tls = true, or the password is sent in plain text"
