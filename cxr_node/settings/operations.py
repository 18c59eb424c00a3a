"""Settings of what people and other systems are told: audit, page, logins, traces, alarms."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cxr_node.domain.section import OptionalPath, Port, Seconds, Section
from cxr_node.net.tls_settings import TlsClient


class AuditSection(TlsClient):
    """The trail of who did what with whose films: DICOM audit messages in files, and to a syslog receiver."""

    enabled: bool = Field(True, description="Whether the trail is kept, in the data folder's audit.")
    associations: bool = Field(
        True, description="Whether accepted associations are recorded; those that are refused always are."
    )
    keep_days: int = Field(
        0, ge=0, description="Days after which a file is removed, once the receiver has it; 0 for never."
    )
    source_id: str = Field("", max_length=64, description="What the trail calls this node; empty: its name.")
    enterprise_site_id: str = Field("", max_length=64, description="What it calls the site, if anything.")
    syslog_host: str = Field("", description="Address of the syslog receiver; empty for none.")
    syslog_port: Port = Field(6514, description="Its TCP port.")
    syslog_transport: Literal["tls", "tcp"] = Field(
        "tls", description='"tls", which requires tls_ca, or "tcp", which sends patient IDs unencrypted.'
    )
    tls_ca: OptionalPath = Field(None, description="PEM file of the certificate authorities trusted for the receiver.")

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield which TLS settings are set without another that they need, or are missing."""
        yield from super().contradictions(key)
        if self.syslog_host and self.syslog_transport == "tls" and not self.tls_ca:
            yield f'{key}.syslog_host: needs {key}.tls_ca, or syslog_transport = "tcp", which hides nothing'


class PageUserSection(Section):
    """A person who may log in to the page."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$", description="User name.")
    password_hash: str = Field(
        pattern=r"^scrypt:\d{1,7}:\d{1,2}:\d{1,2}:[0-9a-f]{32}:[0-9a-f]{64}$",
        description="What `cxr-node config password` prints.",
    )
    role: Literal["viewer", "operator"] = Field(
        "viewer", description='"viewer" looks; "operator" may also let jobs run again.'
    )
    sees_films: bool = Field(False, description="Whether films, and what was said of them, are shown to this person.")


class OidcSection(Section):
    """Logins to the page by OpenID Connect, beside web.users: what a person may follows from roles named there."""

    issuer: str = Field(
        "",
        pattern=r"^(https://\S+|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?\S*)?$",
        description="The provider's issuer, as it writes it; empty for none. https, or http on this machine.",
    )
    client_id: str = Field("", description="As what this node is registered there.")
    client_secret: str = Field("", description="Its secret; empty for a public client, which PKCE protects alone.")
    redirect_url: str = Field(
        "http://127.0.0.1:8011/login/oidc/callback",
        pattern=r"^https?://\S+/login/oidc/callback$",
        description="Redirect URI, as registered at the provider: the page's address and /login/oidc/callback.",
    )
    label: str = Field("OpenID Connect", max_length=64, description="What the button on the login page names.")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description='What is asked for; "openid" must be there.')
    name_claim: str = Field("preferred_username", description="The claim that is a person's name in the audit trail.")
    roles_claim: str = Field("realm_access.roles", description="The claim with a person's roles; dots lead into it.")
    viewers: tuple[str, ...] = Field((), description="Roles that may look.")
    operators: tuple[str, ...] = Field((), description="Roles that may look, and let jobs run again.")
    see_films: tuple[str, ...] = Field((), description="Roles that are shown films, and what was said of them.")
    tls_ca: OptionalPath = Field(
        None, description="PEM file of the certificate authorities trusted for the provider; empty for the system's."
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield what is missing for logins by OpenID Connect, if `issuer` is set."""
        if not self.issuer:
            return
        if not self.client_id:
            yield f"{key}.client_id: must be set where {key}.issuer is"
        if "openid" not in self.scopes:
            yield f'{key}.scopes: must hold "openid", or the provider names nobody'
        if not self.viewers and not self.operators:
            yield f"{key}.viewers and {key}.operators: name a role in one of them, or nobody may log in"


class WebSection(Section):
    """The page for people, its JSON, the metrics and the health checks: one address, in a process of its own."""

    host: str = Field("127.0.0.1", description="Address to listen on; beyond this machine only behind TLS.")
    port: Port = Field(8011, description="TCP port to listen on; 0 takes a free one.")
    secure_cookie: bool = Field(
        False, description="Whether browsers show the session over HTTPS only: set it behind a proxy with TLS."
    )
    session_s: Seconds = Field(28800.0, description="How long a login lasts, in seconds.")
    users: tuple[PageUserSection, ...] = Field((), description="Who may log in; empty: nobody.")


class TraceSection(Section):
    """Traces for an OpenTelemetry collector: the way of each study from C-STORE to delivery, by OTLP over HTTP."""

    endpoint: str = Field(
        "",
        pattern=r"^(https?://\S{1,400})?$",
        description="The collector's address for traces, such as http://127.0.0.1:4318/v1/traces; empty: no traces.",
    )
    headers: tuple[str, ...] = Field((), description='What each request carries, such as "Authorization=Bearer x".')
    timeout_s: Seconds = Field(5.0, le=8.0, description="How long the collector may take to answer, in seconds.")
    every_s: Seconds = Field(5.0, description="How often it is told, in seconds.")


class AlertSection(Section):
    """Who is told, once, when something is wrong: jobs that fail or are stuck, disk, certificates, database."""

    webhook: str = Field(
        "", pattern=r"^(https?://\S{1,400})?$", description="Address that a JSON message is posted to; empty for none."
    )
    mail_to: tuple[str, ...] = Field((), description="Who is sent an e-mail; empty for nobody.")
    mail_from: str = Field("cxr-node@localhost", description="Whom that e-mail is from.")
    mail_host: str = Field("127.0.0.1", description="Mail server.")
    mail_port: Port = Field(25, description="Its TCP port.")
    mail_tls: bool = Field(False, description="Whether the mail server must speak STARTTLS.")
    every_s: Seconds = Field(60.0, description="How often is looked, in seconds.")
