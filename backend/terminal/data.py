"""`gradlab data`: fetch, list and check data sets. Only `check` imports torch."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(
    name="data", help="Fetch, list and check data sets.", no_args_is_help=True, add_completion=False
)
out = Console()
err = Console(stderr=True)

Home = Annotated[Path | None, typer.Option(help="The lab's home.")]


def _failed(message: object) -> typer.Exit:
    from rich.markup import escape

    err.print(f"[bold red]error:[/] {escape(str(message))}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


@app.command()
def get(
    name: Annotated[
        str, typer.Argument(help="A name of `gradlab data list`, or owner/name on the hub.")
    ],
    config: Annotated[str, typer.Option(help="The hub's configuration, if it has several.")] = "",
    test: Annotated[
        str, typer.Option(help="The split for the test part. Default: test, else validation.")
    ] = "",
    home: Home = None,
) -> None:
    """Fetch a data set of images from the Hugging Face hub into HOME/datasets.

    Its Parquet files are fetched as they are and compared with the hub's checksums. A set that is
    there is only checked, and damaged files are fetched again.
    """
    from backend.data_folders.folders import DataError
    from backend.data_folders.preparation import prepare, wanted_set

    _use(home)
    try:
        folder, wanted = wanted_set(name, config, test)
        with _bar(folder) as bar:
            path = prepare(folder, wanted, bar, bar.waiting)
    except DataError as error:
        raise _failed(error) from None
    out.print(f"{folder} is in {path}: choose it in the form as parquet_images", soft_wrap=True)


@app.command(name="list")
def list_sets(home: Home = None) -> None:
    """List the data sets that have a name, and the folders that there are."""
    from rich.table import Table

    from backend.data_folders.states import states

    _use(home)
    table = Table("data set", "state", "what it is", box=None, pad_edge=False)
    for state in states():
        table.add_row(state.name, state.words, state.description)
    out.print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="The name of a folder of HOME/datasets.")],
    home: Home = None,
) -> None:
    """Compare a data set with its manifest, and MNIST with the published pixels."""
    from backend.data_folders.folders import DataError, folder_of
    from backend.data_folders.manifest import manifest_of

    _use(home)
    try:
        folder = folder_of(name)
        if manifest := manifest_of(folder):
            if damaged := manifest.damaged(folder):
                what = ", ".join(damaged)
                raise _failed(f"{what} of {name} is damaged: run `gradlab data get {name}` again")
            out.print(f"{len(manifest.files)} files are those of {manifest.source}")
        from backend.training.image_files.published import compare

        out.print(compare(name), soft_wrap=True)
    except DataError as error:
        raise _failed(error) from None


def _use(home: Path | None) -> None:
    """Let this process take `home` for the lab's."""
    import os

    if home is not None:
        os.environ["GRADLAB_HOME"] = str(home)


class _bar:  # noqa: N801, a context like a function's
    """Shows the progress of a download."""

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        self._progress = Progress(
            "{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=err
        )
        self._task = self._progress.add_task(name, total=None)
        self._name, self._waited = name, False

    def __enter__(self) -> "_bar":
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total or None)

    def waiting(self, done: int, total: int) -> None:
        """Show how far another process is that fetches the same set."""
        if not self._waited:
            self._waited = True
            said = f"{self._name} is being prepared by another process; this one waits for it"
            err.print(said, highlight=False, soft_wrap=True)
        self(done, total)
