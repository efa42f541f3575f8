"""A model's pointwise hooks as a graph of elementary operations: what an answer costs, and the slope of that in z.

The hooks are run once on tensors without data. PyTorch writes down what they do and what their derivative is, reduced
to some fifty elementary operations (its "prims").
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.fx import GraphModule, Node

FROM_A_NUMBER = ("view_of", "lift_fresh_copy", "clone")  # what follows on `torch.tensor(0.1)` in a hook
CONSTANTS = ("full", "full_like", "scalar_tensor")
CONVERSIONS = ("convert_element_type", "broadcast_in_dim")
# Operations that stay as they are: not pointwise, they are refused, and by the name that a user knows.
NOT_POINTWISE = (
    "softmax",
    "log_softmax",
    "mean",
    "var",
    "std",
    "cumsum",
    "cumprod",
    "flip",
    "roll",
    "max",
    "min",
    "norm",
)
aten = torch.ops.aten


class TracingError(Exception):
    """Why hooks cannot be written out for the kernel, as what they do: "takes cumsum"."""


def trace_term(model: Any, n_examples: int) -> GraphModule:
    """From z and x to error(target(x), activate(z)) and its derivative in z, as PyTorch takes it at kinks too.

    Raises:
        TracingError: if the hooks cannot be traced, or use another tensor than z and x.
    """

    def term_and_slope(z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        def term(z: Tensor) -> Tensor:
            cost: Tensor = model.error(model.target(x), model.activate(z.clone()))  # a hook may write into its argument
            return cost

        cost, pull_back = torch.func.vjp(term, z)  # type: ignore[misc]
        return cost, pull_back(torch.ones_like(cost))[0]

    shape = model.n_instances, n_examples, model.n_features
    entries = [torch.zeros(()).expand(shape) for _ in "zx"]  # which take no memory
    module = _traced(model, term_and_slope, NOT_POINTWISE, *entries)
    _refuse_other_tensors(model, module)
    return module


def trace_program(model: Any, whole: Collection[str]) -> GraphModule:
    """From the parameters of one instance, an example and its weight to the gradients and the losses of that example.

    Args:
        whole: operations, by name, that are not reduced to others.

    Raises:
        TracingError: if the model cannot be traced.
    """
    named = dict(model.named_parameters())
    called = _Called(model)

    def losses_and_gradients(parameters: list[Tensor], x: Tensor, weights: Tensor) -> tuple[list[Tensor], Tensor]:
        def total(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
            own = {f"model.{name}": parameter for name, parameter in zip(named, parameters, strict=True)}
            losses: Tensor = torch.func.functional_call(called, own, (x, weights))
            if tuple(losses.shape) != (1, model.n_features):
                raise TracingError("does not treat every instance on its own")
            return losses.mean(dim=-1).sum(), losses

        found: tuple[list[Tensor], Tensor] = torch.func.grad(total, has_aux=True)(parameters)
        return found

    one = [parameter.detach()[:1].clone() for parameter in named.values()]
    return _traced(model, losses_and_gradients, whole, one, model.W.new_zeros(1, model.n_features), model.W.new_ones(1))


class _Called(torch.nn.Module):
    """A model's losses as what a module returns when it is called."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        losses: Tensor = self.model.feature_losses(x, weights)
        return losses


def is_number(argument: Any) -> bool:
    return isinstance(argument, int | float)


def operation_of(node: Node) -> str:
    """What a node computes: `mul` for `prims.mul.default`."""
    return str(getattr(node.target, "__name__", node.target)).split(".")[0].strip("_")


class _NoTrainer:
    def __getattr__(self, name: str) -> Any:
        raise TracingError("asks the trainer, whose answer changes")


def _traced(model: Any, function: Callable[..., Any], whole: Collection[str], *inputs: Any) -> GraphModule:
    """A function of the model as a graph, in which the operations named by `whole` are not taken apart.

    The model has no trainer meanwhile. What cannot be traced is a `TracingError`.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415 - a second, which the post's model saves

    trainer, model._trainer = model._trainer, _NoTrainer()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            module: GraphModule = make_fx(
                torch.func.functionalize(function),
                decomposition_table=_reductions(whole),
                tracing_mode="fake",
                _allow_non_fake_inputs=True,  # they become attributes of the graph
            )(*inputs)
    except TracingError:
        raise
    except Exception as error:
        raise TracingError(_reason(error)) from error
    finally:
        model._trainer = trainer
    module.graph.eliminate_dead_code()
    return module


def _reason(error: Exception) -> str:
    """Why a trace came to an end, from what PyTorch says of it."""
    text = str(error)
    if "data-dependent" in text or "DataDependent" in type(error).__name__:
        return "decides on its data"
    if "autograd.Function" in text or "custom_function_call" in text:
        return "is an autograd.Function"
    return f"cannot be traced ({type(error).__name__}: {next(iter(text.splitlines()), 'without a reason')})"


def _refuse_other_tensors(model: Any, module: GraphModule) -> None:
    """A graph may hold a number that a hook has made a tensor of; any other tensor may change, or want a gradient."""
    own = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            tensor = getattr(module, str(node.target))
            is_made = tensor.dim() == 0 and all(operation_of(user) in FROM_A_NUMBER for user in node.users)
            if id(tensor) in own or not is_made:
                raise TracingError(f"uses {own.get(id(tensor), 'a tensor that it is not given')}")
            node.meta["number"] = tensor.item()


def _shrunk(gradient: Tensor, z: Tensor, bound: int | float) -> Tensor:
    return torch.where((z < -bound) | (z > bound), gradient, 0.0)


def _clamped(gradient: Tensor, z: Tensor, least: int | float, most: int | float) -> Tensor:
    return torch.where((z > least) & (z < most), gradient, 0.0)  # NaN has no slope, other than PyTorch reduces it


def _selected(z: Tensor, indices: list[Tensor | None], value: Tensor, accumulate: bool = False) -> Any:
    """`z[z < 0] = 0` is a selection; any other assignment is not, and is left as it is."""
    (index,) = indices if len(indices) == 1 else (None,)
    if index is None or index.dtype is not torch.bool or index.shape != z.shape or value.dim() or accumulate:
        return NotImplemented
    return torch.where(index, value, z)


REDUCTIONS = {
    **decomposition_table,
    aten.softshrink_backward.default: _shrunk,  # which PyTorch does not reduce by itself
    aten.hardshrink_backward.default: _shrunk,
    aten.hardtanh_backward.default: _clamped,
    aten.index_put.default: _selected,
}


def _reductions(whole: Collection[str]) -> dict[Any, Any]:
    return {op: own for op, own in REDUCTIONS.items() if op.__name__.split(".")[0].strip("_") not in whole}  # type: ignore[attr-defined]
