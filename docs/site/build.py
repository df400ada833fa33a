"""Builds the documentation site; a warning is an error.

python -m docs.site.build

Writes Markdown pages to build/docs/pages and the site to build/docs/html. The pages are
the texts of the repository with their links translated, a page for each module and for
each config, and the source of every other file that a page links to.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from docs.site import api, configs, gallery
from docs.site.links import COPIED, ROOT, page_of, targets, title, translate

HERE = Path(__file__).parent
OUT = ROOT / "build/docs"
LANGUAGES = {".py": "python", ".sh": "sh", ".json": "json", ".yml": "yaml"}


def texts() -> list[Path]:
    """All Markdown files that become pages, relative to the root."""
    names = ("*.md", "docs/*.md", "docs/guides/*.md", "experiments/README.md")
    files = (file for name in names for file in sorted(ROOT.glob(name)))
    return [file.relative_to(ROOT) for file in files]


def make_pages() -> dict[Path, str]:
    """The Markdown of every page by its path in the site."""
    pages = {page_of(f): translate((ROOT / f).read_text(), f) for f in texts()}
    pages |= {page_of(f): api.module_page(f) for f in api.modules()}
    pages |= {page_of(f): configs.config_page(f) for f in configs.config_files()}
    pages[api.INDEX] = api.api_index()
    pages[configs.INDEX] = configs.config_index()
    pages[gallery.PAGE] = gallery.gallery_page()
    linked = {link for page, text in pages.items() for link in targets(text, page)}
    return pages | {
        page: source_page(page)
        for page in sorted(linked - pages.keys())
        if page.suffix not in COPIED
    }


def source_page(page: Path) -> str:
    """A page with the content of the file that it is for; the inverse of `page_of`."""
    for file in (page.with_suffix(".py"), page.with_suffix("")):
        if (ROOT / file).is_file():
            source = (ROOT / file).read_text()
            language = LANGUAGES.get(file.suffix, "text")
            return f"# {file}\n\n`````{language}\n{source}`````\n"
    raise ValueError(f"{page}: expected every link to lead to a file of the repository")


def menu(pages: dict[Path, str]) -> list[Any]:
    """The menu: new texts, configs and modules are in it without being named here."""

    def entries(folder: str) -> list[dict[str, str]]:
        files = (p for p in sorted(pages) if p.parent == Path(folder))
        return [{title(pages[p]): str(p)} for p in files if p.name != "index.md"]

    return [
        {"ganjax": "index.md"},
        {"Guides": entries("docs/guides")},
        {"Manual": entries("docs")},
        {"Configs": [str(configs.INDEX), *entries("configs")]},
        {"Gallery": str(gallery.PAGE)},
        {"Experiments": "experiments/index.md"},
        {"Reference": [str(api.INDEX), *api.menu()]},
        {"Project": ["CONTRIBUTING.md", "CHANGELOG.md"]},
    ]


def write(pages: dict[Path, str]) -> None:
    """The pages, what they show, style sheet and settings."""
    folder = OUT / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    for page, text in pages.items():
        (folder / page).parent.mkdir(parents=True, exist_ok=True)
        (folder / page).write_text(text)
    linked = {link for page, text in pages.items() for link in targets(text, page)}
    for file in linked:
        if file.suffix in COPIED:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, folder / file)
    shutil.copy(HERE / "site.css", folder)
    settings = (HERE / "mkdocs.yml").read_text()
    (OUT / "mkdocs.yml").write_text(f"{settings}\nnav: {json.dumps(menu(pages))}\n")


def main() -> None:
    write(make_pages())
    command = [
        "zensical",
        "build",
        "--clean",
        "--strict",
        "-f",
        str(OUT / "mkdocs.yml"),
    ]
    sys.exit(subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
