# SPDX-License-Identifier: Apache-2.0
"""All pages: their examples run, and what they name and link to exists."""

import importlib
import re
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "SECURITY.md", *(REPOSITORY / "docs").glob("*.md")])
WITH_ITS_OWN_TEST = {"where_to_put_it.md"}

pages = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def blocks(text):
    return list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


@pages
def test_examples_run_one_after_the_other(page, stand_ins):
    text, names = page.read_text(encoding="utf-8"), {"__name__": page.stem}
    examples = [] if page.name in WITH_ITS_OWN_TEST else blocks(text)
    torch.manual_seed(0)
    for example in examples:
        lines_before = text.count("\n", 0, example.start(1))
        code = compile("\n" * lines_before + example[1], page, "exec")
        if ".pth" not in example[1]:  # a file that readers have
            exec(code, names)


def test_pages_have_examples():
    counts = {page.stem: len(blocks(page.read_text(encoding="utf-8"))) for page in PAGES}
    assert counts["README"] == counts["modulation"] == counts["classification"] == 2
    assert counts["objects"] == counts["speed"] == counts["train"] == counts["migration"] == 1
    assert counts["index"] == 3 and counts["own_network"] == counts["measure"] == 5


@pages
def test_what_is_named_exists(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#|api/)([^)#]+)", text)  # pages of the API are made with the site
    named = re.findall(r"(?<![\w/])configs/[\w./-]+\.yaml", text)
    missing = [path for path in links if not (page.parent / path).exists()]
    missing += [path for path in named if not (REPOSITORY / path).is_file()]
    assert missing == []


@pages
def test_names_of_dealias_exist(page):
    text = page.read_text(encoding="utf-8")
    names = set(re.findall(r"(?<![\w/.-])dealias(?:\.\w+)+", text))
    assert [name for name in sorted(names) if not exists(name)] == []


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    found = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(parts[:i]))
            except ImportError:
                return False
    return True
