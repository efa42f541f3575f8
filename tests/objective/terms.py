"""The terms of many models at once: traced, written out, compiled together, and called as functions of z and x."""

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from src.model import ToyModel
from src.objective import build
from src.objective.policies import policy_of

Activation = Callable[[Tensor], Tensor]
Term = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

EXPORTED = """
template <class T>
void at(int64_t n, const T *z, const T *x, T *cost, T *slope) {{
    for (int64_t i = 0; i < n; i++) {{
        const Term<T> found = term<T>(Vector<T>{{}} + z[i] - T(0), Vector<T>{{}} + x[i]);
        cost[i] = found.loss[0], slope[i] = found.slope[0];
    }}
}}
}}  // namespace f{k}
extern "C" void float32_{k}(int64_t n, const float *z, const float *x, float *cost, float *slope) {{
    f{k}::at(n, z, x, cost, slope);
}}
extern "C" void float64_{k}(int64_t n, const double *z, const double *x, double *cost, double *slope) {{
    f{k}::at(n, z, x, cost, slope);
}}
"""


def model_of(activate: Activation, error: Callable[[Tensor, Tensor], Tensor] | None = None) -> ToyModel:
    """A model with these hooks."""
    hooks = {"activate": lambda self, z: activate(z)}
    if error is not None:
        hooks["error"] = lambda self, x, reconstruction: error(x, reconstruction)
    kind: type[ToyModel] = type("Own", (ToyModel,), hooks)
    return kind(n_features=6, n_instances=2)


def compiled(models: Sequence[ToyModel], folder: Path) -> list[Term]:
    """The term of each model and its slope, as the kernel computes them."""
    parts = []
    for k, model in enumerate(models):
        body = re.sub(r"#.*", "", policy_of(model).text)
        parts.append(f"namespace f{k} {{\n{body}{EXPORTED.format(k=k)}")
    source, library = folder / "terms.cpp", folder / "terms.so"
    source.write_text("\n".join(['#include "elementary.h"', '#include "lanes.h"', *parts]))
    try:
        compiler = build._compiler()
    except OSError as error:
        pytest.skip(str(error))
    flags = [*build.FLAGS, *(build.OPTIONS[0] if sys.platform == "linux" else ()), f"-I{build.SOURCES}"]
    subprocess.run([*compiler, *flags, "-o", str(library), str(source)], check=True)
    loaded = ctypes.CDLL(str(library))

    def term(k: int) -> Term:
        def call(z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            cost, slope = torch.empty_like(z), torch.empty_like(z)
            function = getattr(loaded, f"{str(z.dtype).removeprefix('torch.')}_{k}")
            addresses = (ctypes.c_void_p(t.data_ptr()) for t in (z, x, cost, slope))
            function(ctypes.c_int64(len(z)), *addresses)
            return cost, slope

        return call

    return [term(k) for k in range(len(models))]


def by_torch(model: ToyModel, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The same from the hooks themselves."""
    z = z.view(1, -1, 1).clone().requires_grad_()
    cost: Tensor = model.error(model.target(x.view(1, -1, 1)), model.activate(z.clone()))
    (slope,) = torch.autograd.grad(cost.sum(), z)
    return cost.detach().flatten(), slope.flatten()
