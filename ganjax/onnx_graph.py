"""A function of arrays as an ONNX graph.

The function is traced by JAX, and each of its operations becomes one or two of ONNX.
The table has the operations that generators consist of. jax2onnx, which knows far more
of them, requires older versions of Orbax than ganjax is tested with.

The opset and the IR version are old enough for runtimes of 2022, and for the CPU build
of onnxruntime-web.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from onnx import helper, numpy_helper

from ganjax.errors import UserError

OPSET, IR_VERSION = 17, 8
Value = np.ndarray | str  # a constant, or the name of an array in the graph


def to_onnx(
    fn: Callable[..., jax.Array], inputs: dict[str, jax.ShapeDtypeStruct], output: str
) -> onnx.ModelProto:
    """The graph of a function of arrays that returns one.

    Args:
      fn: the function; arrays that it closes over are stored in the graph.
      inputs: names, shapes and types of its arguments; a shape may start with one
        dimension from `jax.export.symbolic_shape`.
      output: name of the result.

    Raises:
      UserError: an operation that is not in the table.
    """
    closed = jax.make_jaxpr(fn)(*inputs.values())
    graph = Graph()
    (result,) = graph.evaluate(closed, list(inputs))
    graph.nodes.append(helper.make_node("Identity", [graph.name(result)], [output]))
    described = [describe(name, x) for name, x in inputs.items()]
    (aval,) = closed.out_avals
    proto = helper.make_graph(
        graph.nodes, "generator", described, [describe(output, aval)], graph.constants
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        proto, producer_name="ganjax", opset_imports=opsets, ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def describe(name: str, x: Any) -> onnx.ValueInfoProto:
    """Name, type and shape of an input or output; symbolic dimensions by their name."""
    shape = [d if isinstance(d, int) else str(d) for d in x.shape]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype))
    return helper.make_tensor_value_info(name, kind, shape)


class Graph:
    """Nodes and constants so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def name(self, value: Value) -> str:
        """The name of an array, which is stored if it is a constant."""
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.constants)}"
        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value), name)
        )
        return name

    def add(self, op: str, *inputs: Value, **attributes: Any) -> str:
        """A node; returns the name of its output."""
        output = f"{op}_{len(self.nodes)}"
        names = [self.name(value) for value in inputs]
        self.nodes.append(helper.make_node(op, names, [output], **attributes))
        return output

    def evaluate(self, closed: ClosedJaxpr, arguments: Sequence[Value]) -> list[Value]:
        """The outputs of a traced function; what depends on no input is computed."""
        jaxpr: Jaxpr = closed.jaxpr
        values: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
        constants = (np.asarray(x) for x in closed.consts)
        values.update(zip(jaxpr.constvars, constants, strict=True))

        def read(atom: Any) -> Value:
            return np.asarray(atom.val) if isinstance(atom, Literal) else values[atom]

        for eqn in jaxpr.eqns:
            inputs = [read(atom) for atom in eqn.invars]
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            if inner is not None:
                outputs = self.evaluate(inner, inputs)
            elif not any(isinstance(value, str) for value in inputs):
                outputs = [np.asarray(eqn.primitive.bind(*inputs, **eqn.params))]
            else:
                outputs = [self.convert(eqn, inputs)]
            values.update(zip(eqn.outvars, outputs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def convert(self, eqn: Any, inputs: list[Value]) -> Value:
        """One operation on an array that depends on an input."""
        name = eqn.primitive.name
        if name in SAME:
            return self.add(SAME[name], *inputs)
        if name not in OTHERS:
            raise UserError(
                f"config.generator: expected operations that can be written as ONNX, "
                f"got {name!r}"
            )
        return OTHERS[name](self, eqn, *inputs)


# Operations with the same meaning, by the name of JAX's.
SAME = {
    "add": "Add",
    "copy": "Identity",
    "div": "Div",
    "ge": "GreaterOrEqual",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "sqrt": "Sqrt",
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
    expect(p["feature_group_count"] == p["batch_group_count"] == 1, eqn)
    expect(set(p["rhs_dilation"]) == {1} and 1 in (max(strides), max(dilation)), eqn)
    weights = np.transpose(kernel, layout.rhs_spec)  # [O, I, height, width]
    spatial, padding = np.array(weights.shape[2:]), np.array(p["padding"]).T
    x = graph.add("Transpose", x, perm=layout.lhs_spec)
    if max(dilation) == 1:
        pads = padding.ravel().tolist()
        y = graph.add("Conv", x, weights, strides=strides, pads=pads)
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
    expect(eqn.params["dimension_numbers"] == (((1,), (0,)), ((), ())), eqn)
    return graph.add("MatMul", x, y)


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


OTHERS: dict[str, Callable[..., Value]] = {
    "broadcast_in_dim": broadcast,
    "concatenate": concatenate,
    "conv_general_dilated": convolve,
    "convert_element_type": cast,
    "dot_general": matrix_product,
    "erfc": erfc,
    "gather": rows,
    "reduce_sum": reduce_sum,
    "reshape": reshape,
    "round": round_,
    "select_n": select,
}
