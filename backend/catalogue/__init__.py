"""What a configuration can name, and whether it is valid. Torch may be imported here."""

from backend.catalogue.catalogue import catalogue
from backend.catalogue.validation import validate, validate_all

__all__ = ["catalogue", "validate", "validate_all"]
