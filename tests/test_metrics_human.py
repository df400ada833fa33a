"""Scores of people, in Python and in the browser, and a test taken in a browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import ROOT
from scipy.stats import binomtest

from ganjax.errors import UserError
from ganjax.human_test import make_test
from ganjax.metrics import human
from ganjax.metrics.intervals import fraction_interval
from ganjax.report.html import data_block, document, element, web_file

SCRIPT = ROOT / "ganjax/web/human.js"
NODE = shutil.which("node")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
ABOUT = {"name": "run", "config": "c0ffee", "step": 9, "data": "da7a", "seed": 0}


def images(num, value):
    """Images of one gray level, told apart by their first pixel."""
    made = np.full((num, 6, 4, 1), value, np.uint8)
    made[:, 0, 0, 0] = np.arange(num)
    return made


def write_answers(path, correct, total, **about):
    """Answers of which some are correct; every other image is real."""
    real = np.arange(total) % 2
    answer = np.where(np.arange(total) < correct, real, 1 - real)
    trials = [
        {"index": i, "real": int(r), "answer": int(a), "ms": 500 + i}
        for i, (r, a) in enumerate(zip(real, answer, strict=True))
    ]
    path.write_text(json.dumps(ABOUT | about | {"trials": trials}))
    return path


def test_pooled_score_is_scipys(tmp_path):
    counts = [(27, 40), (22, 40), (9, 20)]
    files = [
        write_answers(tmp_path / f"{i}.json", *count) for i, count in enumerate(counts)
    ]
    answers = [human.read_answers(file) for file in files]
    pooled, expected = human.human_accuracy(answers), binomtest(58, 100, 0.5)
    interval = expected.proportion_ci(method="wilson")
    assert pooled.value == pytest.approx(0.58, abs=1e-15)
    assert pooled.low == pytest.approx(interval.low, abs=5e-6)  # 1.96 for 1.95996
    assert pooled.high == pytest.approx(interval.high, abs=5e-6)
    assert pooled.details == pytest.approx(expected.pvalue, rel=1e-12)
    assert (pooled.n_real, pooled.n_fake) == (50, 50)
    # Wrong are the images after the 27th, 22nd and 9th; every second is generated.
    mistaken = human.mistaken_for_real(answers)
    assert mistaken.value == pytest.approx((6 + 9 + 5) / 50, abs=1e-15)


def test_report_has_a_line_for_each_file_and_for_all(tmp_path, capsys):
    files = [
        write_answers(tmp_path / f"{i}.json", *count)
        for i, count in enumerate([(16, 20), (10, 20)])
    ]
    assert human.main([str(file) for file in files]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| 0.json | 16 / 20 | 0.800 | 0.584 .. 0.919 | 0.012 | 0.200 |",
        "| 1.json | 10 / 20 | 0.500 | 0.299 .. 0.701 | 1 | 0.500 |",
        "| **all** | 26 / 40 | 0.650 | 0.495 .. 0.779 | 0.081 | 0.350 |",
    ]


def test_answers_about_different_generators_are_not_pooled(tmp_path, capsys):
    files = [
        write_answers(tmp_path / "a.json", 3, 4),
        write_answers(tmp_path / "b.json", 3, 4, step=10),
    ]
    assert human.main([str(file) for file in files]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search("b.json: expected step=9, as in .*a.json, got 10", line)


def test_the_same_answers_do_not_count_twice(tmp_path):
    files = [write_answers(tmp_path / f"{i}.json", 3, 4) for i in range(2)]
    with pytest.raises(UserError, match="1.json: expected other answers than in"):
        human.report(files)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "3", "null", "[" * 100_000, "{}", '{"trials": []}', "\x00"),
        '{"trials": 3}',
        '{"trials": [{"real": 1}]}',
        '{"trials": [{"real": 2, "answer": 1}]}',
        '{"trials": [{"real": true, "answer": 1}]}',
        '{"trials": [{"real": "1", "answer": 1}]}',
    ],
)
def test_other_files_are_refused(content, tmp_path):
    file = tmp_path / "answers.json"
    file.write_text(content)
    with pytest.raises(UserError, match="expected answers saved by the human test"):
        human.read_answers(file)
    with pytest.raises(UserError, match="No such file"):
        human.read_answers(tmp_path / "absent.json")


@pytest.mark.subprocess
@pytest.mark.skipif(NODE is None, reason="needs node, which is not installed")
def test_scores_in_the_browser_are_those_in_python(tmp_path):
    counts = [(k, n) for n in (1, 2, 39, 40, 1000) for k in {0, 1, n // 3, n // 2, n}]
    answers = human.read_answers(write_answers(tmp_path / "a.json", 27, 40))
    trials = json.loads((tmp_path / "a.json").read_text())["trials"]
    program = f"""
      const {{ wilson, chance, score }} = require({json.dumps(str(SCRIPT))});
      const counts = {json.dumps(counts)};
      const rows = counts.map(([k, n]) => [...wilson(k, n), chance(k, n)]);
      console.log(JSON.stringify([rows, score({json.dumps(trials)})]));
    """
    result = subprocess.run([NODE, "-e", program], capture_output=True, text=True)
    rows, score = json.loads(result.stdout)
    for (k, n), (low, high, p) in zip(counts, rows, strict=True):
        assert (low, high) == pytest.approx(fraction_interval(k, n), abs=1e-15), (k, n)
        assert p == pytest.approx(binomtest(k, n, 0.5).pvalue, rel=1e-9), (k, n)
    estimate, mistaken = (
        human.human_accuracy([answers]),
        human.mistaken_for_real([answers]),
    )
    assert score["fraction"] == estimate.value
    assert (score["low"], score["high"]) == pytest.approx(estimate[1:3], abs=1e-15)
    assert score["p"] == pytest.approx(estimate.details, rel=1e-12)
    assert score["generatedCalledReal"] / score["generated"] == mistaken.value


# Answers by what is on the canvas, all but the first correctly; writes what is saved
# into the page. Keys with Ctrl, held keys and second clicks are no answers.
DRIVER = """
const saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "blob:x"; };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const press = (key, options = {}) =>
  document.dispatchEvent(new KeyboardEvent("keydown", { key, ...options }));
async function drive() {
  document.querySelector("button").click();
  await wait(300);
  for (let i = 0; i < 8; i++) {
    await wait(400);
    const canvas = document.querySelector("canvas");
    const [gray] = canvas.getContext("2d").getImageData(2, 3, 1, 1).data;
    const real = (gray === 255) === (i > 0);
    press("r", { ctrlKey: true });
    press("g", { repeat: true });
    if (i % 2) press(real ? "R" : "ArrowRight");
    else document.querySelectorAll("button")[real ? 0 : 1].click();
    press("r");
  }
  const text = document.createElement("pre");
  text.id = "saved";
  text.textContent = await saved[0].text();
  document.body.append(text);
}
drive();
"""


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(BROWSER is None, reason="needs chromium, which is not installed")
def test_a_person_can_take_the_test_and_save_the_answers(tmp_path):
    test = make_test(images(4, 255), images(4, 1), seed=1) | ABOUT
    block = data_block(test, data_human_test="")
    page = document("test", [element("div", block)], "", web_file("human.js"))
    driver = f'<script nonce="driver">{DRIVER}</script></body>'
    page = page.replace("script-src", "script-src 'nonce-driver'")
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", driver))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=60000",
    ]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [BROWSER, *flags, profile, "--dump-dom", file.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "7 of 8 answers were right: " in result.stdout, result.stderr
    assert "0.88, 95% interval 0.53 to 0.98 (Wilson)" in result.stdout
    (saved,) = re.findall(r'<pre id="saved">(.*?)</pre>', result.stdout, re.S)
    answers = tmp_path / "answers.json"
    answers.write_text(saved)
    read = human.read_answers(answers)
    assert read.about == ABOUT | {"seed": 0}
    assert read.real.astype(int).tolist() == test["real"]
    assert (read.real == read.answer).tolist() == [False] + [True] * 7
    trials = json.loads(saved)["trials"]
    assert [trial["index"] for trial in trials] == list(range(8))
    assert all(0 <= trial["ms"] < 1000 for trial in trials)
