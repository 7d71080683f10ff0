"""The command line `gradlab`: serve, run, study, probe, check, data, export, backup and more.

Each command imports what it needs, so that `gradlab --help` is fast and the server's process does
not load torch.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape as _plain

from backend.terminal.data import app as data
from backend.terminal.gallery import app as gallery
from backend.terminal.study_commands import app as study_commands

app = typer.Typer(
    name="gradlab",
    help="Gradient Lab: invent, compare and show gradient estimators.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
app.add_typer(data)
app.add_typer(study_commands)
app.add_typer(gallery)
out = Console()
err = Console(stderr=True)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Print an error message; the caller raises the returned exit."""
    err.print(f"[bold red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Folder of the database, checkpoints and plug-ins.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="The lab's token. Default: generated once for each home.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="Where runs are executed; only local exists.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="URL of the database. Default: SQLite in HOME/lab.db.")
    ] = None,
    plugins: Annotated[
        str | None, typer.Option(help="Folder of plug-in files. Default: HOME/plugins.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of image data sets, a folder each. Default: HOME/datasets."),
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of runs at a time. Default: one for each GPU; without a GPU, half the "
            "cores, at least two.",
        ),
    ] = None,
    race: Annotated[
        bool | None,
        typer.Option(help="Start the race of the Home page once, a run of about ten seconds."),
    ] = None,
    public_url: Annotated[
        str | None, typer.Option(help="URL under which others reach the lab.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Serve the lab and open its page.

    Each option but `--open` can also be set as an environment variable, such as `GRADLAB_PORT`
    for `--port` or `GRADLAB_DATABASE_URL` for `--database-url`. An option overrides its variable.
    """
    from backend.serve import ServeError
    from backend.serve import serve as start

    given = {
        "host": host,
        "port": port,
        "home": home,
        "token": token,
        "executor": executor,
        "database_url": database_url,
        "plugins": plugins,
        "data": data,
        "slots": slots,
        "race": race,
        "public_url": public_url,
    }
    try:
        start({k: v for k, v in given.items() if v is not None}, open_page=open_page)
    except ServeError as refusal:
        raise fail(str(refusal)) from None


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The run's configuration, YAML or JSON.")],
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Run CONFIG in the lab and show its progress.

    The run is queued on the server of this home if there is one; otherwise a server is started
    until the run ends. After Ctrl-C, a server that was running before continues the run; one that
    was started here writes a checkpoint, and the next server resumes the run.
    """
    from backend.documents import DocumentError, read
    from backend.serve import ServeError, running_lab
    from backend.terminal.client import RefusedError
    from backend.terminal.watch import watch

    try:
        body = read(config)
    except DocumentError as error:
        raise fail(str(error), 2) from None
    try:
        with running_lab({"home": home} if home else {}) as client:
            status = watch(client, client.submit(body), out)
    except (RefusedError, ServeError) as refusal:
        raise fail(str(refusal)) from None
    raise typer.Exit(0 if status == "finished" else 1)


@app.command()
def probe(
    run: Annotated[str, typer.Argument(help="A run's number or id.")],
    step: Annotated[
        int | None,
        typer.Option(min=0, help="Step of the checkpoint; 0 is the start. Default: the newest."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            help="Draws of each estimator. Default: 256; 16 at each batch of --anatomy; "
            "64 for --what-if; 5 times of one gradient for --adjoint-map."
        ),
    ] = None,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            "--estimator",
            help="An estimator, as 'spsa(pairs=4)'; may be repeated. Default: those of the run.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    source: Annotated[
        str,
        typer.Option(
            help="honest: the estimator draws. oracle: the same draws from the exact gradient, "
            "if possible."
        ),
    ] = "honest",
    sweep: Annotated[
        str | None, typer.Option(help="Vary a field: tangents=1,4,16 or network.width=16,32,64.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write the figures to this file, as a page that works offline."),
    ] = None,
    anatomy: Annotated[
        int | None,
        typer.Option(
            metavar="BATCHES",
            help="Separate the noise of the data from that of the estimator, with e.g. 16 batches.",
        ),
    ] = None,
    what_if: Annotated[
        bool,
        typer.Option(
            "--what-if", help="How the loss would change if each draw were taken as an update."
        ),
    ] = False,
    adjoint_map: Annotated[
        bool,
        typer.Option(
            "--adjoint-map",
            help="How near every adjoint of an equilibrium comes to the exact gradient.",
        ),
    ] = False,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Measure estimators at a checkpoint of RUN and print the results.

    The measurement is a run of its own, whose figures are on the lab's page.
    """
    from backend.terminal.probe import parse_estimator
    from backend.terminal.sweep import parse_sweep

    if html and not html.parent.is_dir():
        raise fail(f"there is no folder {html.parent} for {html.name}", 2)
    try:
        chosen = [parse_estimator(text) for text in estimator] if estimator else None
        swept = parse_sweep(sweep) if sweep else None
    except ValueError as error:
        raise fail(str(error), 2) from None
    request = {
        **{"run": run, "step": step, "draws": draws, "estimators": chosen, "seed": seed},
        "source": source,
        "sweep": swept,
        "anatomy": None if anatomy is None else {"batches": anatomy},
        "what_if": {} if what_if else None,
        "adjoint_map": {} if adjoint_map else None,
    }
    raise typer.Exit(0 if _measure(request, html, home) == "finished" else 1)


def _measure(request: dict[str, Any], html: Path | None, home: Path | None) -> str:
    """Run a microscope and print its results; returns its last status."""
    from backend.serve import ServeError, running_lab
    from backend.terminal import figure_tables, sweep
    from backend.terminal import probe as measures
    from backend.terminal.client import RefusedError
    from backend.terminal.watch import watch

    try:
        with running_lab({"home": home} if home else {}) as client:
            started = client.probe(request)
            status = watch(client, started, out)
            if request["sweep"]:
                sweep.tabulate(client, started, out)
            elif any(request[kind] is not None for kind in figure_tables.FIGURES):
                figure_tables.tabulate(client, started, out)
            else:
                measures.tabulate(client, started, out)
            if html:
                html.write_text(client.page(started["id"]), encoding="utf-8")
                out.print(f"figures in {html}", markup=False)
    except (RefusedError, ServeError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"cannot write {html}: {error.strerror}") from None
    return status


@app.command()
def estimators(
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """List all estimators, including plug-ins, with their claims and fields."""
    from rich.table import Column, Table

    from backend.catalogue import catalogue
    from backend.settings import SettingsError, settings

    try:
        listing = catalogue(settings(**({"home": home} if home else {})).plugin_dirs)
    except SettingsError as error:
        raise fail(str(error)) from None
    name = Column("estimator", no_wrap=True)  # it is what users type
    table = Table(name, "claim", "fields", "summary", box=None, pad_edge=False)
    for entry in listing["estimators"]:
        fields = ", ".join(
            f"{name}={_short(field.get('default'))}"
            for name, field in entry["schema"]["properties"].items()
        )
        summary = f"{entry['title']}: {entry['summary']}"
        table.add_row(*map(_plain, (entry["name"], entry["claim"], fields, summary)))
    out.print(table)
    for failure in listing["failures"]:
        err.print(f"[bold red]{_plain(failure['source'])}[/]\n{_plain(failure['traceback'])}")
    if listing["failures"]:
        raise typer.Exit(1)


def _short(default: object) -> object:
    """A field's default value; the name of a nested estimator."""
    return default["name"] if isinstance(default, dict) else default


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A Python file with components of any kind.")],
) -> None:
    """Check the estimators, networks, data sets, losses, … in FILE against their contracts."""
    from backend.terminal.check import check_file

    if not file.is_file():
        raise fail(f"there is no file {file}", 2)
    raise typer.Exit(0 if check_file(file, out) else 1)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run's number or id.")],
    html: Annotated[bool, typer.Option("--html", help="One HTML page that works offline.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Every point as CSV.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Every point as Parquet.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file. Default: run-NUMBER.FORMAT; - for standard output."
        ),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Write RUN to a file. The lab may be running."""
    from backend.terminal.export import ExportError, write

    kinds = [k for k, on in (("html", html), ("csv", csv), ("parquet", parquet)) if on]
    if len(kinds) != 1:
        raise fail("give exactly one of --html, --csv and --parquet", 2)
    try:
        written = write(run, kinds[0], output, {"home": home} if home else {})
    except ExportError as error:
        raise fail(str(error)) from None
    err.print(f"wrote {_plain(written)}", highlight=False, soft_wrap=True)


@app.command()
def backup(
    to: Annotated[
        Path | None,
        typer.Argument(help="The folder to make. Default: gradlab-backup-DATE-TIME here."),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Copy the lab's database, checkpoints and plug-ins to a new folder. The lab may be running.

    The folder is a home: `gradlab serve --home FOLDER` serves it, with a token of its own.
    """
    from datetime import datetime

    from backend.home_copies import BackupError
    from backend.home_copies import backup as copy
    from backend.settings import SettingsError, settings

    try:
        chosen = settings(**({"home": home} if home else {}))
        if chosen.database_url:
            raise fail("the database is not in the home; back it up with its own tools")
        folder = to or Path(f"gradlab-backup-{datetime.now():%Y%m%d-%H%M%S}")
        size = copy(chosen.home, folder.absolute())
    except (BackupError, SettingsError) as error:
        raise fail(str(error)) from None
    err.print(f"wrote {_plain(str(folder))} ({size / 1e6:,.1f} MB)", highlight=False)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
