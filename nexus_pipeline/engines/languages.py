"""Which language a text is in, and one code for the ways in which files name it. For transcripts that come as files.

What is heard has its language from the speech engine. Detection is restricted to widely spoken languages and to
lingua's low-accuracy mode: its full models take hundreds of megabytes, and a transcript is long enough without them.
"""

from functools import cache
from typing import Any

_NAMES = """
ARABIC BENGALI CHINESE CZECH DANISH DUTCH ENGLISH FINNISH FRENCH GERMAN GREEK HEBREW HINDI HUNGARIAN INDONESIAN
ITALIAN JAPANESE KOREAN BOKMAL PERSIAN POLISH PORTUGUESE ROMANIAN RUSSIAN SPANISH SWEDISH THAI TURKISH UKRAINIAN
VIETNAMESE
"""
LANGUAGES = tuple(_NAMES.split())
"""What is told apart, by lingua's names."""
LOOKED_AT = 4000
"""Characters of a text that are looked at."""

_LEAST = 20  # letters: less can be any language
_SURE = 0.1  # lingua's relative distance between the first two


def detect(text: str) -> str | None:
    """ISO 639-1 code of the language, or None where the text is too short or lingua is not sure."""
    looked = text[:LOOKED_AT]
    if sum(c.isalpha() for c in looked) < _LEAST:
        return None
    found = _detector().detect_language_of(looked)
    return _plain(found.iso_code_639_1.name.lower()) if found else None


def code(told: str | None) -> str | None:
    """`en`, `eng`, `en-US` and `English` -> `en`; None for what names no language that is known."""
    from lingua import Language

    wanted = (told or "").strip().lower().replace("_", "-").partition("-")[0]
    if wanted in {"no", "nor", "norwegian"}:
        return "no"
    for language in Language.all():
        names = {language.name.lower(), language.iso_code_639_1.name.lower(), language.iso_code_639_3.name.lower()}
        if wanted in names:
            return _plain(language.iso_code_639_1.name.lower())
    return None


def name(told: str | None) -> str | None:
    """`de` -> `German (de)`, for who reads it; a code that nobody knows stays as it is."""
    from lingua import Language

    wanted = (told or "").lower().replace("_", "-").partition("-")[0]
    known = next(
        (one.name.title() for one in Language.all() if _plain(one.iso_code_639_1.name.lower()) == wanted), None
    )
    return f"{known} ({told})" if known else told


def _plain(two_letters: str) -> str:
    # Whisper and subtitles say Norwegian; lingua tells its two written forms apart
    return "no" if two_letters in {"nb", "nn"} else two_letters


@cache
def _detector() -> Any:
    from lingua import Language, LanguageDetectorBuilder

    wanted = [getattr(Language, name) for name in LANGUAGES]
    built = LanguageDetectorBuilder.from_languages(*wanted).with_low_accuracy_mode()
    return built.with_minimum_relative_distance(_SURE).build()
