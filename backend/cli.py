"""`gradlab`: serve the lab, run a configuration, list, check and export.

Imports are local to the commands: `gradlab --help` is instant, and the server's process
never loads torch.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    name="gradlab",
    help="Gradient Lab: invent, compare and show gradient estimators.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
out = Console()
err = Console(stderr=True)


def fail(message: str, code: int = 1) -> typer.Exit:
    """Say why on standard error; the caller raises what comes back."""
    err.print(f"[bold red]error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind to.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0: any free one.")] = None,
    home: Annotated[Path | None, typer.Option(help="Database, checkpoints, plug-ins.")] = None,
    token: Annotated[str | None, typer.Option(help="Else one is drawn, once a home.")] = None,
    executor: Annotated[str | None, typer.Option(help="Where runs are executed: local.")] = None,
    database_url: Annotated[str | None, typer.Option(help="Else HOME/lab.db.")] = None,
    plugins: Annotated[str | None, typer.Option(help="Folder of estimators.")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Runs at a time.")] = None,
    public_url: Annotated[str | None, typer.Option(help="URL that others reach.")] = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:
    """Serve the lab. Each option is also an environment variable, GRADLAB_<OPTION>."""
    from backend.serve import RefusalError
    from backend.serve import serve as start

    given = {
        "host": host,
        "port": port,
        "home": home,
        "token": token,
        "executor": executor,
        "database_url": database_url,
        "plugins": plugins,
        "slots": slots,
        "public_url": public_url,
    }
    try:
        start({k: v for k, v in given.items() if v is not None}, open_page=open_page)
    except RefusalError as refusal:
        raise fail(str(refusal)) from None


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The run's configuration, YAML or JSON.")],
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Run CONFIG in the lab's database, with a progress bar.

    The run goes to the server of this home if one is up, else one is started for the
    duration. Ctrl-C leaves the run to a server that goes on; one that was started here
    checkpoints it and resumes it when the lab is next served.
    """
    from backend.serve import RefusalError, running_lab
    from backend.terminal.client import RefusedError
    from backend.terminal.document import DocumentError, read
    from backend.terminal.watch import watch

    try:
        body = read(config)
    except DocumentError as error:
        raise fail(str(error), 2) from None
    try:
        with running_lab({"home": home} if home else {}) as client:
            status = watch(client, client.submit(body), out)
    except (RefusedError, RefusalError) as refusal:
        raise fail(str(refusal)) from None
    raise typer.Exit(0 if status == "finished" else 1)


@app.command()
def probe(
    run: Annotated[str, typer.Argument(help="A run's number or id.")],
    step: Annotated[
        int | None, typer.Option(min=0, help="Of a checkpoint; else the newest. 0: at the start.")
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(help="Of each estimator: 256; 16 at each batch of an anatomy; 64 of a step."),
    ] = None,
    estimator: Annotated[
        list[str] | None,
        typer.Option("--estimator", help="As 'spsa(pairs=4)'; repeat it. Else the run's own."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one draws anew.")] = 0,
    source: Annotated[
        str,
        typer.Option(help="honest; oracle: the same draws from the exact gradient, where it can."),
    ] = "honest",
    sweep: Annotated[
        str | None, typer.Option(help="Over a field: tangents=1,4,16 or network.width=16,32,64.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="A file for the figures: one page, works offline.")
    ] = None,
    anatomy: Annotated[
        int | None,
        typer.Option(
            metavar="BATCHES", help="Tell the noise of the data from the estimator's, by 16 say."
        ),
    ] = None,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Take every draw as a step: what would it do?")
    ] = False,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Draw estimators at a checkpoint of RUN and print how good they are.

    The draws are a run of the lab's own, so that their figures can be seen on its page.
    """
    from backend.serve import RefusalError, running_lab
    from backend.terminal import looks
    from backend.terminal import sweep as sweeps
    from backend.terminal.client import RefusedError
    from backend.terminal.probe import described, tabulate
    from backend.terminal.watch import watch

    if html and not html.parent.is_dir():
        raise fail(f"there is no folder {html.parent} for {html.name}", 2)
    try:
        chosen = [described(text) for text in estimator] if estimator else None
        swept = sweeps.asked(sweep) if sweep else None
    except ValueError as error:
        raise fail(str(error), 2) from None
    asked = {"run": run, "step": step, "draws": draws, "estimators": chosen, "seed": seed}
    asked["source"] = source
    looked = what_if or anatomy is not None
    other = {
        "anatomy": None if anatomy is None else {"batches": anatomy},
        "what_if": {} if what_if else None,
    }
    try:
        with running_lab({"home": home} if home else {}) as client:
            started = client.probe({**asked, "sweep": swept, **other})
            status = watch(client, started, out)
            told = sweeps.tabulate if swept else looks.tabulate if looked else tabulate
            told(client, started, out)
            if html:
                html.write_text(client.page(started["id"]), encoding="utf-8")
                out.print(f"figures in {html}", markup=False)
    except (RefusedError, RefusalError) as refusal:
        raise fail(str(refusal)) from None
    except OSError as error:
        raise fail(f"cannot write {html}: {error.strerror}") from None
    raise typer.Exit(0 if status == "finished" else 1)


@app.command()
def estimators(
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """List the estimators, the plug-ins' included, with what they claim and need."""
    from rich.table import Column, Table

    from backend.catalogue import catalogue
    from backend.settings import SettingsError, settings

    try:
        listing = catalogue(settings(**({"home": home} if home else {})).plugin_dirs)
    except SettingsError as error:
        raise fail(str(error)) from None
    name = Column("estimator", no_wrap=True)  # it is what one types
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
    """A field's default; of a nested estimator, its name."""
    return default["name"] if isinstance(default, dict) else default


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A Python file with an estimator.")],
) -> None:
    """Hold the estimators in FILE to the contract: shapes, purity, claim, descent, cost."""
    from backend.terminal.check import check_file

    if not file.is_file():
        raise fail(f"there is no file {file}", 2)
    raise typer.Exit(0 if check_file(file, out) else 1)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run's number or id.")],
    html: Annotated[bool, typer.Option("--html", help="One self-contained page.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Every point, as text.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Every point, in columns.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Else run-NUMBER.FORMAT; - for stdout.")
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The lab's home.")] = None,
) -> None:
    """Write RUN to a file. The lab may be up meanwhile."""
    from backend.terminal.export import ExportError, write

    kinds = [k for k, on in (("html", html), ("csv", csv), ("parquet", parquet)) if on]
    if len(kinds) != 1:
        raise fail("give exactly one of --html, --csv and --parquet", 2)
    try:
        written = write(run, kinds[0], output, {"home": home} if home else {})
    except ExportError as error:
        raise fail(str(error)) from None
    err.print(f"wrote {_plain(written)}", highlight=False, soft_wrap=True)


def main() -> None:
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
