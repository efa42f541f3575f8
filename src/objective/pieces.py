"""A model's pointwise hooks as polynomials between kinks, read off their trace."""

from collections.abc import Callable
from typing import Any

from torch.fx import Graph, Node

from src.objective.tracing import CONSTANTS, CONVERSIONS, is_number, operation_of
from src.population.pieces import plus, times
from src.population.piecewise import (
    ONE,
    KinkError,
    Piecewise,
    combined,
    compared,
    constant,
    divided,
    logic,
    merged,
    minus,
    negative,
    of_no_polynomial,
    smooth,
    to_power,
    where,
)

SMOOTH = ("cos", "erf", "erfc", "exp", "expm1", "sin", "tanh")
SINGULAR = ("log", "log1p", "log2", "reciprocal", "rsqrt", "sqrt", "tan")  # somewhere
ZERO = constant(0)


def _absolute(one: Piecewise) -> Piecewise:
    return where(compared("gt", one, ZERO), one, negative(one))


def _sign(one: Piecewise) -> Piecewise:
    return minus(compared("gt", one, ZERO), compared("lt", one, ZERO))


OPERATIONS: dict[str, Callable[..., Piecewise]] = {
    **{name: lambda one: one for name in ("clone", "view_of", *CONVERSIONS)},
    **{name: lambda one, name=name: smooth(name, one) for name in SMOOTH},
    **{name: lambda one, name=name: smooth(name, of_no_polynomial(one)) for name in SINGULAR},
    **{name: lambda one, other, name=name: compared(name, one, other) for name in ("gt", "ge", "lt", "le", "eq", "ne")},
    "abs": _absolute,
    "add": lambda one, other: combined(plus, one, other),
    "bitwise_and": lambda one, other: logic(min, one, other),
    "bitwise_not": lambda one: minus(Piecewise((), (ONE,)), one),
    "bitwise_or": lambda one, other: logic(max, one, other),
    "bitwise_xor": lambda one, other: logic(lambda a, b: abs(a - b), one, other),
    "div": divided,
    "maximum": lambda one, other: where(compared("gt", one, other), one, other),
    "minimum": lambda one, other: where(compared("gt", one, other), other, one),
    "mul": lambda one, other: combined(times, one, other),
    "neg": negative,
    "sign": _sign,
    "sub": minus,
    "where": where,
}


def cost_of(graph: Graph) -> Piecewise:
    """The first output of a graph of `trace_term`: what an answer costs.

    Raises:
        KinkError: if its kinks are not known: they depend on x, or on a function that is no polynomial.
    """
    found: dict[Node, Piecewise] = {}

    def shape(argument: Any) -> Piecewise:
        if not isinstance(argument, Node):
            return constant(argument)
        if argument not in found:
            found[argument] = _shape(argument, shape)
        return found[argument]

    z, x = (node for node in graph.nodes if node.op == "placeholder")
    found |= {z: Piecewise((), ({(1, 0): 1.0},)), x: Piecewise((), ({(0, 1): 1.0},))}
    *_, output = graph.nodes
    return merged(shape(output.args[0][0]))


def _shape(node: Node, shape: Callable[[Any], Piecewise]) -> Piecewise:
    """Of one operation's result."""
    if node.op == "get_attr":
        return constant(node.meta["number"])
    name, arguments = operation_of(node), [a for a in node.args if isinstance(a, Node) or is_number(a)]
    if name in CONSTANTS:
        return constant([a for a in arguments if is_number(a)][-1])
    if name == "pow":
        base, power = arguments
        if not isinstance(power, int | float):
            raise KinkError("takes a power that is no number")
        if isinstance(base, Node) and operation_of(base) == "abs" and power % 2 == 0:
            base = base.args[0]
        return to_power(shape(base), float(power))
    if name not in OPERATIONS:
        raise KinkError(f"takes {name}")
    return OPERATIONS[name](*(shape(argument) for argument in arguments))
