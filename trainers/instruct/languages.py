"""Which language a text is in, of those that babyeval's instruction data has."""

from __future__ import annotations

from collections.abc import Callable

from babyeval.errors import MissingError

from .spec import LANGUAGES


def language_identifier() -> Callable[[str], str]:
    """Gives a function that says whether a text is English, French or Spanish.

    Restricted to these, the identification is right on most texts of a sentence or two; without the restriction it is poor.

    Raises:
        MissingError: The library py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise MissingError(
            "To filter rows by language, the library py3langid is needed.",
            hint="""pip install "babyeval[language]", or take 'languages' out of the set in the recipe.""",
        ) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    return lambda text: str(identifier.classify(text)[0])
