"""The operations of JAX that generators consist of, as nodes of an ONNX graph.

`SAME` has those that only have another name. `OTHERS` has functions of the graph, the
equation of JAX and its inputs, which return the name of the output. To add one, write a
function and a line; onnx_graph.py calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jax import lax
from onnx import helper

from ganjax.errors import UserError

if TYPE_CHECKING:
    from ganjax.onnx_graph import Graph

Value = np.ndarray | str  # a constant, or the name of an array in the graph

# Operations with the same meaning, by the name of JAX's.
SAME = {
    "add": "Add",
    "copy": "Identity",
    "div": "Div",
    "exp": "Exp",
    "ge": "GreaterOrEqual",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "sqrt": "Sqrt",
    "stop_gradient": "Identity",
    "sub": "Sub",
    "tanh": "Tanh",
}


def sizes(shape: Sequence[Any], symbolic: int = -1) -> np.ndarray:
    """A shape as ONNX's operators take it."""
    return np.array([d if isinstance(d, int) else symbolic for d in shape], np.int64)


def broadcast(graph: Graph, eqn: Any, x: Value) -> Value:
    """New dimensions of size 1, and repetition along dimensions of size 1."""
    (aval,), (out,) = (v.aval for v in eqn.invars), (v.aval for v in eqn.outvars)
    places = eqn.params["broadcast_dimensions"]
    shape = [1] * len(out.shape)
    for place, size in zip(places, aval.shape, strict=True):
        shape[place] = size
    reshaped = graph.add("Reshape", x, sizes(shape))
    if tuple(shape) == tuple(out.shape):
        return reshaped
    return graph.add("Expand", reshaped, sizes(out.shape, 1))


def cast(graph: Graph, eqn: Any, x: Value) -> Value:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(eqn.params["new_dtype"]))
    return graph.add("Cast", x, to=kind)


def concatenate(graph: Graph, eqn: Any, *parts: Value) -> Value:
    return graph.add("Concat", *parts, axis=eqn.params["dimension"])


def convolve(graph: Graph, eqn: Any, x: Value, kernel: Value) -> Value:
    """A convolution, or one of an image with zeros between its pixels: a transposed
    convolution with the kernel turned by 180 degrees."""
    p, layout = eqn.params, eqn.params["dimension_numbers"]
    (strides, dilation) = p["window_strides"], p["lhs_dilation"]
    expect(isinstance(kernel, np.ndarray), eqn)
    expect(p["batch_group_count"] == 1, eqn)
    groups = p["feature_group_count"]
    expect(groups == 1 or max(dilation) == 1, eqn)
    expect(set(p["rhs_dilation"]) == {1} and 1 in (max(strides), max(dilation)), eqn)
    weights = np.transpose(kernel, layout.rhs_spec)  # [O, I, height, width]
    spatial, padding = np.array(weights.shape[2:]), np.array(p["padding"]).T
    x = graph.add("Transpose", x, perm=layout.lhs_spec)
    if max(dilation) == 1:
        pads = padding.ravel().tolist()
        sides = {"strides": strides, "pads": pads}
        y = graph.add("Conv", x, weights, group=groups, **sides)
    else:
        weights = weights[:, :, ::-1, ::-1].swapaxes(0, 1)
        pads = spatial - 1 - padding
        expect((pads >= 0).all(), eqn)
        pads = pads.ravel().tolist()
        y = graph.add("ConvTranspose", x, weights, strides=dilation, pads=pads)
    return graph.add("Transpose", y, perm=np.argsort(layout.out_spec).tolist())


def expect(condition: bool, eqn: Any) -> None:
    """Refuses a variant of an operation that no generator uses."""
    if not condition:
        raise UserError(
            "config.generator: expected operations that can be written as ONNX, got "
            f"a variant of {eqn.primitive.name!r}"
        )


def erfc(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Sub", np.ones((), np.float32), graph.add("Erf", x))


def matrix_product(graph: Graph, eqn: Any, x: Value, y: Value) -> Value:
    """[..., M] with [M, N], or batches of matrices."""
    (left, right), batches = eqn.params["dimension_numbers"]
    dims = [len(v.aval.shape) for v in eqn.invars]
    if batches == ((), ()):
        expect((left, right, dims[1]) == ((dims[0] - 1,), (0,), 2), eqn)
        return graph.add("MatMul", x, y)
    expect(batches == ((0,), (0,)) and dims == [3, 3], eqn)
    x = x if left == (2,) else graph.add("Transpose", x, perm=[0, 2, 1])
    y = y if right == (1,) else graph.add("Transpose", y, perm=[0, 2, 1])
    return graph.add("MatMul", x, y)


def pad(graph: Graph, eqn: Any, x: Value, value: Value) -> Value:
    """Edges of a value; negative ones are cut."""
    low, high, inside = zip(*eqn.params["padding_config"], strict=True)
    expect(not any(inside), eqn)
    return graph.add("Pad", x, np.array(low + high, np.int64), value)


def reduce_max(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("ReduceMax", x, axes=list(eqn.params["axes"]), keepdims=0)


def reduce_sum(graph: Graph, eqn: Any, x: Value) -> Value:
    axes = np.array(eqn.params["axes"], np.int64)
    return graph.add("ReduceSum", x, axes, keepdims=0)


def rows(graph: Graph, eqn: Any, table: Value, indices: Value) -> Value:
    """Rows of a table, [n, d] and [B, 1] -> [B, d]; indices have to be in [0, n)."""
    d = eqn.params["dimension_numbers"]
    expect((d.offset_dims, d.collapsed_slice_dims) == ((1,), (0,)), eqn)
    return graph.add("Gather", table, graph.add("Reshape", indices, sizes([-1])))


def reshape(graph: Graph, eqn: Any, x: Value) -> Value:
    return graph.add("Reshape", x, sizes(eqn.params["new_sizes"]))


def round_(graph: Graph, eqn: Any, x: Value) -> Value:
    nearest = lax.RoundingMethod.TO_NEAREST_EVEN
    expect(eqn.params["rounding_method"] == nearest, eqn)
    return graph.add("Round", x)


def select(graph: Graph, eqn: Any, which: Value, no: Value, yes: Value) -> Value:
    return graph.add("Where", which, yes, no)


def stack(graph: Graph, eqn: Any, *parts: Value) -> Value:
    axis = eqn.params["axis"]
    place = np.array([axis], np.int64)
    return graph.add(
        "Concat", *(graph.add("Unsqueeze", x, place) for x in parts), axis=axis
    )


OTHERS: dict[str, Callable[..., Value]] = {
    "broadcast_in_dim": broadcast,
    "concatenate": concatenate,
    "conv_general_dilated": convolve,
    "convert_element_type": cast,
    "dot_general": matrix_product,
    "erfc": erfc,
    "gather": rows,
    "pad": pad,
    "reduce_max": reduce_max,
    "reduce_sum": reduce_sum,
    "reshape": reshape,
    "round": round_,
    "select_n": select,
    "stack": stack,
}
