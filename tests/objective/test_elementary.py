"""The elementary functions of `cpp/elementary.h`, compiled with and without the machine's own vector instructions."""

import ctypes
import functools
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import torch
from torch import Tensor

from src.objective import build

# Units in the last place of the exact value. The worst of every 149th float32, and of 12000 float64 or more, with
# GCC 12 and Clang 22, fused multiply-adds or none:
#
#          exp   expm1 sigmoid tanh  log   log2  log1p erf   erfc  sin   cos   atan
# float32  0.98  1.48  2.30    1.26  0.85  1.72  1.41  1.49  3.91  2.37  2.36  2.06
# float64  0.99  1.90  1.89    1.21  1.03  1.32  1.64  1.26  3.02  2.00  1.84  2.24
UNITS = 2.5
UNITS_OF_ERFC = 4.0  # which far out is a product of three factors
EPSILONS_OF_POW = 2.0  # the C library's against torch's, each within one unit

# The exact function, and a range that has all that happens.
INEXACT: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (mpmath.exp, -746, 710),
    "expm1": (mpmath.expm1, -40, 710),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), -746, 40),
    "tanh": (mpmath.tanh, -21, 21),
    "log": (mpmath.log, 0, 1e4),
    "log2": (lambda x: mpmath.log(x) / mpmath.log(2), 0, 1e4),
    "log1p": (mpmath.log1p, -0.9999, 1e4),
    "erf": (mpmath.erf, -6.5, 6.5),
    "erfc": (mpmath.erfc, -6.5, 27.3),
    "sin": (mpmath.sin, -1.2e6, 1.2e6),  # a sixth is beyond the limit for float64, nearly all beyond that for float32
    "cos": (mpmath.cos, -1.2e6, 1.2e6),
    "atan": (mpmath.atan, -50, 50),
    "sqrt": (mpmath.sqrt, 0, 1e4),  # exactly rounded, which torch's is not
}
EXACT = ("abs", "sign", "round", "floor", "ceil", "trunc")
DTYPES = (torch.float32, torch.float64)

SOURCE = """
#include "elementary.h"
template <class T, class F>
void apply(const T *a, const T *b, T *y, int64_t n, F function) {
    for (int64_t i = 0; i < n; i += Lanes<T>::count) {
        Vector<T> u, v;
        std::memcpy(&u, a + i, BYTES);
        std::memcpy(&v, b + i, BYTES);
        u = function(u, v);
        std::memcpy(y + i, &u, BYTES);
    }
}
#define EXPORT_FOR(T, dtype, name, value) \\
    extern "C" void name##_##dtype(const T *a, const T *b, T *y, int64_t n) { \\
        using E = Elementary<T>; \\
        apply(a, b, y, n, [=](E::Vector u, [[maybe_unused]] E::Vector v) -> E::Vector { return value; }); \\
    }
#define EXPORT(name, value) EXPORT_FOR(float, float32, name, value) EXPORT_FOR(double, float64, name, value)
EXPORT(maximum, E::maximum(u, v))
EXPORT(minimum, E::minimum(u, v))
EXPORT(isnan, E::isnan(u) ? v : 0 * v)
EXPORT(pow, E::pow(u, b[0]))
"""
SOURCE += "".join(f"EXPORT({name}, E::{name}(u))\n" for name in (*INEXACT, *EXACT))


@pytest.fixture(scope="module", params=build.OPTIONS, ids=lambda options: " ".join(options) or "no options")
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if sys.platform == "win32":
        pytest.skip("the objective has no C++ part on Windows")
    try:
        compiler = build._compiler()
    except OSError as error:
        pytest.skip(str(error))
    source: Path = tmp_path_factory.mktemp("elementary") / "elementary.cpp"
    source.write_text(SOURCE)
    built = source.with_suffix(".so")
    flags = *build.FLAGS, *request.param, f"-I{build.SOURCES}"
    status, messages = build._run([*compiler, *flags, "-o", str(built), str(source)])
    if status and request.param:
        pytest.skip(f"{compiler[0]} does without {' '.join(request.param)}")
    assert status == 0, messages
    return ctypes.CDLL(str(built))


def computed(library: ctypes.CDLL, name: str, x: Tensor, other: Tensor | None = None) -> Tensor:
    """The function of every element. There must be as many as fill vectors."""
    other, y = x if other is None else other, torch.empty_like(x)
    function = getattr(library, f"{name}_{str(x.dtype).removeprefix('torch.')}")
    function(*(ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, other, y)), ctypes.c_int64(len(x)))
    return y


@functools.cache
def points(name: str, dtype: torch.dtype) -> Tensor:
    """Two grids, where sine and cosine are 0, numbers of all sizes, and for float32 any bits."""
    _, low, high = INEXACT.get(name, (None, -1e3, 1e3))
    n, generator = 20_000 if dtype == torch.float32 else 150, torch.Generator().manual_seed(0)
    sizes = torch.exp2(torch.rand(n, generator=generator, dtype=torch.float64) * 1090 - 1080)
    sizes[::2] = torch.exp2(torch.rand(n // 2, generator=generator, dtype=torch.float64) * 55 - 35)
    sizes[::3] *= -1
    grids = [torch.linspace(a, b, n, dtype=torch.float64) for a, b in ((low, high), (-3, 3))]
    zeros = torch.arange(min(n, 640), dtype=torch.float64) * (math.pi / 2)
    x = torch.cat([*grids, zeros, sizes]).to(dtype)
    if dtype == torch.float32:
        bits = torch.randint(-(2**31), 2**31, (5 * n,), generator=generator).to(torch.int32)
        x = torch.cat([x, bits.view(dtype)])
    x = x[x >= low] if low > -1 else x
    x[x.isnan()] = torch.nan  # a quiet one
    return x[: len(x) // 16 * 16]


@functools.cache
def exact(name: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What the function is at `points`, in two parts; torch's float64 is exact enough for float32."""
    x = points(name, dtype).double()
    if dtype == torch.float32:
        return getattr(torch, name)(x), torch.zeros_like(x)
    with mpmath.workdps(40):
        values = [mpmath.mpf(INEXACT[name][0](mpmath.mpf(number))) for number in x.tolist()]
        high = [float(value) for value in values]
        low = [float(value - near) if abs(near) < torch.inf else 0.0 for value, near in zip(values, high, strict=True)]
    return torch.tensor(high, dtype=torch.float64), torch.tensor(low, dtype=torch.float64)


def units(result: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """How far a result is from the exact one, in units of its last place. The largest number may be infinite."""
    finfo = torch.finfo(result.dtype)
    digits, least = (24, -125) if result.dtype == torch.float32 else (53, -1021)
    result, high = (tensor.double().clamp(finfo.min, finfo.max) for tensor in (result, high))
    exponent = torch.where(high == 0, least, high.frexp().exponent.clamp(min=least))
    return (result - high - low).abs() / torch.ldexp(torch.ones_like(high), exponent - digits)


def assert_same(result: Tensor, expected: Tensor) -> None:
    """Signs of zeros too."""
    torch.testing.assert_close(result, expected, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(result.signbit()[~result.isnan()], expected.signbit()[~expected.isnan()])


def specials(dtype: torch.dtype) -> Tensor:
    """Without subnormal numbers, some of which torch takes for 0."""
    finfo = torch.finfo(dtype)
    numbers = 0.0, finfo.smallest_normal, 0.5, 1.0, 2.5, finfo.max, torch.inf
    return torch.tensor([*numbers, *(-number for number in numbers), torch.nan, 0.3], dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", INEXACT)
def test_results_are_within_a_few_units_of_the_exact_ones(library: ctypes.CDLL, name: str, dtype: torch.dtype) -> None:
    x, (high, low) = points(name, dtype), exact(name, dtype)
    result = computed(library, name, x)
    assert torch.equal(result.isnan(), high.isnan())
    error = units(result, high, low).nan_to_num(0)
    worst = error.argmax()
    most = UNITS_OF_ERFC if name == "erfc" else UNITS
    assert error[worst] <= most, f"{name}({x[worst].item()}) is {result[worst].item()}, not {high[worst].item()}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", INEXACT)
def test_zeros_infinities_and_nan_are_torchs(library: ctypes.CDLL, name: str, dtype: torch.dtype) -> None:
    x = specials(dtype)
    result, expected = computed(library, name, x), getattr(torch, name)(x)
    if name == "log1p":  # torch 2.6 has infinity for that of the largest number
        with np.errstate(all="ignore"):
            expected = torch.from_numpy(np.log1p(x.numpy()))
    plain = expected.isfinite() & (expected != 0)
    torch.testing.assert_close(result[plain], expected[plain], rtol=4 * torch.finfo(dtype).eps, atol=0)
    assert_same(result[~plain], expected[~plain])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_signs_and_integers_are_torchs(library: ctypes.CDLL, dtype: torch.dtype) -> None:
    halves = torch.arange(-32, 32, dtype=dtype) / 2
    x = torch.cat([points("any", dtype), specials(dtype), halves])
    for name in EXACT:
        assert_same(computed(library, name, x), getattr(torch, name)(x))
    assert_same(computed(library, "isnan", x, torch.ones_like(x)), x.isnan().to(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_larger_and_the_smaller_of_two_are_torchs(library: ctypes.CDLL, dtype: torch.dtype) -> None:
    """The sign of a zero is left open."""
    x = specials(dtype)
    a, b = x.repeat_interleave(len(x)), x.repeat(len(x))
    for name in ("maximum", "minimum"):
        expected = getattr(torch, name)(a, b)
        torch.testing.assert_close(computed(library, name, a, b), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("exponent", [0.0, 0.5, -0.5, 1.7, -2.3, 3.0, -3.0, 20.0])
def test_powers_are_torchs(library: ctypes.CDLL, exponent: float, dtype: torch.dtype) -> None:
    """Those of its float64: in float32 torch now rounds the exponent and now does not."""
    finfo = torch.finfo(dtype)
    x = torch.cat([points("any", dtype), specials(dtype)])
    exponents = torch.full_like(x, exponent)
    result, expected = computed(library, "pow", x, exponents), x.double().pow(exponents[0].item()).to(dtype)
    rtol, atol = EPSILONS_OF_POW * finfo.eps, finfo.smallest_normal * finfo.eps
    torch.testing.assert_close(result, expected, rtol=rtol, atol=atol, equal_nan=True)
    at_zero = expected == 0
    assert torch.equal(result[at_zero].signbit(), expected[at_zero].signbit())
