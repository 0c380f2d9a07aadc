# SPDX-License-Identifier: Apache-2.0
"""Every public name exists, is described, and is typed to the last argument."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

import dealias

FOR_THE_COMMAND_LINE = {"cli", "commands", "experiments", "inspection"}
WITHOUT_NAMES = {"report"}
PUBLISHED_NAMES = "dealias.compat.naming"
"""Its attributes stand for parts under the names that published code gives them."""


def public_packages() -> list[str]:
    found = {module.name for module in pkgutil.iter_modules(dealias.__path__) if not module.name.startswith("_")}
    return ["dealias", *(f"dealias.{name}" for name in sorted(found - FOR_THE_COMMAND_LINE - WITHOUT_NAMES))]


packages = pytest.mark.parametrize("package", [importlib.import_module(name) for name in public_packages()], ids=str)


def functions_of(package: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """Public functions, and the public methods and constructors of public classes, as far as they are written here."""
    for name in package.__all__:
        thing: Any = getattr(package, name)
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                function = inspect.unwrap(function)
                is_public = key == "__init__" or not key.startswith("_")
                if is_public and inspect.isfunction(function) and _is_written_here(function):
                    yield f"{name}.{key}", function
        elif inspect.isfunction(function := inspect.unwrap(thing)):
            yield name, function


def _is_written_here(function: FunctionType) -> bool:
    return function.__module__.startswith("dealias") and function.__module__ != PUBLISHED_NAMES


@packages
def test_names_exist_once(package):
    assert len(set(package.__all__)) == len(package.__all__)
    assert [name for name in package.__all__ if getattr(package, name, None) is None] == []
    assert [name for name in package.__all__ if name.startswith("_") and name != "__version__"] == []


@packages
def test_names_are_described(package):
    classes = [name for name in package.__all__ if inspect.isclass(getattr(package, name))]
    silent = [name for name in classes if not vars(getattr(package, name)).get("__doc__")]
    # What forward takes and gives may stand with the class; what a constructor takes does.
    silent += [
        name
        for name, function in functions_of(package)
        if not function.__doc__ and not name.endswith((".__init__", ".forward"))
    ]
    assert silent == []


@packages
def test_functions_are_typed(package):
    untyped = []
    for name, function in functions_of(package):
        signature = inspect.signature(function)
        bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
        parameters = [parameter for parameter in bare if parameter not in ("self", "cls")]
        untyped += [f"{name}({parameter})" for parameter in parameters]
        untyped += [f"{name} ->"] if signature.return_annotation is inspect.Signature.empty else []
    assert untyped == []


def test_packages_without_names_are_known():
    names = {f"dealias.{name}" for name in WITHOUT_NAMES}
    assert [name for name in names if hasattr(importlib.import_module(name), "__all__")] == []
