"""A takeaway of at most 90 characters, and how its parts are joined."""

from collections.abc import Sequence

from backend.figures.words.names import capital, one_line

LONGEST = 90
"""Most characters of a takeaway."""
MIN_PROBES = 5
"""Fewest probes of which a takeaway tells."""
SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def fitting(*candidates: str) -> str:
    """The first candidate that fits into a takeaway, as a sentence; the last one is cut to fit."""
    wanted = [_sentence(one_line(candidate)) for candidate in candidates if candidate]
    for candidate in wanted:
        if len(candidate) <= LONGEST:
            return candidate
    return wanted[-1][: LONGEST - 1].rstrip(" ,;:") + "…" if wanted else ""


def _sentence(text: str) -> str:
    text = capital(text)
    return text if text.endswith((".", "…", "?", "!")) else f"{text}."


def too_early(count: int, noun: str = "probe", needed: int = MIN_PROBES) -> str:
    """`Too early to say: 3 of 5 probes.`"""
    return f"Too early to say: {count} of {needed} {noun}s."


def joined(parts: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 run`, `1,024 runs`, `3 branches`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def in_words(count: int) -> str:
    """A small count as a word."""
    return SMALL[count] if 0 <= count < len(SMALL) else f"{count:,}"


def within(layer: str, sentence: str) -> str:
    """The sentence with the layer that it is about, unless that is the whole network."""
    return f"In {one_line(layer)}, {sentence}" if layer else sentence
