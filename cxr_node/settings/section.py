"""What every table of the settings file is, and the kinds of value they share."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cxr_node.domain.identifiers import AeTitle, parse_ae_title


def _ae_title(text: str) -> AeTitle:
    return parse_ae_title(text)


Title = Annotated[str, AfterValidator(_ae_title)]


Port = Annotated[int, Field(ge=0, le=65535)]


Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the file. Unknown keys are errors: a misspelt setting is not to be passed over in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)
