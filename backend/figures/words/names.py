"""The names of estimators as people write them: `DFA`, `activity FG`, `forward gradient`.

A catalogue name stays in code, addresses and tables of configurations; sentences and legends use
these.
"""

import re
from collections.abc import Iterable

from backend.figures.drawing.names import distinct

LONGEST = 28
"""Most characters of a name in a sentence, of which three have room."""
SHORT = {
    "activity_forward_gradient": "activity FG",
    "averaged_projected": "averaged projection",
    "block_forward_gradient": "block FG",
    "brsf": "BRSF",
    "direct_feedback_alignment": "DFA",
    "dkp": "DKP",
    "evolution_strategy": "evolution strategy",
    "fdfa": "FDFA",
    "feedback_alignment": "FA",
    "frsf": "FRSF",
    "guided_es": "guided ES",
    "low_rank_forward_gradient": "low-rank FG",
    "kolen_pollack": "Kolen–Pollack",
    "mezo": "MeZO",
    "sign_of": "sign",
    "sparse_forward_gradient": "sparse FG",
    "spsa": "SPSA",
    "usf": "uSF",
}
"""Where it is not the catalogue name with spaces."""
ACRONYMS = ("brsf", "dkp", "fdfa", "frsf", "spsa", "usf")
"""Catalogue names that are read letter by letter."""
_REPEAT = re.compile(r"(.*) #(\d+)", re.DOTALL)


def short_names(labels: Iterable[str], longest: int = LONGEST) -> dict[str, str]:
    """{label: its short name}, all different, each at most `longest` characters.

    Labels of one catalogue name keep what tells them apart: their fields, or their number.
    """
    wanted = list(dict.fromkeys(labels))
    bare = {label: _bare(label) for label in wanted}
    alike = {label for label in wanted if list(bare.values()).count(bare[label]) > 1}
    whole = {label: _whole(label) if label in alike else bare[label] for label in wanted}
    shown = distinct(tuple(dict.fromkeys(whole.values())), longest)
    if len(shown) < len(wanted):  # two labels that differ in spaces alone
        shown = distinct(tuple(wanted), longest)
        return {label: shown[label] for label in wanted}
    return {label: shown[whole[label]] for label in wanted}


def short_name(label: str) -> str:
    """The short name of an estimator that stands alone."""
    return short_names([label])[label]


def title_of(label: str) -> str:
    """The catalogue name in words, as a heading has it: `Activity forward gradient`, `SPSA`."""
    name = label.partition("(")[0].partition(" #")[0]
    return name.upper() if name in ACRONYMS else capital(one_line(name.replace("_", " ")))


def capital(text: str) -> str:
    """The text as a sentence begins: `DFA` and `µ` stay as they are."""
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def one_line(text: str) -> str:
    """The text without line breaks, tabs and other characters that no sentence has."""
    kept = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(kept.split())


def _bare(label: str) -> str:
    stem, _, _ = label.partition("(")
    repeated = _REPEAT.fullmatch(stem)
    name = repeated[1] if repeated else stem
    return SHORT.get(name, one_line(name.replace("_", " ")) or "unnamed")


def _whole(label: str) -> str:
    """The short name with the fields and the number of a repeated label."""
    repeated = _REPEAT.fullmatch(label)
    stem, number = (repeated[1], f" #{repeated[2]}") if repeated else (label, "")
    _, _, fields = stem.partition("(")
    inner = f" {_opened(fields)}" if fields else ""
    return one_line(f"{_bare(label)}{inner}{number}")


def _opened(fields: str) -> str:
    """The fields of a label without the bracket that closes them: `tangents=8`."""
    return fields.removesuffix(")")
