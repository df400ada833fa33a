"""The sections of the texts: which pictures they show, and what they are about."""

import re
from pathlib import Path
from typing import NamedTuple

from markdown.extensions.toc import slugify

from docs.site.links import IMAGES, ROOT, absolute, link_to, targets

TEXTS = ("README.md", "docs/*.md", "docs/guides/*.md", "experiments/README.md")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


class Section(NamedTuple):
    """A part of a text between two headings; all paths are relative to the root."""

    file: Path
    heading: str
    text: str

    def pictures(self) -> dict[Path, str]:
        """The pictures with their alternative texts."""
        found = PICTURE.findall(self.text)
        return {absolute(link, self.file): alt for alt, link in found}

    def link_from(self, page: Path) -> str:
        """A link to it from a page of the site, with the title of the text."""
        whole = sections(self.file)[0].heading
        name = whole if self.heading == whole else f"{whole}: {self.heading}"
        anchor = slugify(self.heading.replace("`", ""), "-")
        return link_to(self.file, page, name)[:-1] + f"#{anchor})"

    def is_about(self, config: Path) -> bool:
        """Whether it links to the config or has a command with it."""
        return f"--config {config}" in self.text or config in set(
            targets(self.text, self.file)
        )


def read_texts() -> list[Path]:
    """README, documents and guides, relative to the root."""
    return [f.relative_to(ROOT) for name in TEXTS for f in sorted(ROOT.glob(name))]


def sections(file: Path) -> list[Section]:
    """Its sections; a line that starts with # is no heading in a block of code."""
    found, fenced = [], False
    for line in (ROOT / file).read_text().splitlines():
        fenced ^= line.startswith("```")
        if not fenced and re.match("#{1,2} ", line):
            found.append(Section(file, line.lstrip("# "), ""))
        else:
            found[-1] = found[-1]._replace(text=f"{found[-1].text}{line}\n")
    return found


def all_sections() -> list[Section]:
    """Those of all texts."""
    return [section for file in read_texts() for section in sections(file)]


def all_pictures() -> list[Path]:
    """The pictures in docs/ and experiments/results/, relative to the root."""
    folders = (ROOT / "docs", ROOT / "experiments/results")
    files = (file for folder in folders for file in sorted(folder.iterdir()))
    return [file.relative_to(ROOT) for file in files if file.suffix in IMAGES]
