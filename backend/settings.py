"""Settings of the server: environment variables `GRADLAB_*` and options of `gradlab serve`."""

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A setting is not valid; the message names it, its value, and what is allowed."""


class Settings(BaseSettings):
    """The lab's home, its address, and how it is executed."""

    model_config = SettingsConfigDict(
        env_prefix="GRADLAB_", env_ignore_empty=True, use_attribute_docstrings=True, extra="forbid"
    )

    host: str = "127.0.0.1"
    """Address to listen on. Any but loopback can be reached by others: set public_url too."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8642
    """TCP port; 0 takes any free one."""
    home: Path = Path("~/.gradlab")
    """Folder of the database, checkpoints, plug-ins and token."""
    token: SecretStr | None = None
    """The lab's token, at least 16 characters. Empty: one is generated in HOME/token."""
    executor: Literal["local"] = "local"
    """Where runs are executed."""
    database_url: str | None = None
    """SQLAlchemy URL of the database. Empty: SQLite in HOME/lab.db."""
    plugins: Path | None = None
    """Folder of plug-in files. Empty: HOME/plugins."""
    data: Path | None = None
    """Folder of image data sets, a folder each. Empty: HOME/datasets."""
    slots: Annotated[int, Field(ge=1, le=256)] | None = None
    """Runs at a time. Empty: one for each GPU; without one, half the cores (2 or more)."""
    race: bool = True
    """Whether the Home page starts its race once: a run of about ten seconds on one core."""
    public_url: str | None = None
    """URL under which others reach the lab, such as https://lab.example.org."""

    @field_validator("home", "plugins", "data")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        try:
            return None if path is None else path.expanduser().absolute()
        except RuntimeError:
            raise ValueError(f"{path} names a home of a user that does not exist") from None

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < 16:
            raise ValueError("the token must have at least 16 characters")
        if token is not None and not token.get_secret_value().isascii():
            raise ValueError("the token must be ASCII: it travels in an HTTP header")
        return token

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_host(parts):
            raise ValueError(f"public_url is {url!r}; it must look like https://lab.example.org")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(
                "public_url must end with the host name or port: the lab's pages ask for /static "
                "and /api at the root of a host, so give it a host name of its own, such as "
                f"{parts.scheme}://lab.{parts.hostname}"
            )
        return url.rstrip("/")

    @property
    def database(self) -> str:
        """The URL of the database."""
        return self.database_url or f"sqlite:///{self.home / 'lab.db'}"

    @property
    def plugin_dirs(self) -> list[Path]:
        """The folders of plug-in estimators."""
        return [self.plugins or self.home / "plugins"]

    @property
    def data_dir(self) -> Path:
        """The folder whose folders are image data sets."""
        return self.data or self.home / "datasets"

    @cached_property
    def public_host(self) -> str | None:
        """The host name of public_url, lower case."""
        return urlsplit(self.public_url).hostname if self.public_url else None

    @property
    def local_only(self) -> bool:
        """Whether links to this lab work on this machine alone."""
        host = self.public_host
        return host is None or is_loopback(host)


def _is_host(parts: SplitResult) -> bool:
    """Whether the URL names a host, and at most a port beside it."""
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return False
    host = parts.netloc.removesuffix(port)
    plain = not any(character.isspace() or character in "@\\" for character in host)
    return bool(parts.hostname) and plain


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) means this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def settings(**given: Any) -> Settings:
    """Settings from the environment; `given` ones take precedence. Raises SettingsError."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        given_value = "" if option == "token" else f"; it was {str(first.get('input'))[:80]!r}"
        raise SettingsError(f"GRADLAB_{option.upper()}: {message}{given_value}") from None
