# SPDX-License-Identifier: Apache-2.0
"""The package as a whole: what importing it costs, its version, its headers, and which part may import which."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import dealias

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "dealias"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = sorted(
    path for folder in ("tests", "benchmarks", "examples", "docs") for path in (REPOSITORY / folder).rglob("*.py")
)

HEAVY = {
    "lightning",
    "transformers",
    "timm",
    "torchvision",
    "matplotlib",
    "torchmetrics",
    "jsonargparse",
    "rich",
    "triton",
}

# Parts that are not listed may import every part but compat, which is for users and the command that converts files.
MAY_IMPORT: dict[str, set[str]] = {
    "kernels": {"_files"},
    "ops": {"kernels"},
    "metrics": {"ops"},
    "analysis": {"ops"},
    "data": {"ops", "_documents"},
    "filters": {"ops"},
    "fusion": {"ops"},
    "mixing": {"ops"},
    "robustness": set(),
    "modulation": {"ops"},
    "backbones": {"_archives", "ops", "filters", "fusion", "modulation"},
    "necks": {"ops", "filters", "fusion", "backbones", "heads"},
    "heads": {"ops", "filters", "fusion", "backbones", "necks"},
    "models": {
        "_documents",
        "_files",
        "ops",
        "filters",
        "fusion",
        "mixing",
        "modulation",
        "backbones",
        "necks",
        "heads",
    },
}


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "module",
    [f"dealias{part}" for part in ("", ".ops", ".filters", ".fusion", ".mixing", ".modulation", ".losses", ".compat")],
)
def test_core_imports_nothing_beyond_torch(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "dealias" in loaded
    assert not loaded & HEAVY


def test_version_is_one_everywhere() -> None:
    project = tomllib.loads(text(REPOSITORY / "pyproject.toml"))["project"]
    assert dealias.__version__ == project["version"]
    assert f"\nversion: {dealias.__version__}\n" in text(REPOSITORY / "CITATION.cff")
    assert f"\n## [{dealias.__version__}]" in text(REPOSITORY / "CHANGELOG.md")


def test_every_file_names_its_licence() -> None:
    first_line = "# SPDX-License-Identifier: Apache-2.0\n"
    assert [relative(path) for path in MODULES + SCRIPTS if not text(path).startswith(first_line)] == []


def test_every_module_says_what_it_is() -> None:
    assert [relative(path) for path in MODULES if not ast.get_docstring(ast.parse(text(path)))] == []


def test_imports_run_one_way() -> None:
    wrong = []
    for path in MODULES:
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        others = set(imported_parts(path)) - {part}
        wrong += [f"{relative(path)} imports {other}" for other in others if not may_import(part, other)]
    assert wrong == []


def may_import(part: str, other: str) -> bool:
    return (other != "compat" or part == "commands") and other in MAY_IMPORT.get(part, {other})


def imported_parts(path: Path) -> Iterator[str]:
    """The parts of dealias (``ops``, ``fusion``, ...) that a module imports, at its top or inside functions."""
    package = ("dealias", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        yield from (name[1] for name in names if name[0] == "dealias" and len(name) > 1)
