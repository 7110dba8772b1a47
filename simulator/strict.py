"""What every object of a scenario file or a control request is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Duration = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(ge=0.0)]
Text = Annotated[str, Field(min_length=1)]


class Words(BaseModel):
    """An unknown key is an error, and so is a value of another type; equal ones are equal."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
