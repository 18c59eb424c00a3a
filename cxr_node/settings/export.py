"""Settings of the de-identified export."""

from typing import Annotated

from pydantic import Field

from cxr_node.domain.secret import SecretText, secret_form
from cxr_node.domain.section import Section

_FORM = secret_form(r"(.{32,1024})?", "at least 32 characters, such as `openssl rand -hex 32` prints")


class ExportSection(Section):
    """De-identified export of films and results, `cxr-node export`."""

    secret: Annotated[SecretText, _FORM] = Field(
        SecretText(""),
        description="Secret of pseudonyms, UIDs and moved dates, with which the patient of a pseudonym can be found; "
        "empty: the command needs --secret-file.",
    )
