"""The documentation site: numbers, pictures and links of its generated pages."""

import re
from pathlib import Path

import pytest
from helpers import ROOT

import ganjax
from docs.site import api, build, configs, gallery
from docs.site.links import COPIED, page_of, targets, translate
from docs.site.sections import Section, all_pictures
from docs.site.tables import Table, rows_of


@pytest.fixture(scope="module")
def pages():
    return build.make_pages()


def test_links_are_translated_to_those_of_the_site():
    text = (
        "[a](../ganjax/steps.py) [b](../README.md#code) [c](../ganjax/gans) ![d](x.png)"
    )
    text += " [e](https://x.org/y.py) [f](#here)\n\n```sh\n[g](h.py)\n```\n"
    assert translate(text, Path("docs/data.md")) == (
        "[a](../ganjax/steps.md) [b](../index.md#code) [c](../ganjax/gans/index.md) "
        "![d](x.png) [e](https://x.org/y.py) [f](#here)\n\n```sh\n[g](h.py)\n```\n"
    )


def test_every_link_leads_to_a_page_or_to_a_file_that_is_copied(pages):
    links = {link for page, text in pages.items() for link in targets(text, page)}
    assert Path("ganjax/steps.md") in links and Path("docs/mnist.png") in links
    files = {link for link in links if link.suffix in COPIED}
    assert links - files <= pages.keys()
    assert all((ROOT / file).is_file() for file in files)


def test_linked_files_without_a_page_are_shown_as_they_are(pages):
    assert (ROOT / "CITATION.cff").read_text() in pages[Path("CITATION.cff.md")]
    assert (ROOT / "experiments/kill.py").read_text() in pages[
        Path("experiments/kill.md")
    ]


def test_a_link_to_nothing_is_an_error():
    with pytest.raises(ValueError, match="docs/nothing.md: expected every link"):
        build.source_page(Path("docs/nothing.md"))


def paths(menu):
    """The pages of a menu, at all levels."""
    if isinstance(menu, str):
        return [Path(menu)]
    entries = menu.values() if isinstance(menu, dict) else menu
    return [path for entry in entries for path in paths(entry)]


def test_the_menu_has_every_text_config_and_module_once(pages):
    listed = paths(build.menu(pages))
    assert len(listed) == len(set(listed))
    files = [*build.texts(), *configs.config_files(), *api.modules()]
    generated = {api.INDEX, configs.INDEX, gallery.PAGE}
    assert set(listed) == {page_of(file) for file in files} | generated


def test_pages_of_configs_have_the_measured_rows(pages):
    results = (ROOT / "experiments/results/gallery.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.py.*$", results, re.M)
    assert len(rows) > 10
    for row in re.finditer(r"^\| `(\w+)\.py.*$", results, re.M):
        cells = [cell.strip() for cell in row[0].strip("| ").split("|")]
        text = pages[Path(f"configs/{row[1]}.md")]
        assert any(all(c in line for c in cells) for line in text.splitlines())
    mnist = "| `mnist.py` | 8,000 | 140 | 5.2 | 8.93 | 0.73 / 0.79 | 229 |\n"
    assert mnist in pages[Path("configs/mnist.md")]
    assert "`conditional.py`" not in pages[Path("configs/mnist.md")]


def test_configs_without_numbers_or_pictures_say_so(pages):
    texts = {f.stem: pages[page_of(f)] for f in configs.config_files()}
    unmeasured = {name for name, text in texts.items() if "No table of results" in text}
    presets = {"celeba64", "cifar10", "fashion_mnist"}
    networks = {"r3gan", "sngan", "stylegan"}
    assert unmeasured == {"default", "mnist_best", *networks, *presets}
    unseen = {name for name, text in texts.items() if "No picture of" in text}
    assert unseen == {"default", *presets}


def test_rows_without_a_name_belong_to_the_config_above():
    rows = [["`a.py`", "1"], ["", "2"], ["`b.py:x`", "3"], ["*real images*", "4"]]
    table = Table(Path("t.md"), ["config", "n"], ["---", "---"], rows)
    assert rows_of(table, "a.py") == [rows[0], rows[1], rows[3]]
    assert rows_of(table, "b.py") == [rows[2], rows[3]]
    assert rows_of(table, "c.py") == []


def test_columns_without_values_are_left_out():
    table = Table(Path("t.md"), ["a", "b"], ["---", "---:"], [["x", ""], ["y", ""]])
    assert table.markdown() == "| a |\n| --- |\n| x |\n| y |"


def test_a_section_is_about_the_configs_of_its_commands_and_links():
    text = (
        "python -m ganjax.main --config configs/dcgan.py:x and [c](../configs/cnn.py)"
    )
    section = Section(Path("docs/x.md"), "X", text)
    about = [f.stem for f in configs.config_files() if section.is_about(f)]
    assert about == ["cnn", "dcgan"]


def test_docstrings_become_markdown():
    text = "A GAN (arXiv:1406.2661).\n\npip install x\npython -m y --z\n"
    text += "\nSee docs/data.md."
    assert configs.as_markdown(text, Path("configs/a.md")) == (
        "A GAN ([arXiv:1406.2661](https://arxiv.org/abs/1406.2661)).\n\n"
        "```sh\npip install x\npython -m y --z\n```\n\n"
        "See [`docs/data.md`](../docs/data.md)."
    )


def test_the_gallery_shows_every_picture_once(pages):
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", pages[gallery.PAGE])
    assert sorted(shown) == sorted(map(str, all_pictures()))


def test_public_names_link_to_their_definitions(pages):
    text = pages[api.INDEX]
    assert re.findall(r"\[`ganjax\.(\w+)`\]", text) == [
        name for name, _, _ in api.public_names()
    ]
    assert {name for name, _, _ in api.public_names()} == set(ganjax.__all__)
    assert "[`ganjax.make_gan`](gans/index.md#ganjax.gans.make_gan) | The GAN" in text
    # Imported by the file that __init__.pyi names, and defined in another.
    assert "(data/dataset.md#ganjax.data.dataset.make_dataset) | A data set" in text


def test_comments_on_fields_become_docstrings(tmp_path):
    griffe = pytest.importorskip("griffe")
    (tmp_path / "sample.py").write_text(
        "class A:\n"
        '    """See arXiv:1406.2661 and ganjax/models/__init__.py."""\n'
        "    # Above,\n"
        "    # in two lines.\n"
        "    x: int = 1\n"
        "    y: str = '#'  # at the end\n"
        "    z: int = 2\n"
    )
    extensions = griffe.load_extensions("docs.site.comments")
    module = griffe.load("sample", search_paths=[tmp_path], extensions=extensions)
    fields = module["A"].members.values()
    docs = [field.docstring and field.docstring.value for field in fields]
    assert docs == ["Above, in two lines.", "at the end", None]
    assert module["A"].docstring.value == (
        "See [arXiv:1406.2661](https://arxiv.org/abs/1406.2661) and "
        "`ganjax/models/__init__.py`."
    )
