"""Elementary operations as lines of C++ over vectors: a table, and the lines that an expression takes, each once."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from src.objective.tracing import TracingError

# By the name of PyTorch's prim, of numbers to numbers. `Math` is `Elementary<T>` of cpp/elementary.h.
NUMBERS = {
    "abs": "Math::abs({0})",
    "add": "{0} + {1}",
    "atan": "Math::atan({0})",
    "ceil": "Math::ceil({0})",
    "clone": "{0}",
    "cos": "Math::cos({0})",
    "div": "{0} / {1}",
    "erf": "Math::erf({0})",
    "erfc": "Math::erfc({0})",
    "exp": "Math::exp({0})",
    "expm1": "Math::expm1({0})",
    "floor": "Math::floor({0})",
    "log": "Math::log({0})",
    "log1p": "Math::log1p({0})",
    "log2": "Math::log2({0})",
    "maximum": "Math::maximum({0}, {1})",
    "minimum": "Math::minimum({0}, {1})",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "reciprocal": "1 / {0}",
    "round": "Math::round({0})",
    "rsqrt": "1 / Math::sqrt({0})",
    "sign": "Math::sign({0})",
    "sin": "Math::sin({0})",
    "sqrt": "Math::sqrt({0})",
    "sub": "{0} - {1}",
    "tan": "Math::sin({0}) / Math::cos({0})",
    "tanh": "Math::tanh({0})",
    "trunc": "Math::trunc({0})",
    "view_of": "{0}",
}
TESTS = {  # of numbers
    "eq": "{0} == {1}",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "le": "{0} <= {1}",
    "lt": "{0} < {1}",
    "ne": "{0} != {1}",
}
LOGIC = {  # of tests
    "add": "{0} | {1}",
    "bitwise_and": "{0} & {1}",
    "bitwise_not": "~{0}",
    "bitwise_or": "{0} | {1}",
    "bitwise_xor": "{0} ^ {1}",
    "clone": "{0}",
    "eq": "~({0} ^ {1})",
    "mul": "{0} & {1}",
    "ne": "{0} ^ {1}",
    "view_of": "{0}",
}
NUMBER = r"number<T>\([^()]*\)"
MAX_POWER = 16  # up to which a whole power is products


@dataclass(frozen=True)
class Operand:
    """A vector of numbers or, of a test, a mask: its name in C++, or a constant with its value."""

    text: str
    is_test: bool = False
    value: float | None = field(default=None, compare=False)


def constant(value: int | float) -> Operand:
    if isinstance(value, bool):
        return Operand(f"(number<T>(0.0) {'==' if value else '!='} number<T>(0.0))", True, float(value))
    text = repr(float(value)) if math.isfinite(value) else "INFINITY" if value > 0 else "-INFINITY"
    return Operand("number<T>(NAN)" if math.isnan(value) else f"number<T>({text})", False, float(value))


ZERO, ONE = constant(0.0), constant(1.0)


class Lines:
    """The lines so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._known: dict[str, str] = {}  # the names of expressions

    def apply(self, operation: str, operands: Sequence[Operand], is_test: bool = False) -> Operand:
        """An operation's result.

        Raises:
            TracingError: if the table lacks the operation.
        """
        if operation == "where":
            texts = [operands[0].text, *(self._number(own) for own in operands[1:])]
            return self._named("{} ? {} : {}".format(*texts), False)
        table = NUMBERS if not is_test else LOGIC if all(own.is_test for own in operands) else TESTS
        if operation not in table:
            raise TracingError(f"takes {operation}")
        texts = [own.text if table is LOGIC else self._number(own) for own in operands]
        if operation == "mul" and ONE.text in texts:  # of the slope, most often
            texts.remove(ONE.text)
            return self._named(texts[0], is_test)
        return self._named(table[operation].format(*texts), is_test)

    def power(self, base: Operand, exponent: float) -> Operand:
        """Products where the exponent is whole and small, as PyTorch has them for squares and cubes."""
        text = self._number(base)
        if exponent == 0.5:
            return self._named(f"Math::sqrt({text})", False)
        if exponent.is_integer() and 1 <= abs(exponent) <= MAX_POWER:
            product = f"({' * '.join([text] * int(abs(exponent)))})"
            return self._named(product if exponent > 0 else f"1 / {product}", False)
        return self._named(f"Math::pow({text}, T({exponent!r}))", False)

    def converted(self, operand: Operand, dtype: torch.dtype) -> Operand:
        """To another kind of number, or to a test."""
        if dtype is torch.bool:
            return operand if operand.is_test else self.apply("ne", [operand, ZERO], True)
        number = self.as_number(operand)
        return number if dtype.is_floating_point else self.apply("trunc", [number])

    def as_number(self, operand: Operand) -> Operand:
        """Of a test, 1 where it holds."""
        return self._named(self._number(operand), False)

    def _number(self, operand: Operand) -> str:
        return f"({operand.text} ? {ONE.text} : {ZERO.text})" if operand.is_test else operand.text

    def _named(self, expression: str, is_test: bool) -> Operand:
        if expression.isidentifier() or re.fullmatch(NUMBER, expression):
            return Operand(expression, is_test)
        if expression not in self._known:
            self._known[expression] = f"v{len(self._known)}"
            self.lines.append(
                f"    const {'Mask' if is_test else 'Vector<T>'} {self._known[expression]} = {expression};"
            )
        return Operand(self._known[expression], is_test)
