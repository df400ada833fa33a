"""Exported generators: the same pixels in every format, and files that are whole."""

import dataclasses
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from helpers import run_python, small_config, trained

import ganjax
from ganjax import export, files
from ganjax.config import to_json
from ganjax.export import CARD, FILES, export_generator
from ganjax.onnx_graph import to_onnx

BATCHES = (1, 3, 64)
CLASSES = {"unconditional": 0, "conditional": 3}


def inputs_for(gan, num):
    """z, and labels for class-conditional GANs, as arguments by name."""
    inputs = {"z": np.asarray(gan.prior.sample(jax.random.key(num), num))}
    if gan.num_classes:
        inputs["labels"] = np.arange(num, dtype=np.int32) % gan.num_classes
    return inputs


def expected_images(gan, state, inputs):
    z, labels = jax.tree.map(jnp.asarray, (inputs["z"], inputs.get("labels")))

    @jax.jit
    def generate(z, labels):
        return gan.export(
            gan.generator.apply(state.g_ema, z, train=False, labels=labels)
        )

    images = np.asarray(generate(z, labels)).astype(int)
    assert 8 < images.std() < 124  # neither gray nor saturated
    return images


@pytest.fixture(scope="module", params=CLASSES)
def exported(request, tmp_path_factory):
    """A GAN, its state, its config, and the folder of its export."""
    config = to_json(small_config(num_classes=CLASSES[request.param], sample_scale=0.5))
    gan = ganjax.make_gan(config)
    state = trained(gan)
    folder = tmp_path_factory.mktemp(request.param)
    export_generator(gan, state, config, folder)
    return gan, state, config, folder


def run_onnx(model, inputs):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (images,) = session.run(["images"], inputs)
    assert images.dtype == np.uint8
    return images.astype(int)


@pytest.mark.parametrize("num", BATCHES)
def test_onnx_gives_the_same_images(exported, num):
    gan, state, _, folder = exported
    inputs = inputs_for(gan, num)
    images = run_onnx((folder / FILES["onnx"]).read_bytes(), inputs)
    np.testing.assert_allclose(images, expected_images(gan, state, inputs), atol=1)


STABLEHLO = """
import sys
import jax, numpy as np
with open(sys.argv[1], "rb") as file:
    generate = jax.export.deserialize(bytearray(file.read()))
images = {}
for name in sys.argv[2:]:
    with np.load(name) as inputs:
        images = generate.call(*(inputs[k] for k in ("z", "labels") if k in inputs))
    np.save(name, np.asarray(images))
assert not any(name.split(".")[0] in ("ganjax", "flax") for name in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_stablehlo_gives_the_same_images_without_ganjax(exported, tmp_path):
    gan, state, _, folder = exported
    names = []
    for num in BATCHES:
        names.append(f"{tmp_path}/{num}.npz")
        np.savez(names[-1], **inputs_for(gan, num))
    file = folder / FILES["stablehlo"]
    result = run_python("-c", STABLEHLO, file, *names, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    for num, name in zip(BATCHES, names, strict=True):
        expected = expected_images(gan, state, inputs_for(gan, num))
        images = np.load(f"{name}.npy")
        assert images.dtype == np.uint8
        np.testing.assert_allclose(images.astype(int), expected, atol=1)


def test_stablehlo_is_for_all_back_ends(exported):
    blob = bytearray((exported[3] / FILES["stablehlo"]).read_bytes())
    assert jax.export.deserialize(blob).platforms == ("cpu", "cuda", "tpu")


def test_card_says_how_to_call_the_generator(exported):
    gan, _, _, folder = exported
    card = json.loads((folder / CARD).read_text())
    labels = {"name": "labels", "shape": ["b"], "dtype": "int32"}
    assert card == {
        "inputs": [{"name": "z", "shape": ["b", 4], "dtype": "float32"}]
        + [labels] * (gan.num_classes > 0),
        "output": {
            "name": "images",
            "shape": ["b", 28, 28, 1],
            "dtype": "uint8",
            "range": [0, 255],
        },
        "num_classes": gan.num_classes,
        "prior": {"distribution": "normal", "z_dim": 4, "scale": 0.5},
        "step": 7,
        "ganjax": ganjax.__version__,
        "files": FILES,
    }


def test_card_leads_to_the_samples_of_ganjax(exported):
    """z times the scale of the card, through the ONNX graph."""
    gan, state, _, folder = exported
    scale = json.loads((folder / CARD).read_text())["prior"]["scale"]
    key = jax.random.key(3)
    z = gan.prior.sample(jax.random.fold_in(key, 0), 6)
    labels = gan.condition(6)
    inputs = {"z": scale * np.asarray(z)} | (
        {} if labels is None else {"labels": labels}
    )
    images = run_onnx((folder / FILES["onnx"]).read_bytes(), inputs)
    samples = ganjax.sample(gan, state, num=6, key=key)
    np.testing.assert_allclose(images, samples.astype(int), atol=1)


NETWORKS = {
    "dcgan": {"generator.channels": (8, 4)},
    "goodfellow2014": {"generator.hidden": (16,)},
    "mlp_l1": {"generator.hidden": (16, 16)},
    "image_folder": {"generator.channels": (8, 8, 4, 4)},
    "stylegan": {"generator.channels": (4, 4, 4), "generator.w_dim": 8},
}
RESNET = {
    "generator": {
        "name": "resnet",
        "channels": (8, 8, 4),
        "norm": "batch",
        "momentum": 0.9,
        "kernel_init": "he_normal",
        "output": "sigmoid",
    },
}


ATTENTION = {"generator": RESNET["generator"] | {"spectral": True, "attention": 7}}
R3GAN = {"generator": {"name": "r3gan", "channels": (8, 8, 4), "group_width": 4}}


@pytest.mark.parametrize(
    "name,overrides",
    [
        *NETWORKS.items(),
        ("mnist", RESNET),
        ("mnist", R3GAN),
        pytest.param("mnist", ATTENTION, marks=pytest.mark.long),
    ],
    ids=[*NETWORKS, "resnet", "r3gan", "attention"],
)
def test_onnx_has_the_operations_of_every_network(name, overrides):
    gan = ganjax.make_gan(ganjax.load_config(name, overrides))
    state, inputs = trained(gan), inputs_for(gan, 4)
    generate = export.generator_fn(gan, state.g_ema)
    model = to_onnx(generate, export.arguments(gan), "images")
    images = run_onnx(model.SerializeToString(), inputs)
    np.testing.assert_allclose(images, expected_images(gan, state, inputs), atol=1)


@pytest.mark.parametrize(
    "fn,message",
    [
        (lambda x: jnp.sort(x), "ONNX, got 'sort'"),
        (lambda x: x.T @ x, "ONNX, got 'transpose'"),
        (lambda x: jnp.einsum("bi,bi->b", x, x), "a variant of 'dot_general'"),
        (lambda x: jax.lax.fori_loop(0, 4, lambda i, y: y * x, x), "ONNX, got 'scan'"),
    ],
)
def test_other_operations_end_in_one_line(fn, message):
    (b,) = jax.export.symbolic_shape("b")
    with pytest.raises(ganjax.UserError, match=message):
        to_onnx(fn, {"x": jax.ShapeDtypeStruct((b, 3), jnp.float32)}, "y")


def test_other_kinds_of_gan_are_refused(tmp_path):
    config = ganjax.load_config("stargan").to_dict()
    with pytest.raises(ganjax.UserError, match="--mode=export: expected a run with"):
        export_generator(ganjax.make_gan(config), None, config, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(exported, tmp_path, monkeypatch):
    gan, state, config, _ = exported
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "ganjax.onnx_graph")
    with pytest.raises(ganjax.UserError, match=r"onnx: pip install 'ganjax\[export\]'"):
        export_generator(gan, state, config, tmp_path / "out")


@pytest.mark.parametrize("written", [0, 2])
def test_an_interrupted_export_leaves_no_half_file(
    exported, tmp_path, monkeypatch, written
):
    gan, state, config, folder = exported
    old = {p.name: p.read_bytes() for p in folder.iterdir()}
    for name, content in old.items():
        (tmp_path / name).write_bytes(content)
    calls, replace = [], files.os.replace

    def interrupted(*paths):
        if len(calls) == written:
            raise KeyboardInterrupt
        calls.append(paths)
        replace(*paths)

    monkeypatch.setattr(files.os, "replace", interrupted)
    other = dataclasses.replace(gan, sample_scale=0.7)
    with pytest.raises(KeyboardInterrupt):
        export_generator(other, trained(gan, 1), config, tmp_path)
    now = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert now.keys() == old.keys()
    assert sum(now[name] != old[name] for name in old) == written
