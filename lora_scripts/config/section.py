"""What all sections of keys share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: frozen, no unknown keys, no guessing of types, defaults checked too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def title(cls, chinese: bool = False) -> str:
        """The name of a section: the first paragraph of its docstring, or the Chinese one."""
        english, _, other = (cls.__doc__ or "").partition("\n\n")
        return other.strip() if chinese else english.strip()
