"""`gradlab gallery`: list the entries, carry one out, or write the reproduction report."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from backend.gallery.entry import Length
    from backend.terminal.client import Client

app = typer.Typer(add_completion=False)
out = Console()
err = Console(stderr=True)

REPORT = Path("gallery.md")
NOTE = 400
"""Characters of a figure's note that the report repeats; longer ones list every line."""
PICTURES = "images/gallery"
"""The folder of the report's pictures, beside it."""


@app.command()
def gallery(
    name: Annotated[str, typer.Argument(help="An entry; without one, all are listed.")] = "",
    full: Annotated[bool, typer.Option("--full", help="At full length: hours.")] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write the report of what this lab has measured.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The report; its pictures are stored beside it.")
    ] = REPORT,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write the study of NAME to this file, and start nothing."),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Carry out NAME, an experiment of a paper; or list all, or write the report of all.

    Published figures are shown beside the measured ones, with what differs. An interrupted entry is
    taken up by the same command.
    """
    from backend.serve import ServeError, running_lab
    from backend.terminal.client import RefusedError
    from backend.terminal.study import StudyEndedError

    if report and not output.parent.is_dir():
        raise _failed(f"there is no folder {output.parent} for {output.name}")
    length: Length = "full" if full else "short"
    try:
        if file is not None:
            _write_study(name, length, file, home)
            return
        with running_lab({"home": home} if home else {}) as lab:
            if report:
                _write(lab, output)
            elif name:
                _carry_out(lab, name, length)
            else:
                _list(lab)
    except (RefusedError, ServeError, StudyEndedError) as error:
        raise _failed(str(error)) from None
    except OSError as error:
        raise _failed(f"cannot write {error.filename}: {error.strerror}") from None


def _list(lab: "Client") -> None:
    from rich.table import Column, Table

    heads = (Column("entry", no_wrap=True), "what it shows", "minutes", "here")
    table = Table(*heads, box=None, pad_edge=False)
    for card in lab.gallery():
        newest = card["newest"]
        state = f"{newest['status']}, {newest['length']}" if newest else ""
        minutes = card["minutes"]
        table.add_row(
            card["name"], card["title"], f"{minutes['short']:g} / {minutes['full']:g}", state
        )
    out.print(table)
    out.print("minutes: short / full length, about, on 2 cores", style="dim")


def _carry_out(lab: "Client", name: str, length: "Length") -> None:
    from backend.terminal.study import follow

    study_id = lab.start_entry(name, length)
    if lab.study_results(study_id)["status"] == "paused":
        lab.order_study(study_id, "resume")
    out.print(lab.entry_address(name), highlight=False, markup=False, soft_wrap=True)
    follow(lab, study_id, out)
    entry = lab.gallery_entry(name)
    for comparison in entry["comparisons"]:
        _print_comparison(comparison)
    out.print("What differs from the paper:", style="bold")
    for text in entry["differences"][length]:
        out.print(f"- {text}", highlight=False, markup=False)


def _write_study(name: str, length: "Length", path: Path, home: Path | None) -> None:
    """Write the study of an entry, to be edited and carried out by `gradlab study`."""
    import yaml

    from backend.data_folders.folders import data_at, names
    from backend.gallery.catalogue import entries
    from backend.settings import settings

    if path.exists():
        raise _failed(f"{path} is there already; give another name")
    if name not in entries():
        raise _failed(f"the gallery has no entry {name!r}; it has {', '.join(entries())}")
    with data_at(settings(**({"home": home} if home else {})).data_dir):
        stand_in = entries()[name].is_stand_in(names())
    document = entries()[name].document(length, stand_in=stand_in)
    del document["gallery"]  # changed, it is no longer the gallery's
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    out.print(f"gradlab study {path}", markup=False, highlight=False)


def _print_comparison(comparison: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    unit = f", {comparison['unit']}" if comparison["unit"] else ""
    said = f"{comparison['quantity']}{unit}; {comparison['source']} ({comparison['read']})"
    out.print(said, style="bold", highlight=False, markup=False)
    table = Table("method", "published", "measured here", "seeds", box=None, pad_edge=False)
    for row in comparison["rows"]:
        cells = [row["label"], f"{row['published']:g}", row["words"] or "–", str(row["seeds"])]
        table.add_row(*map(Text, cells))
    out.print(table)
    if comparison["order"]:
        out.print(comparison["order"], highlight=False, markup=False)


def _write(lab: "Client", path: Path) -> None:
    from backend.figures.picture import picture
    from backend.gallery.report import Picture, Reported, report, study_to_report

    (path.parent / PICTURES).mkdir(parents=True, exist_ok=True)
    reported, missing = [], []
    for card in lab.gallery():
        entry = lab.gallery_entry(card["name"])
        study_id = study_to_report(entry["studies"])
        if study_id is None:
            missing.append(f"{card['paper']['citation']}: {card['title']}")
            continue
        entry = lab.gallery_entry(card["name"], study_id)
        pictures = []
        for figure in entry["figures"][:2]:
            drawn = lab.entry_figure(entry, figure)
            if not drawn["shown"]:
                continue
            relative = f"{PICTURES}/{card['name']}-{figure['key']}.svg"
            text = picture(drawn, width=640, height=320, named=True)
            (path.parent / relative).write_text(text, encoding="utf-8")
            note = "; ".join(drawn["note"])
            short = note if len(note) <= NOTE else ""
            pictures.append(Picture(figure["title"], relative, short))
        words = lab.study_results(entry["study"])["results"]["words"]
        reported.append(Reported(entry, words, pictures))
    path.write_text(report(reported, missing), encoding="utf-8")
    out.print(f"{len(reported)} entries in {path}", markup=False, highlight=False)


def _failed(message: str) -> typer.Exit:
    from rich.markup import escape

    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(1)
