"""HTML in which every text is escaped: elements of ElementTree, tables, images."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Child: TypeAlias = Element | str
MAX_SIDE = 2000  # pixels of an image, which is made smaller if it has more


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element; `class_` and `for_` stand for the attributes that Python reserves.

    >>> ElementTree.tostring(element("p", "1 < 2", class_="note"), method="html")
    b'<p class="note">1 &lt; 2</p>'
    """
    made = Element(tag)
    for name, value in attributes.items():
        made.set(name.rstrip("_").replace("_", "-"), str(value))
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def table(head: Sequence[Child], rows: Sequence[Sequence[Child]]) -> Element:
    """A table whose first column is a header.

    On narrow screens each row is a block; its cells have the names of their columns.
    """
    names = [x if isinstance(x, str) else "".join(x.itertext()) for x in head]
    header = element("tr", *(element("th", cell, scope="col") for cell in head))
    lines = []
    for first, *others in rows:
        cells = [
            element("td", cell, data_column=name)
            for name, cell in zip(names[1:], others, strict=True)
        ]
        lines.append(element("tr", element("th", first, scope="row"), *cells))
    made = element("table", element("thead", header), element("tbody", *lines))
    return element("div", made, class_="scroll")


def figure(source: str, caption: Child, alt: str, class_: str = "") -> Element:
    """An image with a caption."""
    image = element("img", src=source, alt=alt)
    return element("figure", image, element("figcaption", caption), class_=class_)


def embedded(content: bytes, kind: str) -> str:
    """A file as the address of an image; `kind` is e.g. `image/svg+xml`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def embedded_png(image: Any) -> str:
    """An image of Pillow, as the address of an image."""
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return embedded(file.getvalue(), "image/png")


def embedded_file(file: Path, max_side: int = MAX_SIDE) -> str | None:
    """The pixels of an image file, as a PNG in an address; None: no readable image."""
    from PIL import Image

    try:
        with Image.open(file, formats=["png"]) as opened:
            image = opened.convert("L" if opened.mode in ("1", "L") else "RGB")
    except Exception:  # each of Pillow's decoders has its own errors
        return None
    image.thumbnail((max_side, max_side))
    return embedded_png(image)


def data_block(value: object, **attributes: object) -> Element:
    """JSON in a script element; nothing in it can end the element."""
    text = json.dumps(value).replace("<", "\\u003c")
    return element("script", text, type="application/json", **attributes)


def document(title: str, body: Sequence[Child], style: str, script: str) -> str:
    """A page that loads nothing, and runs no script but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    page = element(
        "html", head, element("body", *body, element("script", script)), lang="en"
    )
    text = ElementTree.tostring(page, encoding="unicode", method="html")
    # JSON may have halves of surrogate pairs, which UTF-8 has not.
    return "<!doctype html>\n" + text.encode("utf-8", "replace").decode() + "\n"


def web_file(name: str) -> str:
    """A file of ganjax/web."""
    return (resources.files("ganjax") / "web" / name).read_text(encoding="utf-8")
