# SPDX-License-Identifier: Apache-2.0
"""The source archive and the wheel: what is in them, and that the wheel works where there is torch and nothing else."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "dealias"
PAGES = ("README.md", "LICENSE", "NOTICE.md", "CHANGELOG.md", "CITATION.cff", "SECURITY.md")
FILES = ("pyproject.toml", "MANIFEST.in", *PAGES)
STRAYS = ("tests/test_a.py", "tests/ops/test_b.py", "benchmarks/a.py", "src/dealias/__pycache__/cli.pyc", "runs/a.txt")

BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # building changes the arguments
print("sdist", build_meta.build_sdist(folder))
print("wheel", build_meta.build_wheel(folder))
"""

ALONE = """
import json, sys
from importlib.machinery import PathFinder
absent, folder = json.loads(sys.argv[1]), sys.argv[2]
sys.path.insert(0, folder)

class Present:
    find_distributions = staticmethod(PathFinder.find_distributions)
    finders = list(sys.meta_path)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in absent:
            return next(filter(None, (finder.find_spec(name, path, target) for finder in self.finders)), None)

sys.meta_path[:] = [Present()]
import dealias
assert dealias.__file__.startswith(folder), dealias.__file__
"""

COMMANDS = (
    "fit --config a.yaml",
    "demo",
    "compare --steps 1 --out a",
    "predict a.png --checkpoint a.ckpt",
    "report runs",
    "evaluate a b --classes 2",
    "analyze --model fpn/resnet18 --data scenes:1",
    "data check a --classes 2",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source archive and the wheel, built from a copy that has what must not be in them too."""
    root = tmp_path_factory.mktemp("source")
    for name in FILES:
        shutil.copy(REPOSITORY / name, root / name)
    shutil.copytree(PACKAGE, root / "src" / "dealias", ignore=shutil.ignore_patterns("__pycache__"))
    for stray in STRAYS:
        (root / stray).parent.mkdir(parents=True, exist_ok=True)
        (root / stray).write_text("pass\n")
    done = subprocess.run([sys.executable, "-c", BUILD, root / "dist"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("sdist ", "wheel ")))
    return {kind: root / "dist" / name for kind, name in found.items()}


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The folder that the wheel was installed into."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder]
    done = subprocess.run([*command, built["wheel"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run_alone(installed, tmp_path):
    """``run_alone(code)``: the process that ran it with the wheel, torch, numpy and what these need."""

    def run(code):
        absent = json.dumps(modules_beside({"dealias", "torch", "numpy"}))
        command = [sys.executable, "-I", "-c", ALONE + textwrap.dedent(code), absent, str(installed)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return run


def modules_beside(names):
    """The modules that are installed, but belong neither to these distributions nor to what they require."""
    distributions, todo = set(), set(names)
    while todo:
        name = todo.pop()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another system
            continue
        distributions.add(name)
        todo |= {name_in(text) for text in requirements if "extra ==" not in text} - distributions
    owners = metadata.packages_distributions().items()
    return sorted(module for module, own in owners if not {name_in(name) for name in own} & distributions)


def name_in(requirement):
    return re.sub(r"[_.]", "-", re.match(r"[\w.-]+", requirement)[0].lower())


def package_files():
    """What belongs into a wheel: the package's modules and everything beside them."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def test_the_wheel_has_the_package_and_nothing_else(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = set(wheel.namelist())
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        described = wheel.read(about).decode()
    folder = about.rpartition("/")[0]
    assert {name for name in names if not name.startswith(folder)} == package_files()
    assert {f"{folder}/licenses/LICENSE", f"{folder}/licenses/NOTICE.md", f"{folder}/entry_points.txt"} <= names
    needed = ("py.typed", "kernels/source/rows.h", "cli_help/segmentation/fit.txt", "report/html/assets/report.js")
    assert {f"dealias/{name}" for name in (*needed, "report/html/templates/page.html.j2")} <= names
    assert "\nLicense-Expression: Apache-2.0\n" in described and "\nRequires-Python: >=3.11\n" in described
    required = re.findall(r"^Requires-Dist: (?!.*extra ==)(.*)$", described, re.MULTILINE)
    assert sorted(map(name_in, required)) == ["numpy", "torch"]


def test_the_source_archive_has_what_builds_the_wheel(built):
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in package_files()} | set(FILES) <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "runs")) or "__pycache__" in name]


def test_parts_of_networks_work_with_torch_alone(run_alone):
    done = run_alone(
        """
        import torch
        from dealias import compat, filters, fusion, losses, mixing, modulation, ops
        hr, lr = torch.randn(1, 32, 16, 16), torch.randn(1, 32, 8, 8)
        for name in fusion.list_fusions():
            assert fusion.create_fusion(name, 32, 32).eval()(hr, lr)[1].shape == hr.shape, name
        for name in filters.list_prefilters():
            assert filters.create_prefilter(name, 32)(hr).shape == hr.shape, name
        assert mixing.FreqMix(32)(hr).shape == hr.shape
        assert ops.reassemble(hr, torch.softmax(torch.randn(1, 9, 16, 16), 1)).shape == hr.shape
        assert compat.CARAFEPack(32, 2)(lr).shape == hr.shape
        assert len(compat.FreqFusion(hr_channels=32, lr_channels=32)(hr, lr)) == 3
        print("fine")
        """
    )
    assert done.stdout == "fine\n", done.stderr


def test_the_command_line_says_what_to_install(run_alone):
    done = run_alone(
        f"""
        from dealias.cli import main
        for command in {COMMANDS}:
            print("code", main(command.split()))
        main(["--version"])
        """
    )
    assert "Traceback" not in done.stderr and done.stdout.count("code 2") == len(COMMANDS), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("dealias ")
    complaints = done.stderr.splitlines()
    assert [line for line in complaints if "install it with pip install 'dealias[" not in line] == []
    assert len(complaints) == len(COMMANDS)
