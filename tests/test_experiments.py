"""The parts of the studies that compute: tables, verdicts, drawn data and twins."""

import jax
import numpy as np
import pytest
from conftest import ROOT, relative_error

import ganjax
from experiments import loss_table, runs, tips
from experiments.cartoon_faces import draw_face, draw_faces
from ganjax.steps import G_Z


def test_mean_and_sample_deviation():
    assert runs.mean_sd([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert runs.mean_sd([1.0]) == "1.00"


def test_verdicts_need_twice_the_standard_error():
    assert tips.differs([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == "no"
    assert tips.differs([11.0, 12.0, 13.0], [2.0, 3.0, 4.0]) == "worse"
    assert tips.differs([1.0, 2.0, 3.0], [12.0, 13.0, 14.0]) == "better"
    assert tips.differs([1.0], [2.0]) == ""


@pytest.mark.parametrize("row", tips.ROWS)
def test_every_tip_is_a_config(row):
    config = ganjax.load_config(f"{ROOT}/configs/mlp_l1.py", tips.ROWS[row])
    assert ganjax.make_gan(config).z_dim == 96


@pytest.mark.parametrize(
    "readme,table",
    [
        ("README.md", "gallery.md"),
        ("README.md", "loss_table.md"),
        ("experiments/README.md", "tips.md"),
    ],
)
def test_tables_in_the_texts_are_those_of_the_results(readme, table):
    written = (ROOT / "experiments/results" / table).read_text()
    assert written in (ROOT / readme).read_text()


def test_table_of_losses_states_mean_and_spread():
    def row(fid):
        scores = {m: {"value": 0.5, "floor": 0.25} for m in loss_table.COLUMNS}
        return scores | {"fid": {"value": fid, "floor": 2.0}}

    lines = loss_table.table({"wgan": [row(10.0), row(12.0)]}).splitlines()
    shares = " | 0.500 ± 0.000" * 3
    assert lines[2] == f"| wgan | 11.0 ± 1.4 | 0.50 ± 0.00{shares} |"
    assert lines[3] == "| *real images* | 2.0 | 0.25 | 0.250 | 0.250 | 0.250 |"


def test_cartoon_faces_are_many_and_repeatable(tmp_path):
    first = [draw_face(np.random.default_rng(i)) for i in range(4)]
    again = [draw_face(np.random.default_rng(i)) for i in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image in first}) == 4
    draw_faces(tmp_path, num=3)
    assert len(list(tmp_path.iterdir())) == 3


# --- twins --------------------------------------------------------------------------


@pytest.fixture
def torch():
    """PyTorch, if there is any, with its settings as they were afterwards."""
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


def test_a_twin_takes_the_very_steps(torch):
    """From equal weights and noise, 3 steps of configs/mlp_l1.py, up to rounding."""
    from experiments.twins import Twin

    config = ganjax.load_config(f"{ROOT}/configs/mlp_l1.py", {"batch_size": 16})
    gan = ganjax.make_gan(config)
    state = first = ganjax.init_state(gan, jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (48, 28, 28, 1), np.uint8)
    twin = Twin(config, images, "eager", "cpu")
    players = ((twin.generator, "g_params"), (twin.discriminator, "d_params"))

    def tensor(x):
        return torch.tensor(np.asarray(x))

    def layers(module, kind):
        return [layer for layer in module if isinstance(layer, kind)]

    with torch.no_grad():
        for module, field in players:
            ours = getattr(state, field)
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
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), G_Z)
        z = gan.prior(key, (16, gan.z_dim))
        twin.noise = lambda num, z=z: tensor(z)
        twin.step(torch.tensor(rows))
        state, _ = ganjax.train_step(gan, state, images[rows][None])
    for module, field in players:
        before, after = (dense_layers(getattr(s, field)) for s in (first, state))
        linear = layers(module, torch.nn.Linear)
        theirs = [layer.weight.detach().numpy().T for layer in linear]
        old, ours = ([np.asarray(p["kernel"]) for p in s] for s in (before, after))
        moved = [
            [b - a for a, b in zip(old, new, strict=True)] for new in (theirs, ours)
        ]
        assert relative_error(*moved) < 1e-4, field
