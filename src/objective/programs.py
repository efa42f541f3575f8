"""A small model with any hooks, written out whole: the loss and gradient of one instance on one example, in C++.

Each entry of each tensor becomes a line over vectors, in whose lanes instances stand side by side, as in the kernel's
`stack.h`; `cpp/program.cpp` sums over examples. Written so, a model may do to one example whatever it likes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.fx import GraphModule, Node

from src.objective.arrays import SHAPES, SUMS, Array, array_of, each
from src.objective.expressions import ZERO, Lines, Operand, constant
from src.objective.orders import ORDERS
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
ONES, ZEROS = ("ones_like", "ones", "new_ones"), ("zeros_like", "zeros", "new_zeros", "empty", "empty_strided")
FILLED = ("full", "full_like", "new_full", "scalar_tensor")
# What is written out as a whole, by the name of the operation.
WHOLE: dict[str, Callable[..., Any]] = {**SHAPES, **SUMS, **ORDERS}
HANDLED = (*(set(WHOLE) - {"index_put"}), *ONES, *ZEROS, *FILLED)  # what a trace need not take apart


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
    found: dict[Node, Any] = {}  # arrays of operands, tensors of numbers that are known, and pairs of them
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
            found[node] = getattr(module, str(node.target))
        elif node.op == "call_function":
            found[node] = _applied(node, x.meta["val"].dtype, lines, found)
    *_, output = module.graph.nodes
    *gradients, losses = output.args[0]
    return _texts(losses, found), [text for own in gradients for text in _texts(own, found)]


def _texts(node: Any, found: dict[Node, Any]) -> list[str]:
    return [operand.text for operand in _array(found[node]).flat]


def _applied(node: Node, dtype: torch.dtype, lines: Lines, found: dict[Node, Any]) -> Any:
    """One operation of the graph, entry by entry, or at once where all that it takes is known."""
    name, result = operation_of(node), node.meta["val"]
    given: Any = (list(node.args), dict(node.kwargs))
    arguments, keywords = torch.fx.node.map_arg(given, lambda own: found[own])
    is_known = all(isinstance(found[own], torch.Tensor) for own in node.all_input_nodes)
    if name == "getitem" or (is_known and not _is_arbitrary(node)):
        return node.target(*arguments, **keywords)  # type: ignore[operator]
    arguments = [[_array(part) for part in own] if isinstance(own, list) else _array(own) for own in arguments]
    if getattr(result, "dtype", dtype).is_floating_point and getattr(result, "dtype", dtype) is not dtype:
        raise TracingError(f"takes {result.dtype}")
    if "as_strided" in name and not node.args[0].meta["val"].is_contiguous():  # type: ignore[union-attr]
        raise TracingError(f"takes {name}")
    if name in WHOLE:
        return WHOLE[name](lines, *arguments, **keywords)
    if not isinstance(result, torch.Tensor):
        raise TracingError(f"takes {name}")
    if name in (*ONES, *ZEROS, *FILLED):
        numbers = [1.0] if name in ONES else [0.0] if name in ZEROS else [a for a in arguments if is_number(a)]
        value = bool(numbers[-1]) if result.dtype is torch.bool else float(numbers[-1])
        return array_of(tuple(result.shape), [constant(value)] * result.numel())
    return _computed(name, lines, result.dtype, arguments)


def _is_arbitrary(node: Node) -> bool:
    """Whether the numbers are random, or whatever was in memory."""
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()) or operation_of(node) in ZEROS


def _array(own: Any) -> Any:
    """A tensor of known numbers as an array of operands; all else as it is."""
    if not isinstance(own, torch.Tensor):
        return own
    return array_of(tuple(own.shape), map(constant, own.flatten().tolist()))


def _computed(name: str, lines: Lines, dtype: torch.dtype, arguments: list[Any]) -> Array:
    is_test = dtype is torch.bool
    if name == "convert_element_type":
        return each(lambda own: lines.converted(own, dtype), arguments[0])
    if name == "pow" and is_number(arguments[1]):
        return each(lambda base: lines.power(base, float(arguments[1])), arguments[0])
    operands = [own for own in arguments if isinstance(own, np.ndarray) or is_number(own)]
    if not operands:  # a random number, say
        raise TracingError(f"takes {name}")
    return each(lambda *own: lines.apply(name, own, is_test), *operands)
