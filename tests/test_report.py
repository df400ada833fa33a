"""The page of --mode=report: what it says, what it leaves out, and that it is safe."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import ganjax
from ganjax import report
from ganjax.config import to_json
from ganjax.errors import UserError
from ganjax.human_test import HumanTest
from ganjax.images import save_png
from ganjax.report.configs import nearest_config
from ganjax.report.html import data_block, document, element
from ganjax.run_folder import read_run_folders

VOID = {"meta", "img", "br", "hr", "input", "link"}
HOSTILE = "<script>alert(1)</script>\"' onload=x &amp; \ud800"


class Page(HTMLParser):
    """What a browser sees: elements with attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def metric(value, low, high, reference=0.25, **changes):
    return {
        "value": value,
        "reference": reference,
        "ci95": [low, high],
        "n_real": 100,
        "n_fake": 200,
        "n_reference": 300,
        "protocol": "k=3, <=",
        "features": "pixels",
    } | changes


METRICS = {"fid": metric(1 / 3, 0.1 + 0.2, 0.5), "precision": metric(0.75, 0.5, 1.0)}


def write_run(folder, config=None, metrics=METRICS, **about):
    """The files of a run of 20 steps, without a checkpoint."""
    folder.mkdir(parents=True)
    content = {"config": to_json(ganjax.load_config("mnist", config or {}))} | about
    (folder / "config.json").write_text(json.dumps(content))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = [
        {"step": step, "real_loss": 0.7, "fake_loss": 0.6, "d_real": 0.5, "d_fake": 0.4}
        for step in (10, 20)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    image = np.full((8, 8, 1), 200, np.uint8)
    for name in (
        "comparison",
        "neighbors",
        "samples/step_000000",
        "samples/step_000020",
    ):
        save_png(folder / f"{name}.png", image)
    return folder


def read_page(tmp_path, *folders):
    out = tmp_path / "out.html"
    report.write_report(folders, out, HumanTest(4))
    text = out.read_text()
    assert not re.search("https?://", text)
    return Page(text)


def test_page_shows_the_values_of_metrics_json(tmp_path):
    page = read_page(tmp_path, write_run(tmp_path / "run"))
    values = [float(x["value"]) for x in page.all("data")]
    assert values == [
        *(1 / 3, 0.1 + 0.2, 0.5, 0.25),
        *(0.75, 0.5, 1.0, 0.25),
    ]
    for text in ("fid k=3, <= 0.3333 0.3 to 0.5", "200 100 300 pixels", "20 of 8,000"):
        assert text in page.text


def test_page_embeds_every_image(tmp_path):
    page = read_page(tmp_path, write_run(tmp_path / "run"))
    sources = [image["src"].partition(",")[0] for image in page.all("img")]
    png, svg = "data:image/png;base64", "data:image/svg+xml;base64"
    # comparison; losses and probabilities; two frames; neighbors
    assert sources == [png, svg, svg, png, png, png]
    assert all(image["alt"] for image in page.all("img"))


def test_only_fields_that_differ_are_compared(tmp_path):
    first = write_run(tmp_path / "a", {"seed": 3, "data.manual_dir": "/somewhere"})
    second = write_run(tmp_path / "b", {"seed": 4})
    text = read_page(tmp_path, first, second).text
    assert "differ in these fields: field a b seed 3 4 a differs" in text
    assert (
        "a differs from configs/mnist.py in: field configs/mnist.py this run seed 0 3"
        in text
    )


def test_nearest_config_counts_only_fields_of_the_run():
    fields = {"gan": "standard", "loss": "hinge", "removed": 1, "num_classes": 10}
    fields["data.name"] = "mnist"
    assert nearest_config(fields) == (
        "conditional",
        {"loss": ("relativistic", "hinge"), "removed": ("–", 1)},
    )


def test_metrics_that_can_not_be_compared_are_marked(tmp_path):
    other = {"fid": metric(0.5, 0.4, 0.6, features="another")}
    folders = write_run(tmp_path / "a"), write_run(tmp_path / "b", metrics=other)
    text = read_page(tmp_path, *folders).text
    assert "fid is not comparable: features 'pixels' and 'another'" in text


def test_what_is_missing_gets_a_sentence(tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("")
    text = read_page(tmp_path, folder).text
    command = f"--mode=evaluate --workdir='{folder}'"
    for sentence in (
        f"my run has no metrics.json. Run python -m ganjax.main {command}",
        "my run has no rows in metrics.jsonl.",
        "my run has no readable images in samples/.",
        "my run has no readable comparison.png.",
        "my run has no readable config.json.",
        "my run does not say what it was trained with",
        "expected a folder with a checkpoint",
    ):
        assert sentence in text


def test_versions_and_devices_are_shown(tmp_path):
    made_with = {"jax": "1.2.3", "devices": "8 TPU v9"}
    text = read_page(tmp_path, write_run(tmp_path / "run", made_with=made_with)).text
    assert "jax 1.2.3 devices 8 TPU v9" in text


def test_hostile_names_and_values_are_text(tmp_path):
    name = "<img src=x onerror=alert(1)>"
    hostile = {HOSTILE: metric(1.0, 0.0, math.inf, math.nan, protocol=HOSTILE)}
    folder = write_run(
        tmp_path / name,
        {"data.name": HOSTILE},
        hostile,
        made_with={HOSTILE: [HOSTILE]},
        data={"name": HOSTILE, "source": {HOSTILE: 1}},
    )
    row = {"step": 30, HOSTILE: 1e308}
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    page = read_page(tmp_path, folder)
    assert [attrs for attrs in page.all("script")] == [{}]
    assert not any("onload" in attrs for _, attrs in page.elements)
    assert all(x["src"].startswith("data:") for x in page.all("img"))
    shown = "<script>alert(1)</script>\"' onload=x &amp; ?"
    assert page.text.count(shown) >= 5


@pytest.mark.parametrize(
    "content",
    ["[]", "{", "[" * 100_000, '{"config": 3, "data": [], "made_with": "x"}', "\x00"],
)
def test_damaged_files_count_as_missing(content, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in ("config.json", "metrics.json", "metrics.jsonl", "comparison.png"):
        (folder / file).write_text(content)
    text = read_page(tmp_path, folder).text
    assert "run has no metrics.json" in text and "no readable config.json" in text


@pytest.mark.parametrize(
    "entry",
    [
        3,
        metric("1", 0, 1),
        metric(math.nan, 0, 1),
        metric(1, 0, 1) | {"ci95": [1]},
        metric(1, 0, 1, protocol=None),
        metric(1, 0, 1, n_fake=1.5),
    ],
)
def test_malformed_metrics_are_left_out(entry, tmp_path):
    folder = write_run(tmp_path / "run", metrics={"bad": entry, "fid": METRICS["fid"]})
    (run,) = read_run_folders([folder])
    assert run.metrics == {"fid": METRICS["fid"]}


def test_json_can_not_end_its_element():
    block = data_block({"name": "</script><b>"})
    page = Page(document("t", [element("div", block)], "p{}", "let x = 1 < 2;"))
    assert page.all("b") == []
    assert json.loads(page.texts[page.texts.index("let x = 1 < 2;") - 1]) == {
        "name": "</script><b>"
    }


@pytest.mark.parametrize(
    "names,out,trials,message",
    [
        (["run"], "x.png", 4, "--out=.*x.png: expected FILE.html"),
        (["run"], "x.html", 5, "--num=5: expected an even number"),
        (["run"], "x.html", 0, "--num=0: expected an even number"),
        (["run", "run"], "x.html", 4, "--workdir=.*run: expected each folder once"),
        (["other"], "x.html", 4, "--workdir=.*other: expected the folder of a run"),
        (["run"] * 9, "x.html", 4, "--workdir: expected at most 8 folders, got 9"),
    ],
)
def test_mistakes_are_refused(names, out, trials, message, tmp_path):
    write_run(tmp_path / "run")
    folders = [tmp_path / name for name in names]
    with pytest.raises(UserError, match=message):
        report.write_report(folders, tmp_path / out, HumanTest(trials))
    assert not (tmp_path / out).exists()
