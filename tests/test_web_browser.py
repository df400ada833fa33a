"""What Chromium shows of the page that runs a generator."""

import contextlib
import functools
import http.server
import itertools
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ganjax
from ganjax.export import OUTPUT, arguments, generator_fn
from ganjax.files import cache_folder
from ganjax.human_test import make_test
from ganjax.onnx_graph import to_onnx
from ganjax.web import page as web

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The pixels of a canvas, by way of a copy: Chromium warns of repeated reading.
READ = """canvas => {
  const { width, height } = canvas;
  const options = { willReadFrequently: true };
  const copy = new OffscreenCanvas(width, height).getContext("2d", options);
  copy.drawImage(canvas, 0, 0);
  return [...copy.getImageData(0, 0, width, height).data];
}"""


@dataclass
class Site:
    """A page with its generator, and what a browser said while it was open."""

    tab: Any
    folder: Path
    gan: Any
    g: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[np.ndarray] = field(default_factory=list)

    def pixels(self, canvas: str = "#image") -> np.ndarray:
        """What a canvas shows, uint8 [H, W]."""
        rgba = np.reshape(self.tab.eval_on_selector(canvas, READ), (28, 28, 4))
        assert (rgba[..., :3] == rgba[..., :1]).all() and (rgba[..., 3] == 255).all()
        return rgba[..., 0].astype(np.uint8)

    def images(self, z: np.ndarray, label: int) -> np.ndarray:
        """What the generator makes of one z, uint8 [H, W]."""
        labels = jnp.full(1, label, jnp.int32)
        z = jnp.asarray(z, jnp.float32)[None]
        images = self.gan.generator.apply(self.g, z, train=False, labels=labels)
        return np.asarray(self.gan.export(images))[0, ..., 0]

    def assert_shows(self, z: np.ndarray, label: int, canvas: str = "#image") -> None:
        """Checks a canvas within one gray level, as soon as it is drawn."""
        expected = self.images(z, label).astype(int)
        self.expected.append(expected)
        assert soon(lambda: np.abs(self.pixels(canvas) - expected).max() <= 1)


def soon(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds within 10 seconds."""
    end = time.monotonic() + 10
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page of an untrained class-conditional GAN, and that GAN."""
    archive = cache_folder() / f"onnxruntime-web-{web.VERSION}.tgz"
    if not (archive.exists() or shutil.which("npm")):
        pytest.skip(f"needs npm or {archive}")
    gan = ganjax.make_gan(ganjax.load_config("conditional", {"conv": "library"}))
    g, _ = gan.init(jax.random.key(0))

    folder = tmp_path_factory.mktemp("page")
    model = to_onnx(generator_fn(gan, g), arguments(gan), OUTPUT)
    (folder / "generator.onnx").write_bytes(model.SerializeToString())
    web.write_page(folder, gan, g, "small")
    return folder, gan, g


@pytest.fixture
def site(browser, written):
    folder, gan, g = written
    with serve(folder) as url:
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        site = Site(tab, folder, gan, g)
        tab.on("request", lambda request: site.requests.append(request.url))
        tab.on("console", lambda message: site.complaints.append(message.text))
        tab.on("pageerror", lambda error: site.complaints.append(str(error)))
        tab.goto(url)
        tab.locator("#facts:not(:empty)").wait_for()
        yield site
        tab.close()


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The URL of a static file server, as `python -m http.server`, without its log."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_page_shows_what_the_generator_makes(site):
    settings = json.loads((site.folder / "page.json").read_text())
    z, directions = np.array(settings["start"]), np.array(settings["directions"])
    site.assert_shows(z, 0)
    site.assert_shows(z, 3, "#classes button:nth-child(4) canvas")

    site.tab.locator("#directions input").nth(1).fill("2.5")
    z = z + (2.5 - directions[1] @ z) * directions[1]
    site.assert_shows(z, 0)

    site.tab.get_by_label("Class 7").click()
    site.assert_shows(z, 7)

    # The first of 7 × 5 neighbors: 3 steps to the left and 2 up.
    z = z - 3 * directions[0] - 2 * directions[1]
    site.assert_shows(z, 7, "#map button:first-child canvas")
    site.tab.locator("#map button").first.click()
    site.assert_shows(z, 7)
    first, of_class_3, after_slider, of_class_7, moved, _ = site.expected
    steps = (first, after_slider, of_class_7, moved)
    changes = [np.abs(a - b).max() for a, b in itertools.pairwise(steps)]
    assert min(*changes, np.abs(first - of_class_3).max()) > 10  # the checks can fail

    before = site.pixels()
    site.tab.get_by_text("New image").click()
    assert soon(lambda: bool((site.pixels() != before).any()))
    assert site.complaints == []


def test_page_asks_no_other_server(site):
    names = {url.removeprefix(site.tab.url) for url in site.requests} - {"data:,"}
    files = {path.name for path in site.folder.iterdir()}
    assert names == (files - {"index.html"}) | {""}
    refused = site.tab.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')")
    assert refused == "refused" and "Content Security Policy" in site.complaints[0]


def test_page_is_no_wider_than_a_phone(site):
    width = "document.documentElement.scrollWidth"
    assert site.tab.evaluate(width) == 390
    site.tab.set_viewport_size({"width": 1280, "height": 900})
    assert site.tab.evaluate(width) == 1280


def test_animation_changes_the_image_until_it_is_paused(site):
    count = """async () => {
      const context = document.getElementById("image").getContext("2d");
      let frames = 0;
      context.putImageData = function (...args) {
        frames++;
        return CanvasRenderingContext2D.prototype.putImageData.apply(this, args);
      };
      const begin = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      return (1000 * frames) / (performance.now() - begin);
    }"""
    before = site.pixels()
    site.tab.get_by_text("Animate").click()
    rate = site.tab.evaluate(count)
    print(f"{rate:.0f} images per second; {site.tab.inner_text('#facts')}")
    site.tab.get_by_text("Pause").click()
    site.tab.wait_for_timeout(100)
    after = site.pixels()
    site.tab.wait_for_timeout(200)
    assert rate > 0 and (after != before).any() and (site.pixels() == after).all()


def test_opened_as_a_file_the_page_says_what_to_do(browser, written):
    tab = browser.new_page()
    tab.goto((written[0] / "index.html").as_uri())
    tab.get_by_text("python -m http.server").wait_for()
    assert not tab.locator("#generator").is_visible()
    tab.close()


def test_page_ends_with_the_test_by_people(browser, written, tmp_path):
    folder, gan, g = written
    folder = shutil.copytree(folder, tmp_path / "page")
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 28, 28, 1), np.uint8)
    web.write_page(folder, gan, g, "small", make_test(*images, seed=0))
    with serve(folder) as url:
        tab = browser.new_page()
        tab.goto(url)
        tab.get_by_text("Start the test").click()
        for number in range(1, 7):
            tab.get_by_text(f"image {number} of 6").wait_for()
            tab.locator("#human canvas:not(.hidden)").wait_for()
            tab.keyboard.press("r")
        tab.get_by_text("3 of 6 answers were right").wait_for()
        tab.close()
