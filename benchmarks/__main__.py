"""`make bench`, or `python -m benchmarks NAME …` for some of them."""

import importlib
import pkgutil
import sys

from rich.console import Console

import benchmarks
from benchmarks.table import show

HELPERS = {"__main__", "table", "lab", "turns"}
ALL = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in HELPERS)


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 160)
    for name in names or ALL:
        module = importlib.import_module(f"benchmarks.{name}")
        title, found = (module.__doc__ or name).splitlines()[0], module.rows()
        if found:
            show(title, found, console)
        else:
            console.print(f"{title}\nnot measured: this machine has none", soft_wrap=True)
        console.print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
