"""The page of all pictures, under the texts that show them."""

import os
from pathlib import Path

from docs.site.configs import docstring
from docs.site.links import ROOT, link_to
from docs.site.sections import all_pictures, all_sections

PAGE = Path("gallery.md")


def figure(picture: Path, caption: str) -> str:
    link = os.path.relpath(picture, PAGE.parent)
    return f"![{caption}]({link})\n\n*{caption}* (`{picture}`)"


def script_of(picture: Path) -> Path | None:
    """The experiment with the longest name that the picture's name starts with."""
    scripts = (ROOT / "experiments").glob("*.py")
    fitting = [s for s in scripts if picture.stem.startswith(s.stem)]
    longest = max(fitting, key=lambda s: len(s.stem), default=None)
    return longest and longest.relative_to(ROOT)


def gallery_page() -> str:
    """The Markdown of the page; every picture is shown once."""
    left = dict.fromkeys(all_pictures())
    parts = ["# Gallery"]
    for section in all_sections():
        shown = [p for p in section.pictures() if p in left]
        if shown:
            parts += [f"## {section.heading}", f"From {section.link_from(PAGE)}."]
        for picture in shown:
            del left[picture]
            parts.append(figure(picture, section.pictures()[picture]))
    parts.append("## Theory and other experiments")
    for picture in left:
        script = script_of(picture)
        caption = docstring(script).partition("\n")[0] if script else picture.stem
        parts.append(figure(picture, caption))
        if script:
            parts.append(f"Drawn by {link_to(script, PAGE)}.")
    return "\n\n".join(parts)
