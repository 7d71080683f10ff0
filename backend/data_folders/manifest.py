"""`Manifest`: where the files of a prepared data set come from, and their checksums."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

FILE = "manifest.json"
"""The name of a manifest, in the folder of its data set."""
_BLOCK = 2**20


@dataclass(frozen=True)
class Stored:
    """A file of a data set."""

    size: int
    """Bytes."""
    sha256: str
    rows: int = 0
    """Examples."""


@dataclass(frozen=True)
class Manifest:
    """What `gradlab data get` has written into a folder."""

    source: str
    """Owner and name on the hub."""
    config: str
    revision: str
    """The commit of the hub's repository of Parquet files."""
    files: dict[str, Stored]
    """By file name."""
    test: str = ""
    """The split that was asked for as the test part; empty: none by name."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(stored.size for stored in self.files.values())

    def damaged(self, folder: Path, digest: Callable[[Path], str] | None = None) -> list[str]:
        """The names of files that are missing or are not those of the manifest.

        `digest` gives a file's SHA-256, if it need not be read again.
        """
        digest = digest or checksum
        return [
            name
            for name, stored in self.files.items()
            if not is_stored(folder / name, stored, digest)
        ]

    def write(self, folder: Path) -> None:
        """Write it into the folder."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")


def manifest_of(folder: Path) -> Manifest | None:
    """The manifest in a folder; None if there is none, or it is not legible."""
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        files = {name: Stored(**stored) for name, stored in data.pop("files").items()}
        return Manifest(**data, files=files)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None


def is_stored(path: Path, stored: Stored, digest: Callable[[Path], str] | None = None) -> bool:
    """Whether the file at `path` has this size and checksum."""
    try:
        return path.stat().st_size == stored.size and (digest or checksum)(path) == stored.sha256
    except OSError:
        return False


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
