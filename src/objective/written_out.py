"""The objective of a small model with hooks of any kind: written out whole, and computed by C++."""

import ctypes
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from src.objective.autograd import Autograd, changed, constants_of
from src.objective.build import Variant, library
from src.objective.kernel import N_THREADS
from src.objective.programs import Program

WORK_FROM = 2**16  # instances times examples from which more than one thread pays


class _Problem(ctypes.Structure):
    """`WholeProblem` in cpp/program.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_instances", "n_features", "n_examples", "n_tensors", "n_threads")),
        ("x_stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("size", "parameters", "x", "weights", "losses", "gradients")),
    )


class WrittenOut(Autograd):
    """Computes what the model's hooks say, example by example, with the instances side by side.

    Args:
        model: a `ToyModel`.
        program: the model, written out.
        why: it is not computed by the kernel's own loops.
    """

    def __init__(self, model: Any, program: Program, why: str) -> None:
        super().__init__(model, why)
        self.program = program
        self._constants = constants_of(model)

    @property
    def description(self) -> str:
        return f"kernel, written out whole: {self.why}" if self.has_threads else super().description

    @property
    def text(self) -> str:
        return self.program.text

    @property
    def has_threads(self) -> bool:
        W: Tensor = self.model.W
        return W.device.type == "cpu" and W.dtype in (torch.float32, torch.float64) and self._library() is not None

    @property
    def is_stale(self) -> bool:
        return self._constants != constants_of(self.model)

    def _library(self) -> ctypes.CDLL | None:
        return library(Variant(self.program.name, self.program.text, "program.cpp"))

    def set_gradients(
        self,
        x: Float[Tensor, "*instance batch feature"],
        out: Float[Tensor, "instance feature"] | None = None,
        weights: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        if x.is_sparse or not self.has_threads:
            return super().set_gradients(x, out, weights)
        parameters = list(self.model.parameters())
        gradients = [torch.empty_like(parameter, requires_grad=False) for parameter in parameters]
        losses = torch.empty_like(self.model.b, requires_grad=False) if out is None else out
        self._solve(x, weights, losses, gradients)
        for parameter, gradient, is_used in zip(parameters, gradients, self.program.has_gradient, strict=True):
            parameter.grad = gradient if is_used and parameter.requires_grad else None
        return losses

    @torch.no_grad()
    def losses(
        self,
        x: Float[Tensor, "batch feature"],
        weights: Float[Tensor, " batch"] | None = None,
        instances: list[int] | None = None,
    ) -> Float[Tensor, "instance feature"]:
        if x.is_sparse or not self.has_threads:
            return super().losses(x, weights, instances)
        with changed(self.model.parameters(), lambda own: own if instances is None else own[instances]):
            losses = torch.empty_like(self.model.b, requires_grad=False)
            self._solve(x, weights, losses, None)
        return losses

    def _solve(self, x: Tensor, weights: Tensor | None, losses: Tensor, gradients: list[Tensor] | None) -> None:
        built = self._library()
        assert built is not None
        dtype = self.model.W.dtype
        # Named here because the library is given addresses, which do not keep a tensor alive.
        parameters = [parameter.detach().to(dtype).contiguous() for parameter in self.model.parameters()]
        x, weights = x.to(dtype).contiguous(), None if weights is None else weights.to(dtype).contiguous()
        n_instances, n_examples, n_features = len(losses), *x.shape[-2:]
        sizes = (ctypes.c_int64 * len(parameters))(*(parameter[0].numel() for parameter in parameters))
        places, others = _addresses(parameters), None if gradients is None else _addresses(gradients)
        problem = _Problem(
            n_instances,
            n_features,
            n_examples,
            len(parameters),
            N_THREADS if n_instances * n_examples >= WORK_FROM else 1,
            n_examples * n_features if x.dim() == 3 else 0,
            ctypes.addressof(sizes),
            ctypes.addressof(places),
            x.data_ptr(),
            None if weights is None else weights.data_ptr(),
            losses.data_ptr(),
            None if others is None else ctypes.addressof(others),
        )
        (built.solve_float32 if dtype == torch.float32 else built.solve_float64)(ctypes.byref(problem))


def _addresses(tensors: list[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
