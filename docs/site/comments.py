"""Extension of Griffe, which reads the docstrings of the API pages.

The comments on fields and constants become their docstrings, arXiv ids become links,
and commands and examples with `>>>` become code.
"""

import io
import re
import tokenize
from functools import cache
from pathlib import Path
from typing import Any

import griffe

from docs.site.links import fence_commands, link_papers, outside_code

DUNDER = re.compile(r"(?<![\w`/.])[\w/.]*__\w+__(?:\.\w+)?(?![\w`])")
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.M)


@cache
def comments(file: Path) -> dict[int, tuple[str, bool]]:
    """By number of line, the comment on it and whether the line has nothing else."""
    source = file.read_text()
    lines = source.splitlines()
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            alone = not lines[row - 1][:column].strip()
            found[row] = token.string.removeprefix("#").strip(), alone
    return found


def comment_on(file: Path, first: int, last: int) -> str:
    """The comment above the statement on these lines, and that at its end."""
    found = comments(file)
    text: list[str] = []
    row = first - 1
    while row in found and found[row][1] and not found[row][0].startswith("--"):
        text.insert(0, found[row][0])
        row -= 1
    if last in found:
        text.append(found[last][0])
    return " ".join(text)


class Comments(griffe.Extension):
    """See the docstring of the file."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the docstring of a module, class, function or attribute."""
        if obj.is_attribute and obj.docstring is None and obj.lineno and obj.endlineno:
            text = comment_on(Path(str(obj.filepath)), obj.lineno, obj.endlineno)
            if text:
                obj.docstring = griffe.Docstring(text, parent=obj)
        if obj.docstring:
            text = EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)
            text = outside_code(fence_commands(text), mark_dunders)
            obj.docstring.value = link_papers(text)


def mark_dunders(text: str) -> str:
    """Names like __init__ as code; Markdown would set them in bold."""
    return DUNDER.sub(r"`\g<0>`", text)
