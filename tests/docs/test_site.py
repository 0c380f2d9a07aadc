# SPDX-License-Identifier: Apache-2.0
"""The site builds without a warning, has all public names, and asks nothing of the network."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings")

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built strictly: pages outside the navigation, dead links and anchors are errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    settings = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=settings, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_every_public_name_is_described(site):
    packages = sorted(page.stem for page in (site / "api").glob("dealias*.html"))
    assert {"dealias", "dealias.fusion", "dealias.ops.warp"} < set(packages)
    missing = []
    for name in packages:
        described = set(re.findall(r'id="([\w.]+)"', (site / "api" / f"{name}.html").read_text(encoding="utf-8")))
        for item in importlib.import_module(name).__all__:
            missing += [] if described & {f"{name}.{item}", f"{name}.{item}.{item}"} else [f"{name}.{item}"]
    assert missing == []


def test_docstrings_have_become_markdown(site):
    for page in (site / "api").glob("*.html"):
        text = re.sub(r"<pre>.*?</pre>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r":(?:class|func|data|meth|mod|attr):|&gt;&gt;&gt;|::</p>", text), page.name


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    loaded = r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:|<link[^>]*\shref=\"?https?:"
    assert len(pages) > 40
    assert [page.name for page in pages if re.search(loaded, page.read_text(encoding="utf-8"))] == []


def test_files_of_the_repository_are_pages(site):
    overview = (site / "project" / "overview.html").read_text(encoding="utf-8")
    assert 'href="../where_to_put_it.html"' in overview and 'src="../images/demo_gallery.png"' in overview
    assert 'href="project/overview.html"' in (site / "upsampling.html").read_text(encoding="utf-8")
    assert not (site / "tools").exists()


def test_figures_can_be_made_again(tmp_path):
    script = REPOSITORY / "docs" / "tools" / "figures.py"
    names = ["zone_plate", "stride", "hard_pixels"]  # the other one is trained first
    subprocess.run([sys.executable, script, *names, "--out", tmp_path], check=True)
    for name in names:
        stored, made = (folder / f"{name}.png" for folder in (REPOSITORY / "docs" / "images", tmp_path))
        assert stored.stat().st_size < 150_000
        with Image.open(stored) as before, Image.open(made) as after:
            assert before.size == after.size and before.size[0] >= 1000
