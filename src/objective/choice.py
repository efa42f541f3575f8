"""What computes a model: chosen in one place, by what its class overrides."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from src.distributions.examples import collapse_empty_rows
from src.errors import require
from src.objective.autograd import FREE, HOOKS, Autograd, changed
from src.objective.build import MAX_HIDDEN
from src.objective.pointwise import Pointwise
from src.objective.tracing import TracingError

N_TRIED, ENTRIES_TRIED = 16, 2**22  # examples, every second one empty; but fewer of a large stack
SCALES = (0.5, 4.0)  # of the random numbers that are added to all parameters: b is not 0 then, nor any other
CLOSE = 1e-5  # of the largest, in double precision, as far as there is one
CLOSE_IN_SINGLE = 1e-3


@torch.inference_mode(False)  # Lightning evaluates in inference mode, where nothing has a gradient
@torch.enable_grad()
def objective_of(model: Any) -> Autograd:
    """The fastest objective that computes a model.

    A class names its objective by `computed_by`. That one it is, as long as all hooks are those of the class that named
    it. With pointwise hooks of its own a model is computed by a policy. A model that changes `feature_losses` alone, to
    weigh them or to add a term, may call the inherited one, which is still computed so. All else is written out whole,
    if that can be done, or left to autograd. What is written out is tried: its losses and gradients must be those of
    the hooks, at other parameters too.

    Raises:
        ConfigError: if a parameter has no instance axis.
    """
    refuse_shapes(model)
    naming = next(kind for kind in type(model).__mro__ if "computed_by" in vars(kind))
    changes = [hook for hook in HOOKS if hook in vars(model) or getattr(type(model), hook) is not getattr(naming, hook)]
    free = [hook for hook in changes if hook in FREE]
    why = f"{' and '.join(free)} {'is' if len(free) == 1 else 'are'} overridden"
    if set(free) - {"feature_losses"}:
        return _written_out(model, why)
    try:
        terms = _pointwise(model, naming, changes)
    except TracingError as reason:
        pointwise = " or ".join(hook for hook in changes if hook not in FREE)
        return _written_out(model, f"{pointwise} {reason}" + (f", and {why}" if free else ""))
    return Autograd(model, why, terms) if free else terms


def refuse_shapes(model: Any) -> None:
    """Raise a `ConfigError` if a parameter has no instance axis, or an importance is not one of each feature."""
    name, n, n_features = type(model).__name__, model.n_instances, model.n_features
    for own, parameter in model.named_parameters():
        allowed = f"[{n}, ...]: the instance is the first axis of every parameter"
        require(parameter.dim() > 0 and len(parameter) == n, f"the shape of {name}.{own}", [*parameter.shape], allowed)
    if model.importance is not None:
        shape, allowed = [*model.importance.shape], f"[{n_features}], [feature], or [{n}, {n_features}]"
        require(shape in ([n_features], [n, n_features]), f"the shape of {name}.importance", shape, allowed)


def agrees(objective: Autograd) -> bool:
    """Whether what was written out of the hooks is still what they compute, of a few instances: a cheap look.

    Several examples must say otherwise, since a rounding may decide on which side of a jump an entry lies.
    """
    if not objective.text:
        return True
    plain, few = Autograd(objective.model), list(range(min(4, objective.model.n_instances)))
    return any(
        _are_close([objective.losses(x, None, few)], [plain.losses(x, None, few)], CLOSE_IN_SINGLE)
        for x in (_some_examples(objective.model, seed) for seed in range(3))
    )


def _pointwise(model: Any, naming: Any, changes: list[str]) -> Autograd:
    if set(changes) <= {"feature_losses"} and naming.computed_by is not Pointwise:
        named: Autograd = naming.computed_by(model)
        if not changes and not type(model).__module__.startswith("src."):  # which a misspelt name would explain
            named.why = f"{type(model).__name__} overrides no hook"
        return named
    if model.W.shape[1] > MAX_HIDDEN:
        raise TracingError(f"has more than {MAX_HIDDEN} hidden dimensions")
    from src.objective.policies import policy_of  # noqa: PLC0415 - only a variant needs what traces it

    written = Pointwise(model, policy_of(model))
    if written.has_threads and not _says_the_same(written, Autograd(model).feature_losses, model.importance):
        raise TracingError("is another function when it is written out")
    return written


def _written_out(model: Any, why: str) -> Autograd:
    """The model as a program, if that says the same as the model on some examples."""
    from src.objective.programs import program_of  # noqa: PLC0415 - as above
    from src.objective.written_out import WrittenOut  # noqa: PLC0415

    plain = Autograd(model, why)
    before, model._objective = model._objective, plain  # for a hook that asks for the inherited losses
    try:
        mixed: str = _in_some_precision(model, _how_examples_mix)
        if mixed:
            plain.mixes_examples = True
            plain.why = f"{why}, and {mixed}"
            return plain
        try:
            written = WrittenOut(model, program_of(model), why)
        except TracingError as reason:
            plain.why = why if str(reason) in why else f"{why}, and it {reason}"
            return plain
        if written.has_threads and not _says_the_same(written, model.feature_losses):
            plain.why = f"{why}, and it is another function when one instance and one example are written out"
            return plain
        return written
    finally:
        model._objective = before


def _how_examples_mix(model: Any, dtype: torch.dtype, close: float) -> str:
    """Why the loss of an example is not its own, or nothing."""
    for scale in SCALES:
        with torch.no_grad(), _at_other_parameters(model, scale, dtype) as x:
            losses, again = ([model.feature_losses(x)] for _ in range(2))
            if not _are_close(again, losses, close / 100):  # sums of the same numbers may differ by roundings
                return "it has random numbers"
            if not _are_close([model.feature_losses(*collapse_empty_rows(x, 1.0))], losses, close):
                return "an example's loss depends on the others"
    return ""


def _says_the_same(
    written: Autograd, feature_losses: Callable[[Tensor], Tensor], importance: Tensor | None = None
) -> bool:
    """Whether losses and gradients are those of the hooks, at some parameters that are as good as never 0."""
    model = written.model

    def by_hooks(x: Tensor) -> Tensor:
        model.zero_grad()
        losses = feature_losses(x) if importance is None else importance * feature_losses(x)
        if losses.requires_grad:
            losses.mean(dim=-1).sum().backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    def answers(compute: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
        with torch.inference_mode(False), torch.enable_grad():
            losses = compute(x)
        return [losses, *(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters())]

    def check(model: Any, dtype: torch.dtype, close: float) -> bool:
        for scale in SCALES:
            with _at_other_parameters(model, scale, dtype) as x:
                if not _are_close(answers(written.set_gradients, x), answers(by_hooks, x), close):
                    return False
        return True

    saved = [parameter.grad for parameter in model.parameters()]
    try:
        return bool(_in_some_precision(model, check))
    finally:
        for parameter, gradient in zip(model.parameters(), saved, strict=True):
            parameter.grad = gradient


def _in_some_precision(model: Any, check: Callable[[Any, torch.dtype, float], Any]) -> Any:
    """In double precision, where a rounding hardly ever decides; in the model's own if its hooks take no other."""
    try:
        return check(model, torch.float64, CLOSE)
    except Exception:
        return check(model, model.W.dtype, CLOSE_IN_SINGLE)


@contextmanager
def _at_other_parameters(model: Any, scale: float, dtype: torch.dtype) -> Iterator[Tensor]:
    """Some examples, with the model in a precision and at parameters that are random; its own are restored."""
    generator = torch.Generator().manual_seed(round(10 * scale))

    def moved(own: Tensor) -> Tensor:
        noise = torch.randn(own.shape, generator=generator, dtype=torch.float64)
        return own.to(dtype) + (scale * noise).to(own.device, dtype)

    numbers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    with changed(model.parameters(), moved), changed(numbers, lambda own: own.to(dtype)):
        yield _some_examples(model)


def _some_examples(model: Any, seed: int = 0) -> Tensor:
    """With values of both signs, the same each time."""
    generator = torch.Generator().manual_seed(seed)
    n_tried = max(4, min(N_TRIED, ENTRIES_TRIED // model.b.numel()))
    x = 2 * torch.rand(n_tried, model.n_features, generator=generator) - 1
    x[::2] = 0
    return x.to(model.W)


def _are_close(found: Sequence[Tensor], right: Sequence[Tensor], close: float) -> bool:
    """Where the right ones are finite."""
    for own, other in zip(found, right, strict=True):
        is_known = other.isfinite()
        if is_known.any():
            distance = (own - other)[is_known].abs()
            if not bool((distance <= close * other[is_known].abs().max()).all()):
                return False
    return True
