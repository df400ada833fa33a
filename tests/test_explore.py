"""--mode=latent and the flags of --mode=sample: files, and errors in one line."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import smallest_config
from PIL import Image

import ganjax
from ganjax import commands, explore, images, latent, main, projection, run, train
from ganjax.explore import Task
from ganjax.projection import Search
from ganjax.run import Wanted, sample_run


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 28, 28, 1), np.uint8)
    parts = pixels[:30], np.arange(30) % 3, pixels[30:], np.arange(10) % 3
    return ganjax.make_dataset(*parts, name="noise", source="a test")


def make_run(folder, dataset, **overrides):
    config = smallest_config(num_steps=1, sample_every=0, **overrides)
    train.train_and_evaluate(config, folder, dataset)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory, dataset):
    return make_run(tmp_path_factory.mktemp("plain"), dataset)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory, dataset):
    folder = tmp_path_factory.mktemp("conditional")
    return make_run(folder, dataset, num_classes=3, sample_scale=1.5)


@pytest.fixture
def use_flags(monkeypatch):
    """Sets flags of the command line; all others have their defaults."""

    def use(**values):
        names = {"config_path": None} | {name: main.FLAGS[name].default for name in SET}
        monkeypatch.setattr(commands, "FLAGS", types.SimpleNamespace(**names | values))

    return use


SET = ("workdir", "mode", "num", "out", "caption", "labels", "scale", "best", "tool")
SET += ("images", "samples", "parzen", "projection", "sample_seed", "pretrained")
SET += ("features", "real")


def frames(path):
    with Image.open(path) as opened:
        parts = []
        for i in range(opened.n_frames):
            opened.seek(i)
            parts.append(np.asarray(opened.convert("L")))
        return np.stack(parts)


def grid_of(gan, state, num, key, **wanted):
    samples = ganjax.sample(gan, state, num=num, key=key, **wanted)
    return images.grid(samples).repeat(2, 0).repeat(2, 1)[..., 0]


def test_a_walk_starts_at_the_samples_and_returns(conditional, tmp_path):
    explore.explore("walk", conditional, Task(tmp_path, seed=3, num=2))
    gan, state, _ = ganjax.load_run(conditional)
    first = grid_of(gan, state, 2, jax.random.key(3))
    movie = frames(tmp_path / "walk.gif")
    assert len(movie) == 2 * explore.STEPS
    np.testing.assert_array_equal(movie[0], first)
    # Half of the loop later the two samples have changed places.
    halves = movie[explore.STEPS]
    np.testing.assert_array_equal(halves[:, 4:60], first[:, 64:120])
    np.testing.assert_array_equal(halves[:, 64:120], first[:, 4:60])
    with Image.open(tmp_path / "walk.png") as picture:
        # A row for each path and pair, nine columns, each twice as large.
        assert picture.size == (90 + 2 * (9 * 30 + 2), 30 + 2 * (4 * 30 + 2))


def test_colors_of_an_animation_are_near_those_of_its_frames(tmp_path):
    """A smooth image has more colors than the 256 of a GIF."""
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp, 255 - ramp), -1)
    shown = np.stack([image, image[::-1]])
    images.save_animation(tmp_path / "x.gif", shown)
    files = [tmp_path / f"{i}.png" for i in range(2)]
    for file, frame in zip(files, shown, strict=True):
        images.save_png(file, frame)
    images.save_gif(tmp_path / "y.gif", files)
    for name in ("x.gif", "y.gif"):
        with Image.open(tmp_path / name) as movie:
            for i in range(2):
                movie.seek(i)
                error = np.asarray(movie.convert("RGB"), int) - shown[i]
                assert np.abs(error).mean() < 4


def test_a_walk_as_mp4_has_the_frames_of_the_gif(plain, tmp_path):
    iio = pytest.importorskip("imageio.v3")
    for name in ("walk.mp4", "walk.gif"):
        explore.explore("walk", plain, Task(tmp_path / name, num=2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["walk.gif", "walk.mp4"]
    gif = frames(tmp_path / "walk.gif").astype(int)
    movie = iio.imread(tmp_path / "walk.mp4", plugin="pyav")[..., 0].astype(int)
    assert movie.shape == gif.shape
    assert np.abs(movie - gif).mean() < 6  # lossy


def test_mp4_without_its_package_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ganjax.UserError, match=r"pip install 'ganjax\[video\]'"):
        images.save_animation(tmp_path / "x.mp4", np.zeros((2, 4, 4, 1), np.uint8))


def test_a_morph_starts_at_its_first_label(conditional, tmp_path):
    task = Task(tmp_path, num=2, labels=["2", "0"])
    explore.explore("morph", conditional, task)
    gan, state, _ = ganjax.load_run(conditional)
    movie = frames(tmp_path / "morph.gif")
    for place, label in ((0, 2), (explore.STEPS, 0)):
        labels = np.full(2, label)
        wanted = grid_of(gan, state, 2, jax.random.key(0), condition=labels)
        np.testing.assert_array_equal(movie[place], wanted)


def test_directions_are_written(conditional, tmp_path):
    explore.explore("directions", conditional, Task(tmp_path, num=1))
    gan, state, _ = ganjax.load_run(conditional)
    saved = np.load(tmp_path / "directions.npz")
    expected = latent.directions(gan, state.g_ema)
    np.testing.assert_array_equal(saved["vectors"], expected.vectors)
    np.testing.assert_array_equal(saved["strengths"], expected.strengths)
    with Image.open(tmp_path / "directions.png") as picture:
        # z has 4 dimensions; 7 moves.
        assert picture.size == (90 + 2 * (7 * 30 + 2), 30 + 2 * (4 * 30 + 2))


@pytest.fixture
def quick_search(monkeypatch):
    monkeypatch.setattr(projection.project, "__defaults__", (None, QUICK))


QUICK = Search(pool=30, starts=1, steps=17)


def test_images_of_files_are_projected(conditional, tmp_path, dataset, quick_search):
    pixels = dataset.test["images"][:3]
    np.savez(tmp_path / "x.npz", images=pixels)
    folder = tmp_path / "folder"
    for i in range(3):
        images.save_png(folder / f"{i}.png", pixels[i])
    for place, num in (("x.npz", 3), ("folder", 3), ("folder/1.png", 1)):
        task = Task(tmp_path / "out", images=tmp_path / place)
        explore.explore("project", conditional, task)
        saved = np.load(tmp_path / "out/projection.npz")
        wanted = pixels if num == 3 else pixels[1:2]
        np.testing.assert_array_equal(saved["images"], wanted)
        gan, state, _ = ganjax.load_run(conditional)
        z, labels = jnp.asarray(saved["z"]), jnp.asarray(saved["labels"])
        again = latent.decode(gan, state.g_ema, z, labels)
        np.testing.assert_allclose(saved["projections"].astype(int), again, atol=1)
    assert (tmp_path / "out/projection.png").stat().st_size > 1000


def test_test_images_are_projected_by_default(
    conditional, tmp_path, dataset, monkeypatch, quick_search
):
    monkeypatch.setattr(explore, "load_data", lambda *args: dataset)
    explore.explore("project", conditional, Task(tmp_path, num=4))
    saved = np.load(tmp_path / "projection.npz")
    np.testing.assert_array_equal(saved["images"], dataset.test["images"][:4])
    np.testing.assert_array_equal(saved["labels"], dataset.test["labels"][:4])


def test_labels_and_scale_of_samples(conditional, tmp_path):
    gan, state, _ = ganjax.load_run(conditional)
    out = tmp_path / "x.npz"
    sample_run(run.load_run(conditional), out, 3, 5, Wanted(labels=["2", "2", "0"]))
    labels, key = np.array([2, 2, 0]), jax.random.key(5)
    expected = ganjax.sample(gan, state, num=3, key=key, condition=labels)
    np.testing.assert_array_equal(np.load(out)["images"], expected)
    np.testing.assert_array_equal(np.load(out)["labels"], labels)
    sample_run(
        run.load_run(conditional),
        tmp_path / "x.png",
        3,
        5,
        Wanted(labels=["2", "2", "0"]),
    )
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    grid = images.grid(expected).repeat(2, 0).repeat(2, 1)[..., 0]
    np.testing.assert_array_equal(picture, grid)  # in the order asked for
    sample_run(
        run.load_run(conditional), out, 4, 5, Wanted(labels=["1"] * 4, scale=0.0)
    )
    same = np.load(out)["images"]
    np.testing.assert_array_equal(same, same[:1].repeat(4, axis=0))
    # In place of the config's 1.5, not times it.
    sample_run(run.load_run(conditional), out, 4, 5, Wanted(scale=1.5))
    default = ganjax.sample(gan, state, num=4, key=key)
    np.testing.assert_array_equal(np.load(out)["images"], default)


def test_rows_of_a_grid_are_classes_only_if_sorted():
    gan = ganjax.make_gan(smallest_config(num_classes=3))
    pixels = np.arange(6 * 784, dtype=np.uint8).reshape(6, 28, 28, 1)
    sorted_rows = gan.image(pixels, np.array([0, 0, 1, 1, 2, 2]))
    np.testing.assert_array_equal(sorted_rows, images.grid(pixels, 2))
    mixed = gan.image(pixels, np.array([0, 1, 0, 1, 2, 2]))
    np.testing.assert_array_equal(mixed, images.grid(pixels))
    uneven = gan.image(pixels, np.array([0, 0, 0, 0, 2, 2]))
    np.testing.assert_array_equal(uneven, images.grid(pixels))


def test_best_is_the_folder_of_the_best_checkpoint(plain, use_flags, tmp_path):
    best = make_folder(tmp_path / "best")
    use_flags(workdir=str(tmp_path), best=True)
    assert commands.run_folder() == best
    assert commands.out_folder("export") == best / "export"
    use_flags(workdir=str(tmp_path))
    assert commands.run_folder() == tmp_path
    use_flags(workdir=str(plain), best=True)
    with pytest.raises(ganjax.UserError, match="--config.evaluate_every=STEPS"):
        commands.run_folder()


def make_folder(path):
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "flags,message",
    [
        (
            {"mode": "sample", "labels": ["7"]},
            "--labels=7: expected integers from 0",
        ),
        ({"mode": "sample", "labels": ["1", "x"]}, r"=1,x: .* from 0 to 2, got 'x'$"),
        ({"mode": "sample", "labels": [""]}, "expected integers from 0 to 2, got ''"),
        ({"mode": "sample", "labels": ["-1"]}, "from 0 to 2, got '-1'"),
        ({"mode": "sample", "labels": ["1"], "num": 2}, "--num=2: expected 1, the num"),
        ({"mode": "sample", "scale": float("inf")}, "--scale=inf: expected a number"),
        ({"mode": "sample", "scale": float("nan")}, "--scale=nan: expected a number"),
        ({"mode": "latent"}, "--mode=latent needs --tool=NAME, one of walk, morph"),
        (
            {"mode": "latent", "tool": "walk", "out": "x.png"},
            "x.png: expected a folder",
        ),
        (
            {"mode": "latent", "tool": "walk", "images": "x"},
            "=x: expected none with",
        ),
        ({"mode": "latent", "tool": "project", "images": "no"}, "expected 1 or more"),
        (
            {"mode": "latent", "tool": "project", "images": "no.npz"},
            "--images=no.npz:",
        ),
        ({"mode": "evaluate", "samples": "x", "projection": True}, "expected a run"),
        ({"mode": "evaluate", "scale": 0.8}, "--scale: expected none with --mode=eval"),
        ({"mode": "sample", "labels": []}, "--labels=: expected one class or more"),
        ({"mode": "latent", "tool": "truncation", "num": 5}, "--num=5: expected at le"),
        ({"mode": "page", "num": 41}, "--num=41: expected an even number from 2"),
    ],
)
def test_mistakes_are_refused_in_one_line(
    flags, message, conditional, use_flags, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    use_flags(workdir=str(conditional), **flags)
    if flags.get("projection"):
        commands.FLAGS.config_path = "mnist"
        commands.FLAGS.config = ganjax.load_config("mnist")
    with pytest.raises(ganjax.UserError, match=message) as error:
        commands.MODES[flags["mode"]]()
    assert "\n" not in str(error.value)


def test_unconditional_gans_take_no_labels(plain, tmp_path):
    with pytest.raises(ganjax.UserError, match="--labels=7: expected none"):
        sample_run(run.load_run(plain), tmp_path / "x.png", 1, 0, Wanted(labels=["7"]))
    with pytest.raises(ganjax.UserError, match="--tool=morph: expected a class-cond"):
        explore.explore("morph", plain, Task(tmp_path))


def test_labels_of_images_must_fit(conditional, tmp_path):
    pixels = np.zeros((3, 28, 28, 1), np.uint8)
    np.savez(tmp_path / "x.npz", images=pixels, labels=np.array([0, 1, 9]))
    task = Task(tmp_path / "out", images=tmp_path / "x.npz")
    with pytest.raises(ganjax.UserError, match=r"expected labels in \[0, 3\)"):
        explore.explore("project", conditional, task)
    task = Task(tmp_path / "out", images=tmp_path / "x.npz", labels=["1"])
    with pytest.raises(ganjax.UserError, match=r"expected labels \[3\]"):
        explore.explore("project", conditional, task)


def test_other_gans_have_no_latent_tools(monkeypatch, tmp_path):
    gan = ganjax.make_gan(ganjax.load_config("crnn_gan"))
    found = gan, None, {"config": {"gan": "crnn_gan"}}
    monkeypatch.setattr(explore, "load_run", lambda folder: found)
    with pytest.raises(ganjax.UserError, match="config.gan='standard', got CRnnGan"):
        explore.explore("walk", tmp_path, Task(tmp_path))
    with pytest.raises(ganjax.UserError, match="--scale=0.5: expected a run with"):
        run.Wanted(scale=0.5).scaled(gan)


def test_tools_of_the_flag_are_those_of_the_table():
    assert tuple(explore.TOOLS) == commands.LATENT_TOOLS
