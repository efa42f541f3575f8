"""What the kernel computes in place of the post's answer: a model's pointwise hooks, written out in C++.

A policy is a header with the two functions of `cpp/relu.h`. Each elementary operation of the trace becomes a line over
vectors; what the table of operations lacks is not computed so.
"""

from typing import Any

import torch
from torch.fx import Graph, Node

from src.objective.expressions import Lines, Operand, constant
from src.objective.kernel import Policy
from src.objective.pieces import cost_of
from src.objective.tracing import CONSTANTS, CONVERSIONS, TracingError, is_number, operation_of, trace_term
from src.population.piecewise import KinkError

HEADER = """// {name}: what an answer costs, and the slope of that in z, as traced from the PyTorch definition.

#pragma once

#include "elementary.h"
#include "lanes.h"

namespace {{

template <class T>
inline Term<T> term(const Vector<T> z, const Vector<T> x) {{
    using Math = Elementary<T>;
    using Mask = typename Math::Mask;
{lines}
    return {{{cost}, {slope}}};
}}

struct Policy {{
    static constexpr bool IS_FINITE = false;
    static constexpr int FACTOR = 1;

    template <bool IS_ACTIVE, bool WEIGHTED, class T, class X>
    static Term<T> at(Vector<T> z, X x, T weight) {{
        if constexpr (WEIGHTED)
            if (weight == 0) return {{Vector<T>{{}}, Vector<T>{{}}}};
        Vector<T> target{{}};
        if constexpr (IS_ACTIVE) target += x;
        const Term<T> one = term<T>(z, target);
        if constexpr (WEIGHTED) return {{one.loss * weight, one.slope * weight}};
        return one;
    }}

    template <class T>
    static Term<T> at_empty(Vector<T> b, T weight) {{
        return at<false, true>(b, T(0), weight);
    }}
}};

}}  // namespace
"""
N_EXAMPLES = (3, 5)  # of two traces, whose difference would show that a hook counts its examples


def policy_of(model: Any) -> Policy:
    """The policy that computes a model's `activate`, `target` and `error`.

    Raises:
        TracingError: if the kernel cannot compute them.
    """
    name = type(model).__name__
    graphs = [trace_term(model, n_examples).graph for n_examples in N_EXAMPLES]
    texts = {_header(name, graph) for graph in graphs}
    if len(texts) > 1:
        raise TracingError("depends on the number of examples")
    try:
        cost = cost_of(graphs[0])
    except KinkError:
        cost = None
    return Policy(name, texts.pop(), lambda z, x: model.error(model.target(x), model.activate(z)), cost)


def _header(name: str, graph: Graph) -> str:
    lines, found = Lines(), dict[Node, Operand]()

    def operand(argument: Any) -> Operand:
        if not isinstance(argument, Node):
            return constant(argument)
        if argument not in found:  # only what is asked for is written
            found[argument] = _written(argument, lines, operand)
        return found[argument]

    z, x = (node for node in graph.nodes if node.op == "placeholder")
    found |= {z: Operand("z"), x: Operand("x")}
    *_, output = graph.nodes
    cost, slope = (lines.as_number(operand(result)).text for result in output.args[0])
    return HEADER.format(name=name, lines="\n".join(lines.lines), cost=cost, slope=slope)


def _written(node: Node, lines: Lines, operand: Any) -> Operand:
    """One operation of the graph."""
    if node.op == "get_attr":
        return constant(node.meta["number"])
    name, arguments = operation_of(node), [a for a in node.args if not isinstance(a, list | tuple | torch.dtype)]
    is_test = _has_type(node, torch.bool)
    if name in CONSTANTS:
        value = [argument for argument in arguments if is_number(argument)][-1]
        return constant(bool(value) if is_test else float(value))  # type: ignore[arg-type]
    if name == "local_scalar_dense":
        raise TracingError("takes a number out of its data")
    if name == "pow" and is_number(arguments[1]):
        return lines.power(operand(arguments[0]), float(arguments[1]))  # type: ignore[arg-type]
    if name in CONVERSIONS:
        converted = operand(arguments[0])
        if not _is_convertible(arguments[0], node):
            raise TracingError(f"takes {node.meta['val'].dtype}")
        return converted if is_test else lines.as_number(converted)
    result = lines.apply(name, [operand(argument) for argument in arguments], is_test)
    if not (is_test or name == "where" or _has_type(node, torch.float32)):
        raise TracingError(f"takes {node.meta['val'].dtype}")
    return result


def _is_convertible(source: Any, node: Node) -> bool:
    """A test to a number of any kind; a scalar to as many."""
    if operation_of(node) == "broadcast_in_dim":
        return not isinstance(source, Node) or source.meta["val"].dim() == 0
    return not _has_type(source, torch.float32) or _has_type(node, torch.float32)


def _has_type(node: Node, dtype: torch.dtype) -> bool:
    return getattr(node.meta["val"], "dtype", None) is dtype
