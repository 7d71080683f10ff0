"""The data sets that have a name of their own, and where they are on the Hugging Face hub."""

from typing import NamedTuple


class HubSet(NamedTuple):
    """A data set of the hub, and which of its parts are used."""

    repo: str
    """Owner and name on the hub."""
    config: str = ""
    """Empty: the only one."""
    train: str = "train"
    test: str = ""
    """The split for the test part. Empty: test, else validation."""
    description: str = ""


NAMED: dict[str, HubSet] = {
    "mnist": HubSet(
        "ylecun/mnist", "mnist", description="handwritten digits, 60,000 + 10,000, 28×28 grey"
    ),
    "fashion_mnist": HubSet(
        "zalando-datasets/fashion_mnist", "fashion_mnist",
        description="articles of clothing, 60,000 + 10,000, 28×28 grey",
    ),
    "cifar10": HubSet(
        "uoft-cs/cifar10", "plain_text",
        description="objects in 10 classes, 50,000 + 10,000, 32×32 RGB",
    ),
    "cifar100": HubSet(
        "uoft-cs/cifar100", "cifar100",
        description="objects in 100 fine or 20 coarse classes, 50,000 + 10,000, 32×32 RGB",
    ),
    "svhn": HubSet(
        "ufldl-stanford/svhn", "cropped_digits",
        description="house numbers, cropped, 73,257 + 26,032, 32×32 RGB",
    ),
    "imagenet32": HubSet(
        "benjamin-paine/imagenet-1k-32x32", test="validation",
        description="ImageNet in 1,000 classes, 1,281,167 + 50,000, 32×32 RGB",
    ),
}  # fmt: skip
"""By the name of their folder."""


def folder_name(repo: str, config: str = "") -> str:
    """The folder of a set of the hub: `owner/name` -> `owner--name`."""
    return "--".join([*repo.split("/"), *([config] if config else [])])


def repo_and_config(folder: str) -> tuple[str, str]:
    """The set and its config in the name of a folder: `owner--name` -> `owner/name` and empty."""
    owner, _, rest = folder.partition("--")
    name, _, config = rest.partition("--")
    return f"{owner}/{name}", config


def called(repo: str) -> str:
    """What a set of the hub is called in `gradlab data get`: its short name, else owner/name."""
    return next((name for name, listed in NAMED.items() if listed.repo == repo), repo)
