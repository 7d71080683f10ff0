"""`gradlab study` and `gradlab tune`: the commands; what they do is in `backend.terminal.study`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(add_completion=False)
out = Console()
err = Console(stderr=True)

StudyPath = Annotated[
    Path, typer.Argument(help="The study, YAML or JSON: base, methods, grid, seeds, tuning.")
]
StudyOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The results as JSON. Default: STUDY.results.json."),
]


@app.command()
def study(
    file: StudyPath,
    output: StudyOutput = None,
    order: Annotated[
        str | None,
        typer.Option(
            help="Instead of carrying STUDY out, pause, resume, cancel or retry it as one."
        ),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Carry out STUDY: every method at every value of the grid with every seed, tuned before.

    The lab's server makes the runs, and goes on after Ctrl-C if it was running before. The same
    command takes an interrupted study up, and makes runs again that failed.
    """
    _study(file, output, order, home)


@app.command()
def tune(
    file: StudyPath,
    output: StudyOutput = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """The same as `gradlab study`, for a STUDY that tunes.

    Values are chosen on the validation part with the tuning seeds, results are those of the other
    seeds on the test part.
    """
    _study(file, output, None, home)


def _study(path: Path, output: Path | None, order: str | None, home: Path | None) -> None:
    """Carry out or order the study in a file."""
    import json

    from backend.documents import DocumentError, read
    from backend.serve import ServeError, running_lab
    from backend.studies.study_file import StudyFileError, parse
    from backend.terminal import study as command
    from backend.terminal.client import RefusedError

    file = output or path.with_suffix(".results.json")
    if not file.parent.is_dir():
        raise _failed(f"there is no folder {file.parent} for {file.name}", 2)
    if order not in (None, *command.ORDERS):
        raise _failed(f"order is {order}; it must be one of {', '.join(command.ORDERS)}", 2)
    try:
        parsed = parse(read(path))
    except (DocumentError, StudyFileError) as error:
        raise _failed(str(error), 2) from None
    try:
        with running_lab({"home": home} if home else {}) as client:
            if order is not None:
                command.order(client, parsed, order, out)
                return
            found = command.carry_out(client, parsed, out)
        file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except (RefusedError, ServeError, command.StudyEndedError) as error:
        raise _failed(str(error)) from None
    except OSError as error:
        raise _failed(f"cannot write {file}: {error.strerror}") from None
    out.print(f"results in {file}", markup=False)


def _failed(message: str, code: int = 1) -> typer.Exit:
    from rich.markup import escape

    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)
