"""What the package exports is documented, and what the API takes and answers is."""

import importlib
import inspect
import pkgutil

import pytest
from pydantic import BaseModel

import gradlab
from backend.api import models, routes

EXPORTED = {
    name: value
    for name in sorted(gradlab.__all__)
    if inspect.isclass(value := getattr(gradlab, name)) or inspect.isfunction(value)
}
ROUTES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(routes.__path__, f"{routes.__name__}.")
]
MODELS = {
    name: value
    for module in (models, *ROUTES)
    for name, value in vars(module).items()
    if inspect.isclass(value)
    and issubclass(value, BaseModel)
    and value.__module__ == module.__name__
}


@pytest.mark.parametrize("name", [*EXPORTED, *MODELS])
def test_public_classes_functions_and_methods_have_docstrings(name):
    value = {**EXPORTED, **MODELS}[name]
    assert value.__doc__
    assert not value.__doc__.startswith(f"{name}("), "only the text that a dataclass makes"
    if inspect.isclass(value):
        own = [m for m in vars(value) if not m.startswith("_") and callable(getattr(value, m))]
        silent = [method for method in own if not inspect.getdoc(getattr(value, method))]
        assert not silent
