# SPDX-License-Identifier: Apache-2.0
"""Make Markdown of the docstrings: cross-references, literal blocks, examples, asterisks; an extension of Griffe."""

import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")
_CODE = re.compile(r"(`+[^`]+`+)")
_BLANK = re.compile(r"\n(?:[ ]*\n)+")


class MarkdownDocstrings(griffe.Extension):
    """Every docstring as Markdown, before its sections are read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute in place."""
        if obj.docstring is not None:
            paragraphs = _markdown(obj.docstring.value, lambda role: _link(obj, *role.groups()))
            obj.docstring.value = "\n\n".join(paragraphs)


def _markdown(text: str, link: Callable[[re.Match[str]], str]) -> Iterator[str]:
    """The paragraphs; ``link`` gives what stands for a role such as ``:class:`Name```."""
    indent = 0
    for paragraph in _BLANK.split(text):
        before, indent = indent, len(paragraph) - len(paragraph.lstrip())
        if indent >= before + 4:  # a literal block
            yield paragraph
            indent = before
        elif paragraph.lstrip().startswith(">>> "):
            yield f"{' ' * indent}```pycon\n{paragraph}\n{' ' * indent}```"
        else:
            indent = len(paragraph.splitlines()[-1]) - len(paragraph.splitlines()[-1].lstrip())
            yield _escaped(_ROLE.sub(link, paragraph.removesuffix(":") if paragraph.endswith("::") else paragraph))


def _escaped(text: str) -> str:
    """Asterisks that are no code are asterisks, not emphasis."""
    return "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in _CODE.split(text))


def _link(obj: griffe.Object, shortened: str, name: str) -> str:
    """A link to what is documented on some page, plain code otherwise."""
    shown = name.rpartition(".")[2] if shortened else name
    return f'<autoref optional identifier="{escape(_full_name(obj, name))}"><code>{escape(shown)}</code></autoref>'


def _full_name(obj: griffe.Object, name: str) -> str:
    try:
        return obj.resolve(name)
    except griffe.NameResolutionError:
        return name
