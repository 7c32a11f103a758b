"""The demo: a study in small, from raw text to a page, on what comes with babyeval."""

from .model import make_tiny_model

__all__ = ["make_tiny_model"]
