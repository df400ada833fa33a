"""A function of arrays as an ONNX graph.

The function is traced by JAX, and each of its operations becomes one or two of ONNX.
The tables of onnx_operations.py have those that generators consist of. jax2onnx, which
knows far more of them, requires older versions of Orbax than ganjax is tested with.

The opset and the IR version are old enough for runtimes of 2022, and for the CPU build
of onnxruntime-web.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from onnx import helper, numpy_helper

from ganjax.errors import UserError
from ganjax.onnx_operations import OTHERS, SAME, Value

OPSET, IR_VERSION = 17, 8
# Operations that have a function among their parameters, but are no call of it.
NO_CALLS = ("scan", "reduce", "reduce_window")


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
            inner = None
            if eqn.primitive.name not in NO_CALLS:
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
