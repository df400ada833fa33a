"""Features from ONNX files that the tests make."""

import hashlib
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import ganjax
from ganjax import metrics
from ganjax.metrics.onnx_features import onnx_extractor, resize

KERNEL = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)


def write(path, shape, kernel=KERNEL, kind=TensorProto.FLOAT):
    """A network of one convolution as a file."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])]
    if len(shape) != 4:
        nodes = [helper.make_node("Relu", ["x"], ["y"])]
    if kind != TensorProto.FLOAT:
        cast = helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT)
        nodes = [cast, helper.make_node("Conv", ["f", "w"], ["y"], strides=[2, 2])]
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(kernel, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def images(n, *shape):
    return np.random.default_rng(1).integers(0, 256, (n, *shape), np.uint8)


def convolution(x):
    """What the network computes of float [N, 4, 4, 3]: [N, 4 x 2 x 2]."""
    windows = x.reshape(len(x), 2, 2, 2, 2, 3)  # rows, within, columns, within
    out = np.einsum("nhiwjc,ocij->nohw", windows, KERNEL)
    return out.reshape(len(x), -1)


@pytest.mark.parametrize("batch,num", [("b", 5), (2, 5), (2, 1)])
def test_features_are_the_output_for_pixels_in_0_to_1(tmp_path, batch, num):
    path, x = write(tmp_path / "net.onnx", [batch, 3, "h", "w"]), images(num, 4, 4, 3)
    extractor = onnx_extractor(path, (4, 4, 3))
    found = metrics.extract(extractor, x)
    np.testing.assert_allclose(found.features, convolution(x / 255), atol=1e-5)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert extractor.fingerprint == f"onnx {digest[:12]}"
    assert (extractor.suffix, found.logits) == ("_onnx", None)


def test_images_are_resized_and_gray_becomes_color(tmp_path):
    extractor = onnx_extractor(write(tmp_path / "x.onnx", ["b", 3, 4, 4]), (8, 6, 1))
    flat = np.full((2, 8, 6, 1), 51, np.uint8)
    expected = convolution(np.full((2, 4, 4, 3), 0.2))
    found = metrics.extract(extractor, flat).features
    np.testing.assert_allclose(found, expected, atol=1e-5)
    half = onnx_extractor(write(tmp_path / "w.onnx", ["b", 3, 4, "w"]), (8, 4, 1))
    np.testing.assert_allclose(
        metrics.extract(half, flat[:, :, :4]).features, expected, atol=1e-5
    )
    # As Pillow resizes bytes, within its rounding.
    x = images(2, 9, 12, 3)
    got = resize(x, (5, 4))
    bicubic = Image.Resampling.BICUBIC
    for image, own in zip(x, got, strict=True):
        other = np.asarray(Image.fromarray(image).resize((4, 5), bicubic)) / 255
        np.testing.assert_allclose(
            own.clip(0, 1), other, atol=2 / 255
        )  # it rounds twice
    assert got.dtype == np.float32


def test_unusable_files_are_refused_in_one_line(tmp_path, monkeypatch):
    def message(path, shape=(4, 4, 3)):
        with pytest.raises(ganjax.UserError) as error:
            onnx_extractor(path, shape)
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(f"features='{path}': ")
        return str(error.value)

    path = tmp_path / "x.onnx"
    assert "expected an ONNX file, got 'No such file" in message(path)
    path.write_bytes(b"no network")
    assert "expected an ONNX network" in message(path)
    write(path, ["b", 3, 4])
    assert "expected one input float32 [N, C, H, W]" in message(path)
    write(path, ["b", 3, 4, 4], kind=TensorProto.DOUBLE)
    assert "got tensor(double) ['b', 3, 4, 4]" in message(path)
    write(path, ["b", 3, 4, 4])
    assert "expected an input of 2 channels, got 3" in message(path, (4, 4, 2))
    write(path, ["b", 4, 4, 3])  # channels last
    assert "expected an input of 1 channels, got 4" in message(path, (4, 4, 1))
    write(path, ["b", 1, "h", "w"])  # its kernel has three channels
    assert "expected a network that can be run" in message(path, (4, 4, 1))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'ganjax[onnx]'" in message(path)
