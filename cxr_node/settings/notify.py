"""Settings of notifications of findings."""

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from cxr_node.domain.secret import SecretUrl, secret_form
from cxr_node.domain.section import FindingKey, MailAddress, Seconds, Section, text_form

_HTTP_URL = secret_form(r"(https?://\S{1,400})?", "http://... or https://..., at most 400 characters")


class NotifyRuleSection(Section):
    """Rule of notifications: once a study that meets it, and a retraction when a later version no longer does."""

    name: Annotated[str, text_form(r"[A-Za-z0-9 ._-]{1,64}", "1 to 64 letters, digits, or any of . _ -")] = Field(
        description="Name of the rule, in messages."
    )
    findings: tuple[FindingKey, ...] = Field(
        (), description="Keys of findings, one of them present; empty: any finding."
    )
    minimum_score: float = Field(
        0.0, ge=0, le=100, description="Least score of the finding, 0 to 100, above its threshold anyhow."
    )
    webhook: Annotated[SecretUrl, _HTTP_URL] = Field(
        SecretUrl(""), description="URL that a JSON message is posted to; empty: none."
    )
    mail_to: tuple[MailAddress, ...] = Field(
        (), description="E-mail recipients, by the SMTP server of [alert]; empty: none."
    )
    identifiers: tuple[Literal["study", "accession"], ...] = Field(
        (),
        description='Identifiers in messages: "study" (UID), "accession"; empty: the number of the node only.',
    )

    def contradictions(self, key: str) -> Iterator[str]:
        """Yield a sentence for a rule without receivers."""
        if not self.webhook and not self.mail_to:
            yield f"{key}: set webhook or mail_to, or nobody is notified"
        if self.webhook and not _is_usable(self.webhook.get_secret_value()):
            yield f"{key}.webhook: the value is not right; expected http(s)://HOST:PORT/PATH, without user and password"


def _is_usable(url: str) -> bool:
    """Whether a URL has a host and a valid port, and no user information, which would not be sent."""
    try:
        address = urlsplit(url)
        return bool(address.hostname) and address.port != 0 and "@" not in address.netloc
    except ValueError:
        return False


class NotifySection(Section):
    """Notifications of findings by webhook and e-mail, within seconds of the report, without patient data."""

    every_s: Seconds = Field(1.0, description="Interval at which notifications that are due are sent, in seconds.")
    rules: tuple[NotifyRuleSection, ...] = Field((), description="Rules; empty: none.")
