"""The one pydantic base of every model: immutable, and strict about unknown keys."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST = 1_000_000_000
Figure = Annotated[int, Field(ge=0, le=MOST)]
"""MiB, GiB, vCPUs: more than any machine has. Far beyond, sums and solvers are exact no more."""


class Frozen(BaseModel):
    """An immutable value; an unknown key is an error, never silently dropped, and what is
    no number is none of its figures."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
