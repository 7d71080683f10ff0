"""The plane of errors: how far an estimator scatters against how far it is off on average."""

from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from backend.figures.data import draws, plane
from backend.figures.data.metrics import OF_ERROR
from backend.figures.data.plane import Errors, Probes
from backend.figures.data.query import Query
from backend.figures.data.select import TRACES
from backend.figures.data.source import Floats, Source
from backend.figures.drawing import canvas, style
from backend.figures.drawing.scales import Scale, choose
from backend.figures.drawing.text import clipped, hover_head, plain
from backend.figures.info import Chart, FigureInfo, Pick, Place
from backend.figures.words import plane as of_plane
from backend.figures.words.measures import line_names
from backend.figures.words.names import short_names

INFO = FigureInfo(
    title="Bias and variance",
    help="How far one draw scatters against how far the mean of the draws is off, over the latest "
    "probes, with the path over training. Dotted arcs join equal errors. Scaled: every estimator "
    "is first multiplied by the factor that makes its mean reach as far along the gradient as "
    "the gradient itself, as a learning rate would do. Averaging K draws divides the variance by "
    "K and leaves the bias: the slider moves each estimator along its line. A short bar on an "
    "unbiased estimator's line marks the K from which on it is better than a biased one.",
    reading="Nearer to the lower left corner is better; only the variance can be averaged away.",
    parameters=("runs", "layer", "estimator", "units", "k", "window"),
    charts=(
        Chart(
            "bias-variance",
            (
                Place("run", "measures", 70),
                Place("draws", "read", 30),
                Place("overview", "overview", 60, span=4),
            ),
            picks=(Pick("units"), Pick("k")),
            follows=OF_ERROR,
            menus={"units": (), "k": ("1", "8", "64", "512", "4096")},
        ),
    ),
)
FURTHEST = 4096
"""Draws averaged at the far end of an estimator's 1 / K line."""
STOPS = 16
"""Most places of a path."""
LISTED = 8
"""Most places with entries of their own in the legend; of more, each estimator has one."""
FAR = 300.0
"""How many times as far out as most a place must be to leave the range."""
PAIRS = 6
"""Most pairs that are told of."""
AXES = {
    "scaled": ("√(relative variance, scaled)", "√|relative squared bias, scaled|"),
    "raw": ("√(relative variance)", "√|relative squared bias|"),
}


class Estimated(NamedTuple):
    """An estimator of a run: its present errors, and those before."""

    probes: Probes
    now: Errors
    before: list[Errors]
    name: str
    group: str
    """Of its entry in the legend."""
    listed: bool = True
    """Whether its mark stands for the entry."""

    @property
    def label(self) -> str:
        return self.probes.line.label

    @property
    def head(self) -> str:
        """The first line of its hovers."""
        return hover_head(self.probes.line.full_name(several=True))


def figure(source: Source, query: Query) -> go.Figure:
    """One mark an estimator and run at K = `k`; hollow where no bias was shown."""
    tally = canvas.Tally()
    places = _places(source, query, tally)
    scale = _scale(places)
    traces: list[Any] = _arcs(scale, query.units) if places else []
    marks = style.symbols(estimated.label for estimated in places)
    for estimated in places:
        traces += _drawn(estimated, scale, query, marks[estimated.label])
    for estimated, compared in _pairs(places):
        traces += _overtaking(estimated, compared, scale, tally)
    tally.conclude(_takeaway(places, query))
    tally.shown = tally.count = sum(estimated.now.probes for estimated in places)
    for gap in draws.gaps(source, query):
        tally.warn(gap)
    for at, sentence in enumerate(_meaning(places, query)):
        (tally.add_details if at else tally.say)(sentence)
    far = sum(_is_far(estimated.now, query.k, scale) for estimated in places)
    tally.say(f"{far} beyond the range, marked at its edge" if far else "")
    averaged = f" of K = {query.k:,} draws averaged" if query.k > 1 else " of one draw"
    where = f" · {plain(clipped(query.layer))}" if query.layer else ""
    across, up = AXES[query.units]
    return canvas.finish(
        traces,
        tally,
        title=INFO.title + where,
        height=420,
        xaxis=canvas.axis(
            across + averaged, tickangle=0, **canvas.few(scale), **_range(places, query.k, scale)
        ),
        yaxis=canvas.axis(up, **scale.axis(), **_range(places, query.k, scale)),
    )


def _takeaway(places: list[Estimated], query: Query) -> str:
    """How many draws make the noisy estimators equal a biased one, or what their errors are."""
    names = line_names([estimated.probes.line for estimated in places])
    spots = {names[estimated.probes.line.key]: estimated.now for estimated in places}
    needed = {}
    for noisy, biased in _pairs(places):
        pair = (names[noisy.probes.line.key], names[biased.probes.line.key])
        needed[pair] = (noisy.now.spread - biased.now.spread) / biased.now.bias
    at_a_point = all(draws.is_microscope(estimated.probes.line.run) for estimated in places)
    return of_plane.takeaway(spots, needed, query.k, at_a_point=at_a_point, layer=query.layer)


def _places(source: Source, query: Query, tally: canvas.Tally) -> list[Estimated]:
    scaled, estimates = query.units == "scaled", []
    for probes in plane.read(source, query)[:TRACES]:
        name = draws.name_of(probes.line, several=len(query.runs) > 1)
        now = plane.pooled(probes, query.window, scaled=scaled)
        if now.finite:
            before = plane.path_of(probes, query.window, STOPS, scaled=scaled)
            estimates.append(Estimated(probes, now, before, name, probes.line.group))
        elif scaled and plane.pooled(probes, query.window, scaled=False).finite:
            why = "its mean does not point downhill" if now.reach <= 0 else "its slope is not known"
            tally.warn(f"{clipped(probes.line.label)}: no scaled place, only a raw one: {why}")
    return estimates if len(estimates) <= LISTED else _by_estimator(estimates)


def _by_estimator(places: list[Estimated]) -> list[Estimated]:
    """Many places with an entry of the legend for each estimator, whatever its run."""
    names = short_names(estimated.label for estimated in places)
    first = {estimated.label: at for at, estimated in reversed([*enumerate(places)])}
    return [
        estimated._replace(
            name=plain(names[estimated.label]),
            group=estimated.label,
            listed=first[estimated.label] == at,
        )
        for at, estimated in enumerate(places)
    ]


def _scale(places: list[Estimated]) -> Scale:
    """One scale for every K, so that the axes stay while the marks move.

    It ends where a place is many times as far out as most are; such places are marked at its edge.
    """
    spots = [spot for estimated in places for spot in (estimated.now, *estimated.before)]
    spread = np.sqrt(np.array([max(spot.spread, 0.0) for spot in spots]))
    bias = np.sqrt(np.abs(np.array([spot.bias for spot in spots])))
    values = np.concatenate([spread, spread / FURTHEST**0.5, bias])
    sizes = [size for estimated in places if (size := _size(estimated.now)) > 0]
    most = FAR * float(np.median(sizes)) if sizes else np.inf
    return choose("signed", values[values <= max(most, min(sizes, default=0.0))])


def _size(spot: Errors, k: float = 1) -> float:
    """The larger of its two coordinates."""
    return float(np.sqrt(max(spot.spread / k, abs(spot.bias))))


def _is_far(spot: Errors, k: float, scale: Scale) -> bool:
    return _size(spot, k) > scale.largest * (1 + 1e-9)


def _xy(spot: Errors, k: float, scale: Scale) -> tuple[float, float]:
    values = np.sqrt(np.array([max(spot.spread, 0.0) / k, abs(spot.bias)]))
    at = scale.positions(np.minimum(values, scale.largest))
    return float(at[0]), float(at[1])


def _range(places: list[Estimated], k: float, scale: Scale) -> dict[str, Any]:
    """The shown range where a place lies beyond it."""
    if not any(_is_far(estimated.now, k, scale) for estimated in places):
        return {}
    end = float(scale.positions(np.array([scale.largest]))[0])
    return {"range": [-0.03 * end, 1.06 * end]}


def _drawn(estimated: Estimated, scale: Scale, query: Query, symbol: str) -> list[Any]:
    """The path so far, the 1 / K line, the box of standard errors, and the mark itself."""
    colour = style.colour(estimated.label)
    shared = {
        "name": estimated.name,
        "legendgroup": estimated.group,
        "showlegend": False,
    }
    thin = {"color": colour, "width": 1}
    traces: list[Any] = []
    if estimated.before:
        x, y = zip(*(_xy(spot, query.k, scale) for spot in estimated.before), strict=True)
        text = [f"{estimated.head}<br>until step {spot.step:,}" for spot in estimated.before]
        traces.append(
            go.Scatter(x=list(x), y=list(y), mode="lines", line=thin, opacity=0.6, text=text,
                       hovertemplate="%{text}<extra></extra>", **shared)
        )  # fmt: skip
    if estimated.now.spread > 0:
        ends = [_xy(estimated.now, k, scale) for k in (1, FURTHEST)]
        traces.append(
            go.Scatter(x=[ends[0][0], ends[1][0]], y=[ends[0][1]] * 2, mode="lines",
                       line={**thin, "dash": "dot"}, hoverinfo="skip", **shared)
        )  # fmt: skip
        traces += _region(estimated.now, query.k, scale, {**shared, "line": {**thin, "width": 0}})
    if query.k > 1:
        traces.append(_mark(estimated, 1, scale, 8, symbol, listed=False).update(opacity=0.6))
    return [*traces, _mark(estimated, query.k, scale, 13, symbol, listed=True)]


def _region(spot: Errors, k: int, scale: Scale, shared: dict[str, Any]) -> list[Any]:
    """The box of ± 2 standard errors."""
    sides = [(spot.spread / k, spot.errors[0] / k), (spot.bias, spot.errors[1])]
    ends = [(max(value - 2 * error, 0.0), value + 2 * error) for value, error in sides]
    if not np.isfinite(ends).all() or not any(error for _, error in sides):
        return []
    roots = np.minimum(np.sqrt(np.maximum(ends, 0)), scale.largest)
    (left, right), (low, high) = scale.positions(roots).tolist()
    return [
        go.Scatter(x=[left, right, right, left, left], y=[low, low, high, high, low], mode="lines",
                   fill="toself", opacity=0.25, hoverinfo="skip", **shared)
    ]  # fmt: skip


def _mark(
    estimated: Estimated, k: int, scale: Scale, size: int, symbol: str, *, listed: bool
) -> go.Scatter:
    x, y = _xy(estimated.now, k, scale)
    spot, colour = estimated.now, style.colour(estimated.label)
    if far := _is_far(spot, k, scale):
        symbol = "triangle-right" if spot.spread / k >= abs(spot.bias) else "triangle-up"
    symbol += "-open" if spot.hollow else ""
    total = spot.spread / k + spot.bias
    text = (
        f"{estimated.head}<br>mean of K = {k:,}"
        f"<br>relative variance {spot.spread / k:.4g}"
        f"<br>relative squared bias {spot.bias:.4g} ± {spot.errors[1]:.2g} (standard error)"
        f"<br>together {total:.4g}{'<br>beyond the range' if far else ''}"
    )
    return go.Scatter(
        x=[x], y=[y], name=estimated.name, mode="markers", legendgroup=estimated.group,
        showlegend=listed and estimated.listed,
        text=[text], hovertemplate="%{text}<extra></extra>",
        marker={"symbol": symbol, "size": size,
                "color": colour, "line": {"width": 2, "color": colour}},
        meta={"run": estimated.probes.line.run_id},
    )  # fmt: skip


def _pairs(places: list[Estimated]) -> list[tuple[Estimated, Estimated]]:
    """Pairs of an estimator without a significant bias, and a biased one of lower variance."""
    pairs = [
        (noisy, biased)
        for noisy in places
        for biased in places
        if plane.may_overtake(noisy.now, biased.now)
        if noisy.probes.line.run_id == biased.probes.line.run_id
    ]
    return pairs[:PAIRS]


def _overtaking(
    noisy: Estimated, biased: Estimated, scale: Scale, tally: canvas.Tally
) -> list[Any]:
    """A mark at V₁ / K = V₂ / K + B₂: for larger K the mean of the noisy estimator is better."""
    draws_needed = plane.overtakes(noisy.now, biased.now)
    if draws_needed is None:
        return []
    k = (noisy.now.spread - biased.now.spread) / biased.now.bias
    words = f"{noisy.name} overtakes {biased.name} from K = {draws_needed:,} on"
    beyond = f" (beyond the K = {FURTHEST:,} that is drawn)" if k > FURTHEST else ""
    tally.add_details(words + ", each averaged over K draws" + beyond)
    if beyond:
        return []
    x, y = _xy(noisy.now, k, scale)
    reach = 0.03 * float(scale.positions(np.array([scale.largest]))[0])
    return [
        go.Scatter(x=[x, x], y=[max(0.0, y - reach), y + reach], mode="lines", text=[words] * 2,
                   line={"color": style.colour(biased.label), "width": 4}, name=words,
                   legendgroup=noisy.group, showlegend=False,
                   hovertemplate="%{text}<extra></extra>")
    ]  # fmt: skip


def _meaning(places: list[Estimated], query: Query) -> list[str]:
    if not places:
        return []
    microscope = all(draws.is_microscope(estimated.probes.line.run) for estimated in places)
    count = max(min(len(estimated.probes.steps), query.window) for estimated in places)
    probes = "at the only probe so far" if count == 1 else f"means of the last {count} probes"
    pooling = "at the latest draw" if microscope else probes
    return [
        pooling,
        "each first stretched so that its mean reaches ‖g‖ along g, as its own learning rate "
        "would: K and the bias differ from those in raw units"
        if query.units == "scaled"
        else "",
        "dotted arcs: equal error; dotted lines: averages of up to 4,096 draws",
        "boxes: ± 2 standard errors",
        "small marks: one draw" if query.k > 1 else "",
        "solid lines: the path over training"
        if any(estimated.before for estimated in places)
        else "",
        "hollow: the squared bias is within 2 standard errors of 0, or below",
    ]


def _arcs(scale: Scale, units: str) -> list[go.Scatter]:
    """Curves of equal root MSE, sampled: circles before the axes were transformed."""
    low = round(np.log10(scale.unit))
    high = int(np.ceil(np.log10(max(scale.largest, scale.unit))))
    angle = np.linspace(0, np.pi / 2, 61)
    return [_arc(10.0**k, angle, scale, units) for k in range(low, high + 1)]


def _arc(radius: float, angle: Floats, scale: Scale, units: str) -> go.Scatter:
    words = f"√(relative MSE) = {radius:g}"
    if units == "scaled":
        words += f"<br>scaled error {1 / (1 + radius**-2):.4g}"
    return go.Scatter(
        x=scale.positions(radius * np.cos(angle)).tolist(),
        y=scale.positions(radius * np.sin(angle)).tolist(),
        mode="lines", line={"color": "rgba(128,128,128,0.5)", "dash": "dot", "width": 1},
        name=f"root MSE {radius:g}", hovertemplate=f"{words}<extra></extra>",
        showlegend=False,
    )  # fmt: skip
