"""Settings of the de-identified export."""

from typing import Annotated

from pydantic import Field

from cxr_node.domain.secret import SecretText, secret_form
from cxr_node.domain.section import Section
from cxr_node.export.pseudonyms import LEAST_SECRET_CHARACTERS

_FORM = secret_form(
    f"(.{{{LEAST_SECRET_CHARACTERS},1024}})?",
    f"at least {LEAST_SECRET_CHARACTERS} characters, such as `openssl rand -hex 32` prints",
)


class ExportSection(Section):
    """De-identified export of films and results, `cxr-node export`."""

    secret: Annotated[SecretText, _FORM] = Field(
        SecretText(""),
        description="Secret of pseudonyms, UIDs and moved dates, with which the patient of a pseudonym can be found; "
        "empty: the command needs --secret-file.",
    )
