"""Short names that differ: what is shown of texts that are too long, and of runs side by side.

A shown name is never an identity: traces, switches and rows are keyed by whole labels and ids.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache

LONGEST = 48
"""Most characters of a shown name."""
_TOKEN = re.compile(r"\w+|\W")
_REPEATED = re.compile(r"(.+) #(\d+)")
_NAMED = re.compile(r"\w+=")
_GAP = re.compile(r"\0+")
_NUMBER = re.compile(r"[-+0-9.]")


@dataclass(frozen=True)
class Shown:
    """The names that stand side by side in a figure."""

    families: tuple[tuple[str, ...], ...] = ()
    """Texts of a kind, such as all labels or all layers; those of a family are told apart."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """What is shown of each run's numbered name; empty for a single run."""
    short: dict[str, str] = field(default_factory=dict)
    """Of each name of a line that was asked for, what a legend has room for."""


_SHOWN: ContextVar[Shown] = ContextVar("shown", default=Shown())  # noqa: B039 (frozen)


@contextmanager
def side_by_side(families: Iterable[Iterable[str]], runs: Sequence[str] = ()) -> Iterator[None]:
    """Within it, `clipped` tells the texts of each family apart, and `of_run` these runs.

    A figure shortens names in many places (legends, axes, sentences); all of them agree so.
    """
    unique = tuple(tuple(dict.fromkeys(family)) for family in families)
    token = _SHOWN.set(Shown(unique, differing_words(runs) if len(runs) > 1 else {}))
    try:
        yield
    finally:
        _SHOWN.reset(token)


def labels() -> tuple[str, ...]:
    """The labels of the estimators that stand side by side in the figure."""
    return (_SHOWN.get().families or ((),))[0]


def remember(name: str, short: str) -> None:
    """Note the short form of the name of a line; outside of a figure there is nowhere to."""
    if _SHOWN.get().families:
        _SHOWN.get().short[name] = short


def remembered() -> Mapping[str, str]:
    """{name of a line: its short form}, of those that were noted in the figure."""
    return _SHOWN.get().short


def several() -> bool:
    """Whether several runs are side by side in the figure."""
    return bool(_SHOWN.get().runs)


def clipped(text: str, longest: int = LONGEST) -> str:
    """The text if it is short, else its beginning, or what tells it from those beside it.

    Of the figure's names that begin alike, each is shown by the part that differs, so that no two
    are the same. To be called before `plain`, whose escapes it could cut in two.
    """
    if len(text) <= longest:
        return text
    for family in _SHOWN.get().families:
        if text in family:
            return distinct(family, longest)[text]
    return _cut(text, longest)


def numbered(number: int | None, name: str) -> str:
    """A run's number and name; without a number, its name alone."""
    return (name if number is None else f"#{number} {name}").strip()


def of_run(number: int | None, name: str) -> str:
    """What is shown of a run: beside other runs, its number and the words that differ."""
    whole = numbered(number, name)
    return clipped(_SHOWN.get().runs.get(whole, whole))


def of_line(label: str, number: int | None, name: str, *, several: bool) -> str:
    """What is shown of an estimator of a run: only what differs between the lines of a figure."""
    if not several:
        return clipped(label)
    run, labels = of_run(number, name), _SHOWN.get().families[:1]
    if labels and labels[0] == (label,):
        return run
    # Runs are often named after their driver.
    rest = " ".join(run.replace(label, " ").split()) if label in run.split() else run
    return f"{clipped(label)} · {rest}"


@lru_cache(maxsize=256)
def distinct(texts: tuple[str, ...], longest: int = LONGEST) -> dict[str, str]:
    """{text: at most `longest` characters of it}; different texts are shown differently.

    A text that fits is shown whole. Of long ones that begin alike, the part that differs is shown,
    with the name of its field: `mean_of_draws(…tangents=4…`.
    """
    shown = {text: _cut(text, longest) for text in texts}
    for alike in _alike(shown):
        shown |= _by_difference(alike, longest)
    if _alike(shown):
        shown |= _by_difference([text for text in texts if len(text) > longest], longest)
    return _numbered(shown, longest)


def differing_words(names: Sequence[str]) -> dict[str, str]:
    """{numbered name: its number and the words of it that the other names do not share}."""
    rest = {name: name.split() for name in names}
    numbers = {name: words.pop(0) if name.startswith("#") else "" for name, words in rest.items()}
    lists = list(rest.values())
    first, last = _common(lists)
    if first and any(_NUMBER.match(words[first]) for words in lists if len(words) > first):
        first -= 1  # "lr 0.1" says more than "0.1"
    kept = {name: words[first : len(words) - last] for name, words in rest.items()}
    return {name: " ".join([numbers[name], *words]).strip() or name for name, words in kept.items()}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _alike(shown: Mapping[str, str]) -> list[list[str]]:
    """Groups of texts that are shown in the same way."""
    groups: dict[str, list[str]] = {}
    for text, short in shown.items():
        groups.setdefault(short, []).append(text)
    return [group for group in groups.values() if len(group) > 1]


def _by_difference(texts: list[str], longest: int) -> dict[str, str]:
    """What differs between texts, with the name that each begins with."""
    # A label that is given twice ends in its number.
    parts = {text: _REPEATED.fullmatch(text) for text in texts}
    stems = {text: match[1] if match else text for text, match in parts.items()}
    repeats = {text: f" #{match[2]}" if match else "" for text, match in parts.items()}
    tokens = {stem: _TOKEN.findall(stem) for stem in stems.values()}
    differing = _differing(list(tokens.values()))
    pieces = {stem: differing(words) for stem, words in tokens.items()}
    shown = {
        text: _fitted(stem, pieces[stem], longest - len(repeats[text])) + repeats[text]
        for text, stem in stems.items()
    }
    for alike in _alike(shown):
        if len(alike) < len(texts):
            shown |= _by_difference(alike, longest)
    return shown


def _differing(lists: Sequence[Sequence[str]]) -> Callable[[Sequence[str]], str]:
    """Of tokens, those in which these lists differ; an ellipsis stands for those they share."""
    if len(set(map(len, lists))) > 1:
        first, last = _common(lists)
        return lambda words: _elided(words, range(first, len(words) - last))
    differ = [i for i, column in enumerate(zip(*lists, strict=True)) if len(set(column)) > 1]
    return lambda words: _elided(words, differ)


def _elided(words: Sequence[str], shown: Iterable[int]) -> str:
    """The words at these places, each with the field or the list that it belongs to."""
    places = set(shown)
    for i in tuple(places):
        if i > 1 and (words[i - 1] == "=" or (words[i - 1] == "." and words[i].isdigit())):
            places |= {i - 2, i - 1}
    kept = [word if i in places else "\0" for i, word in enumerate(words)]
    return _GAP.sub("…", "".join(kept))


def _fitted(text: str, differing: str, longest: int) -> str:
    """The part that differs, behind the name that the text begins with if there is room."""
    name = text.partition("(")[0] + "(" if "(" in text else ""
    if name and not differing.startswith(name) and len(name + differing) <= longest:
        differing = name + differing
    # A number that is cut would be another number: its field's name goes first.
    return _cut(differing if len(differing) <= longest else _NAMED.sub("", differing), longest)


def _common(lists: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many words all lists begin with, and how many they end with besides."""
    shortest = min(map(len, lists))
    first = next((i for i in range(shortest) if len({x[i] for x in lists}) > 1), shortest)
    left = shortest - first
    last = next((i for i in range(left) if len({x[-1 - i] for x in lists}) > 1), left)
    return first, last


def _numbered(shown: dict[str, str], longest: int) -> dict[str, str]:
    """A last resort: a number behind each text that would be shown as an earlier one is."""
    taken: set[str] = set()
    unique = {}
    for text, short in shown.items():
        candidate, count = short, 1
        while candidate in taken or (candidate != text and candidate in shown):
            count += 1
            suffix = f" ({count})"
            candidate = _cut(short, longest - len(suffix)) + suffix
        taken.add(candidate)
        unique[text] = candidate
    return unique
