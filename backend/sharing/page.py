"""One HTML file that holds everything: charts, numbers, and how to make them again."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from backend.figures.data.source import RunLike, Source
from backend.figures.findings import serious
from backend.sharing import encode, latest
from backend.sharing.allowed import config, config_yaml, facts, findings
from backend.sharing.encode import text as safe
from backend.sharing.panels import BUDGET, Menu, Own, Panel, of_run, own_panels, together
from estimators.statistics.formatting import counted

CONVENTIONS = """
ĝ is one draw of an estimator, g the exact gradient of the same loss at the same weights on the
same batch, ḡ the mean and S the sample covariance of the draws of one probe.
<b>Alignment</b>: mean over draws of the cosine between ĝ and g.
<b>Scaled error</b>: min over c of E‖cĝ − g‖² / ‖g‖², what is left once the learning rate has
absorbed the scale. <b>Variance</b>: tr S / ‖g‖², of one draw.
<b>Squared bias</b>: (‖ḡ − g‖² − tr S / K) / ‖g‖², corrected for the noise of the mean of K draws,
so it can be negative. <b>Norm ratio</b>: mean ‖ĝ‖ / ‖g‖.
Curves are not smoothed and no outlier is removed; where fewer points are shown than were
recorded, the chart says so and extrema are kept. Whiskers are the lowest and highest of the
probes pooled, not confidence intervals. Axes through zero are asinh-scaled.
"""


def html(
    source: Source,
    run_ids: Sequence[str],
    title: str = "",
    text: str = "",
    *,
    date: str | None = None,
    own: Own = lambda run_id: (),
) -> str:
    """The page, complete: it fetches nothing, and works from a disk without a network.

    `title` and `text` are plain text; `date` is ISO 8601 (now, if it is not given); `own` gives
    the figures of plug-ins. Raises LookupError for a run that is not there.
    """
    return "".join(html_pieces(source, run_ids, title, text, date=date, own=own))


def html_pieces(
    source: Source,
    run_ids: Sequence[str],
    title: str = "",
    text: str = "",
    *,
    date: str | None = None,
    own: Own = lambda run_id: (),
) -> Iterator[str]:
    """The same in pieces, a chart each; every chart is drawn before this returns.

    Give a snapshot of a store that is written to, so that one file is consistent.
    """
    sections, panels = _sections(source, run_ids, own)
    called = title or ", ".join(_name(source.run(run_id)) for run_id in run_ids) or "Gradient Lab"
    scripts = (_plotly(), _own("page.js"))
    when = date or datetime.now(UTC).isoformat(timespec="seconds")
    return _document(called, text, when, sections, panels, scripts)


def _document(
    title: str,
    words: str,
    date: str,
    sections: str,
    panels: list[Panel],
    scripts: tuple[str, str],
) -> Iterator[str]:
    yield f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{encode.policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{safe(title)}</title>
<style>{_own("page.css")}</style>
</head>
<body>
<header><h1>{safe(title)}</h1>
<p class="meta">Gradient Lab, exported {_time(date)}</p>
{f'<p class="words">{safe(words)}</p>' if words else ""}
<noscript><p>The charts need JavaScript; the tables below do not.</p></noscript></header>
<main>
{sections}
</main>
<footer><h2>Conventions</h2><p>{CONVENTIONS.strip()}</p></footer>
<script type="application/json" id="panels">["""
    for at, panel in enumerate(panels):
        yield f"{',' if at else ''}{panel.json()}"
    yield f"""]</script>
<script>{scripts[0]}</script>
<script>{scripts[1]}</script>
</body>
</html>
"""


def _sections(source: Source, run_ids: Sequence[str], own: Own) -> tuple[str, list[Panel]]:
    panels = together(source, run_ids) if len(run_ids) > 1 else []
    parts = [f"<section><h2>All runs</h2>{_grid(panels)}</section>"] if panels else []
    for at, run_id in enumerate(run_ids):
        menus, of_this_run = of_run(source, run_id, f"r{at}", BUDGET // len(run_ids))
        of_this_run += own_panels(run_id, f"r{at}", own)
        panels += of_this_run
        parts.append(_section(source, run_id, f"r{at}", menus, of_this_run))
    return "\n".join(parts) or "<p>No runs were chosen.</p>", panels


def _section(
    source: Source, run_id: str, place: str, menus: list[Menu], panels: list[Panel]
) -> str:
    run = source.run(run_id)
    count = sum(series.count for series in source.series(run_id))
    # A notebook's measurement has no driver, and nothing that it could be made again from.
    facts_of = {
        **({} if run.number is None else facts(run)),
        "points": f"{count:,} recorded; each chart says how many it shows",
    }
    rows = "".join(f"<dt>{safe(k)}</dt><dd>{safe(v)}</dd>" for k, v in facts_of.items())
    tables = latest.usual_table(source, run_id) + latest.measures_table(source, run_id)
    charts = _menus(menus) + _grid(panels) if panels else '<p class="meta">No points yet.</p>'
    return f"""<section aria-labelledby="{place}">
<h2 id="{place}">{safe(_name(run))}</h2>
<dl>{rows}</dl>
{_findings(source, run_id)}
{charts}
{tables}
{_recipe(run, place)}
</section>"""


def _findings(source: Source, run_id: str) -> str:
    """What a reader must know of the run, above its charts, in the words of its page."""
    made = findings(source, run_id)
    if not made:
        return ""
    items = "".join(
        f"<li><strong>{safe(each.title)}</strong> {safe(each.text)}</li>" for each in made
    )
    sign = '<span aria-hidden="true">⚠</span> ' if serious(made) else ""
    return f"""<div class="findings"><h3>{sign}{counted(len(made), "finding")}</h3>
<ul>{items}</ul></div>"""


def _recipe(run: RunLike, place: str) -> str:
    if run.number is None:
        return ""
    microscope = config(run).get("microscope")
    how = (
        "" if microscope is None else f" trains such a run; look at it at step {microscope['step']}"
    )
    if sweep := (microscope or {}).get("sweep"):
        how += f" with --sweep {sweep['field']}={','.join(map(_word, sweep['values']))}"
    return f"""<h3>Run it again</h3>
<p>Save the configuration as <code>config.yaml</code>, then
<code>gradlab run config.yaml</code>{safe(how)}</p>
<p class="buttons"><button type="button" data-copy="{place}-yaml">Copy</button>
<button type="button" data-save="{place}-yaml">Download config.yaml</button>
<span role="status" id="{place}-yaml-said"></span></p>
<pre id="{place}-yaml" tabindex="0">{safe(config_yaml(run))}</pre>"""


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _menus(menus: list[Menu]) -> str:
    return f'<p class="menus">{"".join(map(_menu, menus))}</p>' if menus else ""


def _menu(menu: Menu) -> str:
    options = "".join(
        f'<option value="{at}">{safe(title)}</option>'
        for at, title in enumerate(menu.options.values())
    )
    return f'<label>{safe(menu.label)} <select id="{menu.id}">{options}</select></label> '


def _grid(panels: list[Panel]) -> str:
    places = "".join(
        f'<figure><div class="chart" id="{panel.id}" role="group"></div>'
        f'<figcaption><p class="takeaway" id="{panel.id}-takeaway"></p>'
        f'<span id="{panel.id}-note"></span>{_reading(panel)}</figcaption></figure>'
        for panel in panels
    )
    return f'<div class="grid">{places}</div>'


def _reading(panel: Panel) -> str:
    """How to read the chart, folded away."""
    words = safe(f"{panel.chart.help} {panel.chart.reading}")
    return (
        f"<details><summary>How to read this chart</summary>{words}"
        f'<p id="{panel.id}-details"></p></details>'
    )


def _time(date: str) -> str:
    return f'<time datetime="{safe(date)}">{safe(spoken(date))}</time>'


def spoken(date: str) -> str:
    """A time of ISO 8601 as one reads it, in UTC; a day stays a day."""
    if len(date) <= len("2026-01-02"):
        return date
    at = datetime.fromisoformat(date)
    # A time without a zone is taken for UTC, never for where the server happens to stand.
    return f"{at.astimezone(UTC) if at.tzinfo else at:%Y-%m-%d %H:%M} UTC"


def _name(run: RunLike) -> str:
    return (run.name if run.number is None else f"#{run.number} {run.name}").strip()


def _own(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")


@cache
def _plotly() -> str:
    """plotly.js, from the installed package."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()
