"""Where each file of the repository is in the site, and links between them.

The site has the folders of the repository, so that a relative link of a Markdown file
holds in both: only the ends of names differ. `README.md` is `index.md`, `x.py` is the
page `x.md`, a folder is its `index.md`.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = (".png", ".gif")
COPIED = (*IMAGES, ".ipynb")  # files that the site has as they are
LINK = re.compile(r"(?<=\]\()([^)\s#]*)(#[^)]*)?(?=\))")
ARXIV = re.compile(r"(?<![\[/`\w.])(?:arXiv:(\d{4}\.\d{4,5})|(\d{4}\.\d{5}))\b")
COMMANDS = re.compile(r"^(?:(?:python -m|pip install) .*(?:\n|$))+", re.M)
FENCE = re.compile(r"^ *(`{3,})[^`]*?\n.*?^ *\1$", re.M | re.S)


def page_of(path: Path) -> Path:
    """The page of a file or folder; both relative to the root.

    >>> page_of(Path("docs/data.md")), page_of(Path("README.md"))
    (PosixPath('docs/data.md'), PosixPath('index.md'))
    """
    if path.suffix in COPIED:
        return path
    if (ROOT / path).is_dir():
        return path / "index.md"
    if path.name in ("README.md", "__init__.py"):
        return path.parent / "index.md"
    if path.suffix in (".md", ".py"):
        return path.with_suffix(".md")
    return path.with_name(f"{path.name}.md")


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Markdown whose text is changed, but not its blocks of code."""
    changed, end = "", 0
    for fence in FENCE.finditer(text):
        changed += change(text[end : fence.start()]) + fence[0]
        end = fence.end()
    return changed + change(text[end:])


def link_papers(text: str) -> str:
    """Markdown in which each arXiv id is a link.

    >>> link_papers("R1 (arXiv:1801.04406, equation 9)")
    'R1 ([arXiv:1801.04406](https://arxiv.org/abs/1801.04406), equation 9)'
    """

    def link(match: re.Match[str]) -> str:
        number = match[1] or match[2]
        return f"[arXiv:{number}](https://arxiv.org/abs/{number})"

    return outside_code(text, lambda part: ARXIV.sub(link, part))


def fence_commands(text: str) -> str:
    """A docstring whose commands are blocks of code."""
    return COMMANDS.sub(lambda m: f"```sh\n{m[0].strip()}\n```\n", text)


def targets(text: str, file: Path) -> Iterator[Path]:
    """What a Markdown file links to; all paths are relative to the root."""
    for link in LINK.finditer(FENCE.sub("", text)):
        if is_local(link[1]):
            yield absolute(link[1], file)


def is_local(link: str) -> bool:
    return bool(link) and "://" not in link


def absolute(link: str, file: Path) -> Path:
    """The path, relative to the root, that a link of a file leads to."""
    return Path(os.path.normpath(file.parent / link))


def translate(text: str, file: Path) -> str:
    """Markdown of a file with the links of its page."""
    start = page_of(file).parent

    def link(match: re.Match[str]) -> str:
        if not is_local(match[1]):
            return match[0]
        page = page_of(absolute(match[1], file))
        return os.path.relpath(page, start) + (match[2] or "")

    return link_papers(outside_code(text, lambda part: LINK.sub(link, part)))


def link_to(path: Path, page: Path, text: str = "") -> str:
    """A link from a page of the site to the page of a file."""
    label = text or f"`{path}`"
    return f"[{label}]({os.path.relpath(page_of(path), page.parent)})"


def title(text: str) -> str:
    """The first heading of Markdown."""
    return re.search(r"^# (.*)$", text, re.M)[1]  # type: ignore[index]
