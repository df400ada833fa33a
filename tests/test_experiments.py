"""The parts of the studies that compute: tables, head starts, drawn data, PyTorch."""

import json

import jax
import numpy as np
import pytest
from helpers import ROOT, assert_identical, relative_error, small_config

import ganjax
from experiments import common, loss_table, tips
from experiments.cartoon_faces import draw_face, draw_faces
from ganjax.checkpoint import Checkpoints
from ganjax.steps import G_TAGS, update_keys


def test_mean_and_sample_deviation():
    assert common.mean_sd([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert common.mean_sd([1.0]) == "1.00"


def test_differences_need_twice_the_standard_error():
    assert tips.differs([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == "no"
    assert tips.differs([11.0, 12.0, 13.0], [2.0, 3.0, 4.0]) == "worse"
    assert tips.differs([1.0, 2.0, 3.0], [12.0, 13.0, 14.0]) == "better"
    assert tips.differs([1.0], [2.0]) == ""


@pytest.mark.parametrize("row", tips.ROWS)
def test_every_tip_is_a_config(row):
    config = ganjax.load_config(f"{ROOT}/configs/mlp_l1.py", tips.ROWS[row])
    assert ganjax.make_gan(config).prior.z_dim == 96


@pytest.mark.parametrize(
    "page,table",
    [
        ("docs/results.md", "gallery.md"),
        ("docs/results.md", "loss_table.md"),
        ("experiments/README.md", "tips.md"),
    ],
)
def test_tables_in_the_texts_are_those_of_the_results(page, table):
    written = (ROOT / "experiments/results" / table).read_text()
    assert written in (ROOT / page).read_text()


def test_table_of_losses_states_mean_and_spread():
    def row(fid):
        scores = {m: {"value": 0.5, "reference": 0.25} for m in loss_table.COLUMNS}
        return scores | {"fid": {"value": fid, "reference": 2.0}}

    lines = loss_table.table({"wgan": [row(10.0), row(12.0)]}).splitlines()
    others = " | 0.500 ± 0.000" * 3
    assert lines[2] == f"| wgan | 11.0 ± 1.4 | 0.50 ± 0.00{others} |"
    assert lines[3] == "| *real images* | 2.0 | 0.25 | 0.250 | 0.250 | 0.250 |"


def test_run_folders_are_those_of_the_command_line(tmp_path):
    assert common.run_folder(tmp_path, "configs/mnist.py") == tmp_path / "mnist"
    wgan = common.run_folder(tmp_path, "configs/loss.py:wgan", seed=2)
    assert wgan == tmp_path / "loss-wgan-seed2"


def test_cartoon_faces_are_many_and_repeatable(tmp_path):
    first = [draw_face(np.random.default_rng(i)) for i in range(4)]
    again = [draw_face(np.random.default_rng(i)) for i in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image in first}) == 4
    draw_faces(tmp_path, num=3)
    assert len(list(tmp_path.iterdir())) == 3


# --- runs ---------------------------------------------------------------------------


@pytest.fixture
def random_digits():
    """A data set of 32 random images."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 28, 28, 1), np.uint8)
    labels = np.arange(32) % 10
    return ganjax.make_dataset(
        images, labels, images[:20], labels[:20], name="random", source="a test"
    )


@pytest.mark.slow
@pytest.mark.parametrize("row", tips.HEAD_STARTS)
def test_head_start_trains_one_player_and_then_both(
    tmp_path, monkeypatch, random_digits, row
):
    """The state of step 0 has the updates of one player; training goes on from it."""
    update, _ = tips.HEAD_STARTS[row]
    monkeypatch.setitem(tips.HEAD_STARTS, row, (update, 3))
    config = small_config(num_steps=2, sample_every=0, checkpoint_every=0)
    gan = ganjax.make_gan(config)
    tips.give_head_start(config, tmp_path, random_digits, row)

    initial = ganjax.init_state(gan, jax.random.key(config.seed))
    gan, state, metadata = ganjax.load_run(tmp_path)
    early, late = ("d", "g") if update is ganjax.d_step else ("g", "d")
    assert int(state.step) == 0
    assert metadata["data"]["sha256"] == random_digits.identity.sha256
    assert int(getattr(state, early).updates) == 3
    assert_identical(getattr(state, late), getattr(initial, late))

    trained = ganjax.train_and_evaluate(config, tmp_path, random_digits)
    assert int(trained.step) == 2
    assert int(getattr(trained, early).updates) == 5
    assert int(getattr(trained, late).updates) == 2
    tips.give_head_start(config, tmp_path, random_digits, row)  # nothing is left to do
    assert Checkpoints(tmp_path).latest == 2


def test_head_start_sees_the_first_batches(tmp_path, monkeypatch, random_digits):
    row = ("other", "D alone for 200 steps")
    monkeypatch.setitem(tips.HEAD_STARTS, row, (ganjax.d_step, 2))
    config = small_config(batch_size=16)
    tips.give_head_start(config, tmp_path, random_digits, row)
    gan, state, _ = ganjax.load_run(tmp_path)
    expected = ganjax.init_state(gan, jax.random.key(config.seed))
    rows = ganjax.data.batch_indices(config.seed, 0, (2, 1, 16), 32)
    assert sorted(rows.ravel().tolist()) == list(range(32))
    for batch in rows[:, 0]:
        images = random_digits.train["images"][batch]
        expected, _ = ganjax.d_step(gan, expected, images)
    assert_identical(state.d.params, expected.d.params)


@pytest.mark.slow
def test_finished_runs_are_not_repeated(tmp_path, monkeypatch, random_digits):
    """A run is repeated if its config, its data or the number of samples changed."""
    monkeypatch.setitem(ganjax.data.SOURCES, "random", lambda options: random_digits)
    scored = []

    def run(num=5, **overrides):
        config = small_config(data__name="random", num_steps=1, **overrides)
        return common.run_once(config, tmp_path, num, score)

    def score(state):
        scored.append(int(state.step))
        return {"fid": float(len(scored))}

    assert run() == run() == {"fid": 1.0}
    assert run(num=6) == {"fid": 2.0}
    assert run(num=6, log_every=7) == {"fid": 3.0}
    study = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(study | {"data": "of others"}))
    assert run(num=6, log_every=7) == {"fid": 4.0}
    assert scored == [1, 1, 1, 1]


# --- PyTorch ------------------------------------------------------------------------


@pytest.fixture
def torch():
    """PyTorch, if it is installed; its settings are restored afterwards."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    yield torch
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


def dense_layers(params):
    """Every dense layer of a fully connected player, from its input to its output."""
    names = sorted((k for k in params if k.startswith("Dense_")), key=natural)
    last = [params["Logit_0"]["Dense_0"]] if "Logit_0" in params else []
    return [dict(params[name]) for name in names] + last


def natural(name):
    return int(name.split("_")[1])


def norm_layers(params):
    names = sorted((k for k in params if k.startswith("Norm_")), key=natural)
    return [params[name]["BatchNorm_0"] for name in names]


@pytest.mark.slow
def test_torch_baseline_takes_the_same_steps(torch):
    """From equal weights and noise, 3 steps of configs/mlp_l1.py, up to rounding."""
    from experiments.torch_baseline import TorchGan

    config = ganjax.load_config(f"{ROOT}/configs/mlp_l1.py", {"batch_size": 16})
    gan = ganjax.make_gan(config)
    state = first = ganjax.init_state(gan, jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (48, 28, 28, 1), np.uint8)
    baseline = TorchGan(config, images, "eager", "cpu")
    players = ((baseline.generator, "g"), (baseline.discriminator, "d"))

    def tensor(x):
        return torch.tensor(np.asarray(x))

    def layers(module, kind):
        return [layer for layer in module if isinstance(layer, kind)]

    with torch.no_grad():
        for module, player in players:
            ours = getattr(state, player).params
            linear = layers(module, torch.nn.Linear)
            for layer, p in zip(linear, dense_layers(ours), strict=True):
                layer.weight.copy_(tensor(p["kernel"]).T)
                if layer.bias is not None:
                    layer.bias.copy_(tensor(p["bias"]))
            norms = layers(module, torch.nn.BatchNorm1d)
            for layer, p in zip(norms, norm_layers(ours), strict=True):
                layer.weight.copy_(tensor(p["scale"]))
                layer.bias.copy_(tensor(p["bias"]))
    for rows in np.arange(48).reshape(3, 16):
        z = gan.prior.sample(update_keys(state.key, state.g.updates, G_TAGS).z, 16)
        baseline.noise = lambda num, z=z: tensor(z)
        baseline.step(torch.tensor(rows))
        state, _ = ganjax.train_step(gan, state, images[rows][None])
    for module, player in players:
        before, after = (
            dense_layers(getattr(s, player).params) for s in (first, state)
        )
        linear = layers(module, torch.nn.Linear)
        theirs = [layer.weight.detach().numpy().T for layer in linear]
        old, ours = ([np.asarray(p["kernel"]) for p in s] for s in (before, after))
        moved = [
            [b - a for a, b in zip(old, new, strict=True)] for new in (theirs, ours)
        ]
        assert relative_error(*moved) < 1e-4, player


@pytest.mark.parametrize("config", ["mlp_l1", "mnist", "dcgan", "loss:non_saturating"])
def test_torch_baseline_has_as_many_parameters(torch, config):
    from experiments.torch_networks import check, check_parameters

    check(ganjax.load_config(config))
    check_parameters(ganjax.load_config(config))


@pytest.mark.parametrize(
    "config,overrides,expected",
    [
        ("conditional", {}, "config.num_classes=10"),
        ("mnist", {"prior.distribution": "sphere"}, "prior.distribution='sphere'"),
        ("mnist", {"updates": "alternating", "n_dis": 2}, "config.n_dis=2"),
        ("mnist", {"instance_noise": 0.5}, "config.instance_noise=0.5"),
        ("mnist", {"dtype": "bfloat16"}, "config.dtype='bfloat16'"),
        ("mnist", {"discriminator.norm": "spectral"}, "norm='spectral'"),
        ("mnist", {"d_optimizer.clip_weights": 0.1}, "clip_weights=0.1"),
        ("mnist", {"penalties.r1": 1.0}, "config.penalties.r1=1.0"),
        ("mnist", {"penalties.wgan_gp": 1.0}, "r1_r2 and wgan_gp together"),
        ("goodfellow2014", {}, "discriminator.name='maxout'"),
        ("mnist_best", {}, "config.g_optimizer.learning_rate.start=0.003"),
    ],
)
def test_torch_baseline_lists_what_it_does_not_support(
    torch, config, overrides, expected
):
    from experiments.torch_networks import check

    with pytest.raises(ganjax.UserError, match="unsupported in PyTorch") as error:
        check(ganjax.load_config(config, overrides))
    assert expected in str(error.value)
