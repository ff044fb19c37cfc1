"""What every group of settings is, and how a secret among them is read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr


class Section(BaseModel):
    """A group of settings: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def reveal(secret: SecretStr | None) -> str | None:
    """Return the secret's text; None for none."""
    return None if secret is None else secret.get_secret_value()
