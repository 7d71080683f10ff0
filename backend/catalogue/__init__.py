"""What a configuration can name, and whether it is valid. Torch may be imported here."""

from backend.catalogue.catalogue import catalogue
from backend.catalogue.validation import validate

__all__ = ["catalogue", "validate"]
