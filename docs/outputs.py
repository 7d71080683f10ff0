"""Run the Python blocks of a page as the cells of one notebook, and refresh the outputs it shows.

`python -m docs.outputs [PAGE …]` replaces each text block of the page (by default the guide to the
measures) by what the Python block before it prints.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "measurement" / "guide.md"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)
END = "#### end of cell ####"
"""What a cell prints at its end, so that the outputs can be told apart."""


def run_cells(page: Path) -> list[str]:
    """Run the Python blocks of `page` in order, warnings being errors; return what each prints.

    Raises subprocess.CalledProcessError if a cell raises.
    """
    cells = [block[2] for block in BLOCK.finditer(page.read_text()) if block[1] == "python"]
    script = "".join(f"{cell}\nprint({END!r})\n" for cell in cells)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=folder, check=True, stdout=subprocess.PIPE, encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
    return done.stdout.split(f"{END}\n")[:-1]


def shown_outputs(page: Path, printed: list[str]) -> Iterator[tuple[re.Match[str], str]]:
    """Each text block of `page`, with what the Python block before it has printed."""
    cell = -1
    for block in BLOCK.finditer(page.read_text()):
        if block[1] == "python":
            cell += 1
        else:
            yield block, printed[cell]


def refresh(page: Path) -> None:
    """Replace the text blocks of `page` by what its cells print."""
    text = page.read_text()
    for block, output in reversed([*shown_outputs(page, run_cells(page))]):
        text = text[: block.start(2)] + output + text[block.end(2) :]
    page.write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:] or [GUIDE]:
        refresh(Path(name))
