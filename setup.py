"""How the wheel is built. Everything else about the package is in pyproject.toml.

In the checkout, `backend`, `estimators` and `frontend` are top-level folders. Names as general as
these do not belong at the top of a user's environment, so the wheel holds one package,
`gradlab`, with these three inside it, and their imports of each other are rewritten:
`from estimators.core import …` becomes `from gradlab.estimators.core import …`.
An editable install leaves the checkout as it is.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

PACKAGE = "gradlab"
INNER = ("backend", "estimators", "frontend")
NAMES = "|".join(INNER)
FROM = re.compile(rf"^(\s*)from ({NAMES})(?=[.\s])", re.MULTILINE)
IMPORT_AS = re.compile(rf"^(\s*)import ({NAMES}) as ", re.MULTILINE)
IMPORT = re.compile(rf"^\s*import ({NAMES})\b", re.MULTILINE)


def rewritten(source: str, file: Path) -> str:
    """`source` with its imports of the inner packages made imports from `gradlab`.

    Raises ValueError for `import backend.x` and the like: that binds a name which the wheel does
    not have, and rewriting the one line would not mend its uses.
    """
    source = IMPORT_AS.sub(rf"\1from {PACKAGE} import \2 as ", source)
    if plain := IMPORT.search(source):
        raise ValueError(
            f"{file}: `{plain[0].strip()}` cannot be packaged; write `from {plain[1]} import …`"
        )
    return FROM.sub(rf"\1from {PACKAGE}.\2", source)


class BuildPy(build_py):
    """Copy the packages, then put the inner ones into `gradlab`."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        built = Path(self.build_lib)
        shutil.rmtree(built, ignore_errors=True)  # an earlier build may hold modules that are gone
        super().run()
        for name in INNER:
            shutil.move(built / name, built / PACKAGE / name)
        for file in (built / PACKAGE).rglob("*.py"):
            source = file.read_text("utf-8")
            file.write_text(rewritten(source, file.relative_to(built)), "utf-8")


class EggInfo(egg_info):
    """Name `gradlab` as the one top-level package."""

    def run(self) -> None:
        super().run()
        (Path(self.egg_info) / "top_level.txt").write_text(f"{PACKAGE}\n")


setup(cmdclass={"build_py": BuildPy, "egg_info": EggInfo})
