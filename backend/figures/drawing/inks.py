"""The hues of the data, each with a shade for light pages and one for dark ones.

Okabe and Ito's hues, which readers with any colour vision can tell apart. A colour is stored as
its index; a figure is drawn in the light shades, and `dark_shades` says what stands for each of
them on a dark page. Both have a contrast of at least 3 with their page (WCAG 2.2).
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Ink(NamedTuple):
    """One hue."""

    light: str
    dark: str


INKS = (
    Ink("#6F7882", "#A3ADB8"),  # grey, for Okabe and Ito's black
    Ink("#D05400", "#FF8A45"),  # vermilion
    Ink("#0072B2", "#58AEF0"),  # blue
    Ink("#008A63", "#2FC797"),  # green
    Ink("#B0406A", "#F07DA6"),  # rose
    Ink("#B37B00", "#EFB13C"),  # orange
    Ink("#2B8FC9", "#86CDF5"),  # sky
    Ink("#8E5BB8", "#C9A0DC"),  # purple
    Ink("#7B7B24", "#C3C35A"),  # olive
    Ink("#4D6B00", "#A5C64D"),  # moss
    Ink("#8A5A3B", "#D2A07E"),  # brown
    Ink("#00808A", "#4FC9D2"),  # teal
)
"""By index. An index keeps its hue: addresses, answers and stored figures have it."""
GREY, VERMILION, BLUE, GREEN, ROSE, ORANGE = (ink.light for ink in INKS[:6])
SKY, PURPLE, OLIVE, MOSS, BROWN, TEAL = (ink.light for ink in INKS[6:])
_INDEX = {ink.light: at for at, ink in enumerate(INKS)}
_DARK = {ink.light: ink.dark for ink in INKS}
"""Of each light shade that was handed out, the dark one."""


def index_of(light: str) -> int:
    """The index of a hue by its light shade."""
    return _INDEX[light]


def mixed(light: str, share: float) -> Ink:
    """A variant of a hue: on a light page with black, on a dark one with white."""
    made = Ink(_mix(light, 0, share), _mix(_DARK[light], 255, share))
    _DARK[made.light] = made.dark
    return made


def _mix(base: str, towards: int, share: float) -> str:
    parts = [int(base[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(p + (towards - p) * share):02X}" for p in parts)


def dark_shades(traces: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """{light shade: its dark one} of the colours in which these traces are drawn."""
    used = {colour for trace in traces for colour in _colours(trace)}
    return {colour: _DARK[colour] for colour in sorted(used) if colour in _DARK}


def _colours(part: Mapping[str, Any]) -> list[str]:
    """The colours of lines, markers, bars and fills, wherever they stand in a trace."""
    colours: list[str] = []
    for key, value in part.items():
        if isinstance(value, str) and key in ("color", "fillcolor"):
            colours.append(value)
        elif key == "color" and isinstance(value, list | tuple):
            colours += [each for each in value if isinstance(each, str)]
        elif isinstance(value, Mapping):
            colours += _colours(value)
    return colours
