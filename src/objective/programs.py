"""A small model with any hooks, written out whole: the loss and gradient of one instance on one example, in C++.

Each entry of each tensor becomes a line over vectors, in whose lanes instances stand side by side, as in the kernel's
`stack.h`; `cpp/program.cpp` sums over examples. Written so, a model may do to one example whatever it likes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.fx import GraphModule, Node

from src.objective.arrays import SHAPES, Array, array_of, each, folded, product
from src.objective.expressions import ZERO, Lines, Operand, constant
from src.objective.tracing import TracingError, is_number, operation_of, trace_program

HEADER = """// {name}: the losses of one example and their gradient, as traced from the PyTorch definition.

#pragma once

#include "elementary.h"
#include "lanes.h"

namespace {{

constexpr int N_PARAMETERS = {n_parameters}, N_LOSSES = {n_losses};  // of one instance

// Parameters, one behind the other, and an example in; added to the sums: losses, and gradients in the same order.
template <class T, bool GRADIENT>
inline void add_example(const Vector<T> *p, const T *x, const T weight, Vector<T> *losses, Vector<T> *gradients) {{
    using Math = Elementary<T>;
    using Mask = typename Math::Mask;
{lines}
{sums}
}}

}}  // namespace
"""
MAX_LINES = 4000  # that a compiler takes some seconds for
PRODUCTS = ("bmm", "mm")
ONES, ZEROS = ("ones_like", "ones", "new_ones"), ("zeros_like", "zeros", "new_zeros", "empty", "empty_strided")
FILLED = ("full", "full_like", "new_full", "scalar_tensor")
FOLDS = {"sum": "add", "mean": "add", "amax": "maximum", "amin": "minimum"}
HANDLED = (*SHAPES, *PRODUCTS, *ONES, *ZEROS, *FILLED, *FOLDS)  # what a trace need not take apart


class Program(NamedTuple):
    """A model written out.

    Args:
        name: whose it is, for messages.
        text: the header that defines it in C++.
        has_gradient: of each of the model's parameters, whether the losses depend on it.
    """

    name: str
    text: str
    has_gradient: tuple[bool, ...]


def program_of(model: Any) -> Program:
    """The program that computes a model's feature losses and their gradient.

    Raises:
        TracingError: if it cannot be written out, or would be too long.
    """
    parameters = list(model.parameters())
    n_parameters = sum(parameter[0].numel() for parameter in parameters)
    if n_parameters * model.n_features > MAX_LINES:
        raise TracingError("is too large to be written out")
    module = trace_program(model, HANDLED)
    lines = Lines()
    try:
        losses, gradients = _written(module, lines, [tuple(p.shape[1:]) for p in parameters], model.n_features)
    except (TypeError, ValueError, IndexError, OverflowError) as error:  # an argument that the tables do not know
        raise TracingError(f"cannot be written out ({type(error).__name__}: {error})") from error
    if len(lines.lines) > MAX_LINES:
        raise TracingError("is too long to be written out")
    of_each = np.split(np.array(gradients), np.cumsum([parameter[0].numel() for parameter in parameters])[:-1])
    sums = [f"    losses[{i}] += {own} * weight;" for i, own in enumerate(losses)]
    sums.append("    if constexpr (!GRADIENT) return;")
    sums += [f"    gradients[{i}] += {own} * weight;" for i, own in enumerate(gradients)]
    name = type(model).__name__
    text = HEADER.format(
        name=name, n_parameters=n_parameters, n_losses=len(losses), lines="\n".join(lines.lines), sums="\n".join(sums)
    )
    return Program(name, text, tuple(bool((own != ZERO.text).any()) for own in of_each))


def _written(
    module: GraphModule, lines: Lines, shapes: list[tuple[int, ...]], n_features: int
) -> tuple[list[str], list[str]]:
    """The names of all losses, and of all gradients."""
    found: dict[Node, Array] = {}
    places = iter([node for node in module.graph.nodes if node.op == "placeholder"])
    first = 0
    for shape, node in zip(shapes, places, strict=False):
        size = math.prod(shape)
        found[node] = array_of((1, *shape), (Operand(f"p[{i}]") for i in range(first, first + size)))
        first += size
    x, weights = places
    found[x] = array_of((1, n_features), (lines.apply("add", [Operand(f"x[{i}]"), ZERO]) for i in range(n_features)))
    found[weights] = array_of((1,), [constant(1.0)])
    for node in module.graph.nodes:
        if node.op == "get_attr":
            tensor = getattr(module, str(node.target))
            found[node] = array_of(tuple(tensor.shape), map(constant, tensor.flatten().tolist()))
        elif node.op == "call_function":
            if not isinstance(node.meta["val"], torch.Tensor):
                raise TracingError(f"takes {operation_of(node)}")
            dtype = node.meta["val"].dtype
            if dtype.is_floating_point and dtype is not x.meta["val"].dtype:
                raise TracingError(f"takes {dtype}")
            found[node] = _applied(node, lines, found)
    *_, output = module.graph.nodes
    *gradients, losses = output.args[0]
    return _texts(losses, found), [text for own in gradients for text in _texts(own, found)]


def _texts(node: Any, found: dict[Node, Array]) -> list[str]:
    return [operand.text for operand in found[node].flat]  # type: ignore[attr-defined]


def _applied(node: Node, lines: Lines, found: dict[Node, Array]) -> Array:
    """One operation of the graph, entry by entry."""
    name, result = operation_of(node), node.meta["val"]
    arguments: list[Any] = torch.fx.node.map_arg(list(node.args), lambda own: found[own])  # type: ignore
    if name in (*ONES, *ZEROS, *FILLED):
        numbers = [1.0] if name in ONES else [0.0] if name in ZEROS else [a for a in arguments if is_number(a)]
        value = bool(numbers[-1]) if result.dtype is torch.bool else float(numbers[-1])
        return array_of(tuple(result.shape), [constant(value)] * result.numel())
    if name in SHAPES:
        return np.asarray(SHAPES[name](*arguments), dtype=object)
    if name in PRODUCTS:
        return product(lines, *arguments)
    if name in FOLDS:
        return _folded(name, lines, *arguments)
    return _computed(name, lines, result.dtype is torch.bool, arguments)


def _computed(name: str, lines: Lines, is_test: bool, arguments: list[Any]) -> Array:
    if name == "convert_element_type":
        return arguments[0] if is_test else each(lines.as_number, arguments[0])
    if name == "pow" and is_number(arguments[1]):
        return each(lambda base: lines.power(base, float(arguments[1])), arguments[0])
    operands = [own for own in arguments if isinstance(own, np.ndarray) or is_number(own)]
    if not operands:  # a random number, say
        raise TracingError(f"takes {name}")
    return each(lambda *own: lines.apply(name, own, is_test), *operands)


def _folded(name: str, lines: Lines, a: Array, axes: Any = None, keeps: Any = None, *_: Any) -> Array:
    result = folded(lines, FOLDS[name], a, axes or range(a.ndim), bool(keeps))
    count = constant(a.size / result.size)
    return each(lambda own: lines.apply("div", [own, count]), result) if name == "mean" else result
