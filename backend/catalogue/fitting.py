"""`fit_all`: the largest values of a field with which configurations fit into some memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.catalogue.component_checks import need_of_run
from backend.catalogue.structure_checks import read
from backend.machine_memory import in_words
from backend.sentences import show
from backend.training.components.assemble import make_parts
from backend.training.components.index import ComponentIndex, component_index
from backend.training.memory.need import PROCESS, MemoryNeed

Config = Mapping[str, Any]


def fit_all(
    configs: Sequence[Config], field: str, limit: int, plugin_dirs: Sequence[Path | str] = ()
) -> list[dict[str, Any]]:
    """`{value, need, problem}` of each valid configuration with all defaults.

    `value` is the largest whole number from 1 to the field's own with which the predicted need of
    memory is at most `limit` bytes; `need` that prediction. With a `problem` there is none. A need
    grows with every field that it depends on, so the numbers in between are bisected.
    """
    index = component_index(plugin_dirs)
    return [_fit(config, field, limit, index) for config in configs]


def _fit(config: Config, field: str, limit: int, index: ComponentIndex) -> dict[str, Any]:
    given = _value(config, field)
    if type(given) is not int or given < 1:
        what = "which it lacks" if given is None else f"which is {show(given)}"
        return _problem(f"budget.fit is {field}, {what}; a whole number of at least 1 can shrink")

    def need(value: int) -> MemoryNeed:
        parsed = read(_with(config, field, value))
        assert parsed.run is not None
        return need_of_run(parsed.run, make_parts(parsed.described, index))

    largest = need(given)
    if largest.total <= limit:
        return {"value": given, "need": largest.total, "problem": ""}
    least = need(1)
    if least.total > limit:
        is_same = given > 1 and least.total == largest.total
        whatever = f"whatever {field} is" if is_same else f"even with {field} 1"
        allowed = f"the budget allows {in_words(limit)}"
        return _problem(f"{whatever}, {_words(least)}; {allowed}")
    fits, too_large = 1, given
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        fits, too_large = (middle, too_large) if need(middle).total <= limit else (fits, middle)
    return {"value": fits, "need": need(fits).total, "problem": ""}


def _words(need: MemoryNeed) -> str:
    if need.total > 2 * PROCESS:
        return need.words
    total, libraries = in_words(need.total), in_words(PROCESS)
    return f"the run needs about {total}, of which {libraries} are for torch and its libraries"


def _value(config: Config, field: str) -> Any:
    part: Any = config
    for name in field.split("."):
        part = part.get(name) if isinstance(part, Mapping) else None
    return part


def _with(config: Config, field: str, value: int) -> dict[str, Any]:
    first, _, rest = field.partition(".")
    return {**config, first: _with(config[first], rest, value) if rest else value}


def _problem(words: str) -> dict[str, Any]:
    return {"value": None, "need": None, "problem": words}
