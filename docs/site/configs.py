"""A page for each config: its docstring, measured numbers, pictures and source."""

import ast
import re
from pathlib import Path

from docs.site.links import ROOT, fence_commands, link_papers, link_to, outside_code
from docs.site.sections import all_pictures, all_sections
from docs.site.tables import tables_of

INDEX = Path("configs/index.md")
FLAG = re.compile(r"(?<!`)--\w[\w.]*(?:=(?:\"[^\"]*\"|[\w.]*\w))?")
# A path in the text of a docstring, neither in a command nor in a link.
PATH = re.compile(
    r"(?<![`\[/])(?<!\]\()\b((?:docs|experiments|ganjax|configs)/[\w/]+\.\w+)"
)


def config_files() -> list[Path]:
    """configs/*.py, relative to the root."""
    files = sorted((ROOT / "configs").glob("[!_]*.py"))
    return [file.relative_to(ROOT) for file in files]


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""


def as_markdown(text: str, page: Path) -> str:
    """A docstring as Markdown: commands are blocks of code, paths and papers links."""
    text = re.sub(r"^(\|.*)\n(?!\||\n)", r"\1\n\n", text, flags=re.M)

    def mark(part: str) -> str:
        part = FLAG.sub(r"`\g<0>`", part)
        return PATH.sub(lambda m: link_to(Path(m[1]), page), part)

    return link_papers(outside_code(fence_commands(text), mark))


def pictures(config: Path) -> dict[Path, str]:
    """Pictures with captions: docs/NAME.png, or what the texts about the config show.

    If no text is about this config alone, those of sections that name it in a table.
    """
    own = Path(f"docs/{config.stem}.png")
    about = [section for section in all_sections() if section.is_about(config)]
    shown = {p: alt for section in about for p, alt in section.pictures().items()}
    if own in all_pictures():
        alts = {p: alt for s in all_sections() for p, alt in s.pictures().items()}
        return {own: alts.get(own, "samples")}
    if not shown:
        named = (s for s in all_sections() if f"| `{config.name}` |" in s.text)
        shown = {p: alt for section in named for p, alt in section.pictures().items()}
    return shown


def numbers(config: Path) -> str:
    """The rows of the measured tables, each with the place that says how."""
    parts = []
    for table in tables_of(config.name):
        name = table.file.relative_to(ROOT)
        line = f"| {' | '.join(table.header)} |\n"
        places = [s.link_from(config) for s in all_sections() if f"\n{line}" in s.text]
        script = table.script()
        source = f"From `{name}`"
        if script:
            source += f", which `python -m experiments.{script}` writes"
        if places:
            source += f"; hardware, seeds and other configs: {', '.join(places)}"
        parts.append(f"{table.markdown()}\n\n{source}.")
    return "\n\n".join(parts) or "No table of results has a row for this config."


def config_page(config: Path) -> str:
    """The Markdown of the page."""
    first, _, rest = docstring(config).partition("\n")
    shown = [
        f"![{alt}]({Path('..') / picture})\n\n*{alt}*"
        for picture, alt in pictures(config).items()
    ]
    about = [s.link_from(config) for s in all_sections() if s.is_about(config)]
    return "\n\n".join(
        [
            f"# {config.stem}",
            f"**{as_markdown(first, config)}**",
            as_markdown(rest, config),
            "## Numbers",
            numbers(config),
            "## Pictures",
            "\n\n".join(shown) or "No picture of this config is in the repository.",
            "## Texts about it",
            "\n".join(f"- {link}" for link in about) or "None.",
            "## Source",
            f"```python title='{config}'\n{(ROOT / config).read_text()}```\n",
        ]
    )


def config_index() -> str:
    """All configs with the first lines of their docstrings."""
    lines = ["# Configs", "", "| config | content |", "|---|---|"]
    for file in config_files():
        first = link_papers(docstring(file).partition("\n")[0])
        lines.append(f"| {link_to(file, INDEX, file.stem)} | {first} |")
    return "\n".join(lines)
