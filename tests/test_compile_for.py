"""Programs for accelerators that are not here: exported, compiled, and their costs."""

import importlib.util
import json
import re

import jax
import jax.numpy as jnp
import pytest
from helpers import ROOT
from jax import export
from jax.experimental.compilation_cache import compilation_cache

from experiments import compile_for
from experiments.compile_targets import TARGETS
from experiments.hlo import sizes
from experiments.hlo_cost import Program

STATE = 5_952_796  # bytes of configs/mnist.py's
EXAMPLES = 60_000 * 28 * 28
FILES = [name for name in compile_for.CONFIGS if ":" not in name]


# --- lowering for CUDA and TPU --------------------------------------------------------


# Configs with the networks of another one.
LIKE_OTHERS = {
    "celeba64",
    "cifar10",
    "cnn",
    "conditional",
    "fashion_mnist",
    "mnist_best",
}
CASES = [
    pytest.param(
        *(name, "bfloat16", "bf16", "tpu"),
        marks=[pytest.mark.long] if name in LIKE_OTHERS else [],
    )
    for name in FILES
]
CASES += [(name, "float32", "f32", "gpu") for name in ("mnist", "srgan", "crnn_gan")]
PLATFORMS = {"tpu": "tpu", "gpu": "cuda"}  # by back end


@pytest.mark.skipif(jax.__version_info__ < (0, 10), reason="jax 0.7 can't export pmap")
@pytest.mark.parametrize("name,dtype,type_name,backend", CASES)
def test_every_config_lowers(name, dtype, type_name, backend):
    config = compile_for.load(name, dtype, 8)
    training = compile_for.make_training(config, backend, num_devices=2)
    program = jax.jit(training.program())
    exported = export.export(program, platforms=[PLATFORMS[backend]])
    module = exported(*training.arguments).mlir_module()
    types = set(re.findall(r"tensor<(?:\d+x)*([a-z]\w*)>", module))
    assert "f32" in types and "f64" not in types
    result = r"stablehlo\.(?:dot_general|convolution)\b.*-> tensor<[\dx]*x(\w+)>"
    products = set(re.findall(result, module))
    # The generator of srgan adds to an enlarged image, and is float32; so is the power
    # iteration of spectral norm.
    if name in ("sngan", "srgan"):
        assert products == {type_name, "f32"}
    else:
        assert products == {type_name}
    # No step waits for the host, and devices average their gradients.
    assert not re.search(r"callback|infeed|outfeed|stablehlo\.(send|recv)", module)
    assert "stablehlo.all_reduce" in module


def test_networks_and_calls_are_those_of_accelerators():
    config = compile_for.load("mnist", "float32", 8)
    training = compile_for.make_training(config, "gpu", num_devices=2)
    assert training.gan.generator.conv == "patches"
    training = compile_for.make_training(config, "tpu", num_devices=2)
    assert training.gan.generator.conv == "library"
    assert training.chunk == 100 and not training.streamed
    folder = compile_for.make_training(
        compile_for.load("image_folder", "float32", 64), "tpu", num_devices=2
    )
    assert not folder.streamed


# --- costs, read from programs for the CPU --------------------------------------------


def step_of(function, *shapes, chunk=1):
    """What XLA's program of a function does, its arguments float32."""
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    lowered = jax.jit(function).lower(*arguments)
    return Program(lowered.compiler_ir("hlo").as_hlo_text(), chunk).step


def test_flops_of_a_dense_layer():
    step = step_of(jnp.dot, (5, 7), (7, 11))
    assert step.flops == 2 * 5 * 7 * 11 and step.products == 1


def test_traffic_of_a_dense_layer_is_its_three_arrays():
    assert step_of(jnp.dot, (5, 7), (7, 11)).bytes == 4 * (5 * 7 + 7 * 11 + 5 * 11)


@pytest.mark.parametrize("stride,dilation", [(1, 1), (2, 1), (1, 2)])
def test_flops_of_a_convolution_leave_out_its_padding(stride, dilation):
    """The sum of all products of ones is their number."""

    def conv(image, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            image,
            kernel,
            (stride, stride),
            [(1, 2), (2, 1)],
            lhs_dilation=(dilation, dilation),
            dimension_numbers=numbers,
        )

    shapes = (2, 6, 9, 3), (4, 4, 3, 5)
    products = conv(*(jnp.ones(shape) for shape in shapes)).sum()
    assert step_of(conv, *shapes).flops == 2 * float(products)


def test_bodies_of_loops_count_as_often_as_they_run():
    def loop(x, matrix):
        return jax.lax.fori_loop(0, 6, lambda i, x: x @ matrix, x)

    step = step_of(loop, (5, 7), (7, 7))
    assert step.flops == 6 * 2 * 5 * 7 * 7 and step.products == 6


def test_a_loop_whose_length_is_an_argument_is_the_one_over_training_steps():
    def loop(n, x, matrix):
        return jax.lax.fori_loop(0, n.astype(int), lambda i, x: x @ matrix, x)

    step = step_of(loop, (), (5, 7), (7, 7), chunk=100)
    assert step.flops == pytest.approx(2 * 5 * 7 * 7)


def test_of_an_array_in_a_loop_slices_alone_are_read():
    def loop(x):
        def add(total, row):
            return total + row, None

        return jax.lax.scan(add, jnp.zeros(1000), x)[0]

    array = 4 * 50 * 1000
    # Each iteration reads and writes a row as slice, again without its first axis, and
    # reads two numbers for each that it adds.
    assert step_of(loop, (50, 1000)).bytes == pytest.approx(7 * array, rel=0.01)


def test_a_slice_that_is_fetched_onto_the_chip_is_read_once():
    text = """
ENTRY %main (p: f32[512,3136]) -> f32[512,784] {
  %p = f32[512,3136]{1,0:T(8,128)} parameter(0)
  %start = ((f32[512,3136]{1,0:T(8,128)}), f32[512,784]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%p), slice={[0:512], [0:784]}
  ROOT %done = f32[512,784]{1,0:T(8,128)S(1)} slice-done(%start)
}"""  # noqa: E501
    step = Program(text, 1).step
    assert step.bytes == 4 * 512 * 7 * 128 and step.bytes_unpadded == 4 * 512 * 784


@pytest.mark.parametrize(
    "type_text,padded,unpadded,on_chip",
    [
        ("f32[64,28,28,1]{0,3,2,1:T(8,128)}", 4 * 28 * 28 * 8 * 128, 4 * 50_176, False),
        ("bf16[3,5]{1,0:T(8,128)(2,1)S(1)}", 2 * 8 * 128, 30, True),
        ("f32[100]{0:T(128)}", 512, 400, False),
        ("u8[10,3]", 30, 30, False),
        ("f32[]", 4, 4, False),
    ],
)
def test_sizes_of_arrays_with_tiles(type_text, padded, unpadded, on_chip):
    (size,) = sizes(type_text)
    assert (size.padded, size.unpadded, size.on_chip) == (padded, unpadded, on_chip)


# --- compilation with the compilers of accelerators -----------------------------------


@pytest.fixture
def no_cache():
    """What the compilation cache returns can't be loaded without the devices."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def need(target):
    compiler = TARGETS[target].compiler
    if importlib.util.find_spec(compiler) is None:
        pytest.skip(f"{compiler} is not installed, which compiles for {target}")


@pytest.mark.slow
@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("target,most", [("v2-8", 2), ("v5e-16", 2), ("H100-8", 4)])
def test_each_player_averages_its_gradients_at_once(target, most):
    """Gradients, statistics and metrics are combined, on GPUs by type and size."""
    need(target)
    result, step = compile_for.compile_for("mnist", target, "float32", 64)
    assert 2 <= result["all_reduces"] <= most
    assert not step.ops.keys() & {"infeed", "outfeed", "send", "recv"}
    assert 0.0005 < result["memory_fraction"] < 0.02


@pytest.mark.slow
@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("target", ["v5e-1", "T4"])
def test_a_step_does_twice_as_much_on_twice_the_batch(target):
    need(target)
    small, large = (
        compile_for.compile_for("mnist", target, "float32", batch)[0]
        for batch in (64, 128)
    )
    assert large["flops"] == pytest.approx(2 * small["flops"], rel=0.05)
    assert small["all_reduces"] == 0
    # Multiply-adds of one image in the networks of mnist.py, by hand.
    g = 32 * 128 + 128 * 1568 + 49 * 16 * 32 * 16 + 196 * 16 * 16
    d = 196 * 16 * 16 + 49 * 16 * 16 * 32 + 1568 * 128
    # G runs forward twice and backward once, by z and parameters; D forward and
    # backward on real and generated images and in G's step. Penalties come on top.
    least = 2 * 64 * (4 * g + (3 * 2 + 2) * d)
    assert least < small["flops"] < 2.5 * least
    # The state is read and written, at least.
    assert 2 * STATE < small["bytes"] < 60 * STATE
    assert STATE < small["memory"] - EXAMPLES < 20 * STATE


# --- results --------------------------------------------------------------------------


def test_rows_in_the_text_are_those_of_the_results():
    results = json.loads((ROOT / "experiments/results/compile_for.json").read_text())
    text = (ROOT / "docs/distributed.md").read_text()
    rows = [
        line
        for line in text.splitlines()
        if re.match(r"\| \S+ \| [\w-]+ \| \w*float", line)
    ]
    written = {compile_for.row(name, result) for name, result in results.items()}
    assert len(rows) > 5 and set(rows) <= written
