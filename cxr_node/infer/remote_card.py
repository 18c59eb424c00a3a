"""Card table of a network that runs on an inference server: model, version, and the names of its tensors."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
ModelVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
TensorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./:-]{0,99}$")]

DEFAULT_INPUT = "film"


class RemoteNetwork(BaseModel):
    """Model on an inference server: every response must state this name and version.

    `input` is the name of the input tensor, shape (1, channels, rows, columns), prepared as the card states; `outputs`
    maps an output of the card to the tensor that holds it, by default of the same name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: ModelName
    version: ModelVersion
    input: TensorName = DEFAULT_INPUT
    datatype: Literal["FP32", "FP16"] = "FP32"
    outputs: dict[str, TensorName] = Field(default_factory=dict)

    def tensor_of(self, output: str) -> str:
        """Return the name of the tensor that holds an output of the card."""
        return self.outputs.get(output, output)

    def __str__(self) -> str:
        return f"remote model {self.model} version {self.version}"
