"""How a run stood at a checkpoint, as far as its configuration tells: read without torch."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from backend.training.checkpoints.files import damaged


def standing(path: Path) -> dict[str, Any]:
    """{"lr", "estimators": [driver, shadows …]} there; without `estimators` where they never
    changed. Raises ValueError if it cannot be read."""
    try:
        with safe_open(path, framework="numpy") as file:
            skeleton = json.loads(file.metadata()["skeleton"])
        trainer = _plain(skeleton)["trainer"]
        found: dict[str, Any] = {"lr": trainer["lr"]}
        if "lineup" in trainer:
            found["estimators"] = [one["estimator"] for one in trainer["lineup"]["members"]]
    except Exception as error:  # a damaged file has many ways to say so
        raise ValueError(damaged(path)) from error
    return found


def _plain(skeleton: Any) -> Any:
    """The numbers and words of a skeleton (see `backend.training.checkpoints.tree`), less its tensors."""
    kind, body = skeleton
    if kind == "dict":
        return {key: _plain(inner) for key, inner in body}
    if kind in ("list", "tuple"):
        return [_plain(inner) for inner in body]
    return body if kind == "value" else None
