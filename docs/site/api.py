"""The reference: a page for each module of ganjax, and one of its public names."""

import ast
from pathlib import Path
from typing import Any

from docs.site.links import ROOT, link_papers, link_to, page_of

INDEX = Path("ganjax/index.md")


def modules() -> list[Path]:
    """The files of ganjax, relative to the root, without its configs."""
    files = (file.relative_to(ROOT) for file in sorted((ROOT / "ganjax").rglob("*.py")))
    return [file for file in files if file.parts[1] not in ("configs", "__init__.py")]


def dotted(file: Path) -> str:
    """The name of a module.

    >>> dotted(Path("ganjax/data/__init__.py")), dotted(Path("ganjax/losses.py"))
    ('ganjax.data', 'ganjax.losses')
    """
    parts = (
        file.parent.parts if file.name == "__init__.py" else file.with_suffix("").parts
    )
    return ".".join(parts)


def module_page(file: Path) -> str:
    name = dotted(file)
    return f"# {name}\n\n::: {name}\n"


def public_names() -> list[tuple[str, Path, str]]:
    """Of ganjax/__init__.pyi: name, file of the definition, and name there or ""."""
    names = []
    for node in ast.parse((ROOT / "ganjax/__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = node.module or alias.name
                file = ROOT / "ganjax" / module.replace(".", "/")
                source = (
                    file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
                )
                inner = alias.name if node.module else ""
                names.append((alias.name, source.relative_to(ROOT), inner))
    return names


def definition(file: Path, name: str) -> tuple[Path, ast.AST]:
    """Where a name is defined: in this file, or where this file imports it from."""
    tree = ast.parse((ROOT / file).read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return file, node
        if isinstance(node, ast.ImportFrom) and name in [a.name for a in node.names]:
            module = Path(*(node.module or "").split("."))
            folder = (ROOT / module).is_dir()
            source = module / "__init__.py" if folder else module.with_suffix(".py")
            return definition(source, name)
    raise ValueError(f"{file}: expected a definition of {name}")


def api_index() -> str:
    """The public names, each with the first line of its docstring."""
    lines = ["# Public names", "", "`import ganjax` gives these.", ""]
    lines += ["| name | what it is |", "|---|---|"]
    for name, file, inner in public_names():
        node: Any = ast.parse((ROOT / file).read_text())
        anchor = ""
        if inner:
            file, node = definition(file, inner)
            anchor = f"#{dotted(file)}.{inner}"
        first = (ast.get_docstring(node) or "").partition("\n")[0]
        link = link_to(file, INDEX, f"`ganjax.{name}`")
        lines.append(f"| {link[:-1]}{anchor}) | {link_papers(first)} |")
    return "\n".join(lines)


def menu() -> list[Any]:
    """The modules: those of public names first; a package has its modules below it."""
    files = modules()
    top = [f for f in files if len(f.parts) == 2 or f.name == "__init__.py"]
    public = [
        f for f in dict.fromkeys(file for _, file, _ in public_names()) if f in top
    ]

    def entry(file: Path) -> dict[str, Any]:
        if file.name != "__init__.py":
            return {file.stem: str(page_of(file))}
        inner = [f for f in files if f.parent == file.parent and f != file]
        pages = [{f.stem: str(page_of(f))} for f in inner]
        return {file.parent.name: [str(page_of(file)), *pages]}

    engine = [entry(file) for file in top if file not in public]
    return [*map(entry, public), {"Engine": engine}]
