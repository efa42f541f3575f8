"""The kernel as a function of tensors.

Called through ctypes, which lets other Python threads run meanwhile. It has threads of its own (`cpp/threads.h`).
"""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from src.objective.build import MAX_HIDDEN, Variant, library
from src.population.piecewise import Piecewise

N_THREADS = torch.get_num_threads()  # before anyone changes it: $OMP_NUM_THREADS, or the number of cores
THREADS_FROM = 2**20  # entries of x' from which more than one thread pays
MAX_STACK_FEATURES = 16  # as in cpp/stack.h


class Policy(NamedTuple):
    """What the kernel computes in place of the post's term.

    Args:
        name: whose it is, for messages.
        text: the header that defines it in C++.
        term: the same in torch, from z and x [instance, batch, feature].
        cost: what an answer costs: its kinks, and its polynomials between them; None if its kinks are not known.
    """

    name: str
    text: str
    term: Callable[[Tensor, Tensor], Tensor]
    cost: Piecewise | None = None


class _Problem(ctypes.Structure):
    """`Problem` in cpp/examples.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_instances", "n_hidden", "n_features", "n_examples")),
        *((name, ctypes.c_int64) for name in ("n_entries", "n_threads", "x_stride")),
        *((name, ctypes.c_void_p) for name in ("W", "V", "b", "x", "row", "column", "value", "weights", "importance")),
        *((name, ctypes.c_void_p) for name in ("losses", "W_gradient", "b_gradient", "V_gradient")),
    )


def serves(W: Tensor, policy: Policy | None = None, V: Tensor | None = None) -> bool:
    """Whether the fused implementation is there for these weights."""
    return (
        W.device.type == "cpu"
        and W.dtype in (torch.float32, torch.float64)
        and W.shape[1] <= MAX_HIDDEN
        and _library(W, policy, V is not None) is not None
    )


def _library(W: Tensor, policy: Policy | None, has_decoder: bool) -> ctypes.CDLL | None:
    """The post's, for all sizes, which everyone needs, or another for its own size alone."""
    if policy is None and not has_decoder:
        return library()
    return library(_variant(*(policy[:2] if policy else ("a decoder of its own", "")), has_decoder, *W.shape[1:]))


@cache  # without the policy's torch definition, which would keep its model alive
def _variant(name: str, text: str, has_decoder: bool, n_hidden: int, n_features: int) -> Variant:
    sizes = f"-DONLY_HIDDEN={2 if n_hidden == 2 else 0}", f"-DONLY_WIDE={int(n_features > MAX_STACK_FEATURES)}"
    return Variant(name, text, options=(*sizes, "-DDECODER") if has_decoder else sizes)


def solve(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None,
    importance: Float[Tensor, "instance feature"] | None,
    losses: Float[Tensor, "instance feature"],
    gradients: Sequence[Tensor] | None,
    V: Float[Tensor, "instance hidden feature"] | None = None,
    policy: Policy | None = None,
) -> None:
    """Write what `losses_and_gradients` returns into contiguous tensors of W's type and the right shapes.

    The library believes what it is told: `loss_and_gradient.py` has checked every shape.
    """
    built = _library(W, policy, V is not None)
    assert built is not None
    n_instances, n_hidden, n_features = W.shape
    n_examples = x.shape[-2]
    # Named here because the library is given addresses, which do not keep a tensor alive.
    row = column = value = dense = None
    if x.is_sparse:
        entries = x.coalesce()
        row, column = entries.indices().contiguous()
        value = _as(W, entries.values())
    else:
        dense = _as(W, x)
    inputs = (_as(W, W), _as(W, V), _as(W, b), dense, row, column, value, _as(W, weights), _as(W, importance))
    outputs = (losses, *(gradients or ()))
    is_large = n_instances * n_examples * n_features >= THREADS_FROM
    problem = _Problem(
        n_instances,
        n_hidden,
        n_features,
        n_examples,
        0 if value is None else len(value),
        N_THREADS if is_large else 1,
        n_examples * n_features if x.dim() == 3 else 0,
        *(None if t is None else t.data_ptr() for t in (*inputs, *outputs)),
    )
    (built.solve_float32 if W.dtype == torch.float32 else built.solve_float64)(ctypes.byref(problem))


def _as(W: Tensor, tensor: Tensor | None) -> Tensor | None:
    if tensor is None or (tensor.dtype is W.dtype and tensor.is_contiguous()):
        return tensor
    return tensor.to(W.dtype).contiguous()
