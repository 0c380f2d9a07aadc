# SPDX-License-Identifier: Apache-2.0
"""Make the site of more than docs/: pages of the repository's other Markdown files, and of every public package.

Hooks of MkDocs, named in mkdocs.yml. Pages link to each other by the paths that they have in the repository, so that
they work there too; here these paths become those of the site.
"""

import ast
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).resolve().parents[2]

FROM_REPOSITORY = {
    "README.md": "project/overview.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "NOTICE.md": "project/notice.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/results/0.1.0/chirp.md": "project/chirp.md",
    "benchmarks/results/0.1.0/chirp.png": "project/chirp.png",
}
"""Files outside docs/ that are part of the site, and where there; those that do not exist are left out."""

FOR_THE_COMMAND_LINE = {"commands", "experiments", "inspection"}
"""Packages that no program of others should import."""

WITHIN_PACKAGES = ["ops/warp"]
"""Packages within others whose names these do not repeat."""

_SHARED = "::: {0}.{1}.{1}\n    options: {{show_root_heading: true, show_root_toc_entry: true}}\n"
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def public_packages() -> list[str]:
    """Names of packages that list what is public in them, ``dealias`` itself first."""
    package = REPOSITORY / "src" / "dealias"
    parts = sorted(
        path.parent for path in package.glob("*/__init__.py") if path.parent.name not in FOR_THE_COMMAND_LINE
    )
    folders = [package, *filter(_listed_names, parts), *(package / path for path in WITHIN_PACKAGES)]
    return [".".join(folder.relative_to(package.parent).parts) for folder in folders]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/."""
    for path, uri in FROM_REPOSITORY.items():
        if (REPOSITORY / path).exists():
            files.append(File.generated(config, uri, abs_src_path=str(REPOSITORY / path)))
    for package in public_packages():
        files.append(File.generated(config, f"api/{package}.md", content=_page_of(package)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Make links between files of the repository links between pages; a file that is no page becomes its path."""
    if not page.file.abs_src_path:
        return markdown
    folder = Path(page.file.abs_src_path).parent
    pages = {os.path.realpath(file.abs_src_path): file.src_uri for file in files if file.abs_src_path}

    def on_site(link: re.Match[str]) -> str:
        target = os.path.realpath(folder / link[1])
        if target in pages:
            return f"]({os.path.relpath(pages[target], Path(page.file.src_uri).parent)}{link[2] or ''})"
        return "]{: .path }" if os.path.exists(target) else link[0]

    return _LINK.sub(on_site, markdown)


def _page_of(package: str) -> str:
    """Markdown that asks mkdocstrings for a package, and for functions that share the name of their module in it."""
    folder = REPOSITORY / "src" / Path(*package.split("."))
    modules = {path.stem for path in folder.iterdir()}
    shared = [_SHARED.format(package, name) for name in _listed_names(folder) if name in modules]
    return "\n".join([f"# {package}\n\n::: {package}\n", *shared])


def _listed_names(folder: Path) -> list[str]:
    """What ``__all__`` of a package lists; nothing where there is none."""
    for node in ast.parse((folder / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []
