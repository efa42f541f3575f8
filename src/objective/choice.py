"""What computes a model: chosen in one place, by what its class overrides."""

from typing import Any

import torch

from src.distributions.examples import collapse_empty_rows
from src.objective.autograd import FREE, HOOKS, Autograd
from src.objective.pointwise import Pointwise
from src.objective.tracing import TracingError

N_TRIED = 16  # examples, every second one empty
CLOSE = 1e-3  # of the largest loss, far more than rounding and far less than what a wrong reading makes


def objective_of(model: Any) -> Autograd:
    """The fastest objective that computes a model.

    A class names its objective by `computed_by`. That one it is, as long as all hooks are those of the class that named
    it. With pointwise hooks of its own a model is computed by a policy. A model that changes `feature_losses` alone, to
    weigh them or to add a term, may call the inherited one, which is still computed so. All else is written out whole,
    if that can be done, or left to autograd.
    """
    naming = next(kind for kind in type(model).__mro__ if "computed_by" in vars(kind))
    changed = [hook for hook in HOOKS if hook in vars(model) or getattr(type(model), hook) is not getattr(naming, hook)]
    free = [hook for hook in changed if hook in FREE]
    why = f"{' and '.join(free)} {'is' if len(free) == 1 else 'are'} overridden"
    if set(free) - {"feature_losses"}:
        return _written_out(model, why)
    try:
        terms = _pointwise(model, naming, changed)
    except TracingError as reason:
        pointwise = " or ".join(hook for hook in changed if hook not in FREE)
        return _written_out(model, f"{pointwise} {reason}" + (f", and {why}" if free else ""))
    return Autograd(model, why, terms) if free else terms


def _pointwise(model: Any, naming: Any, changed: list[str]) -> Autograd:
    if set(changed) <= {"feature_losses"} and naming.computed_by is not Pointwise:
        named: Autograd = naming.computed_by(model)
        return named
    from src.objective.policies import policy_of  # noqa: PLC0415 - only a variant needs what traces it

    written, x = Pointwise(model, policy_of(model)), _some_examples(model)
    with torch.no_grad():
        if written.has_threads and not _are_close(written.feature_losses(x), Autograd(model).feature_losses(x)):
            raise TracingError("is another function when it is written out")
    return written


def _written_out(model: Any, why: str) -> Autograd:
    """The model as a program, if that says the same as the model on some examples."""
    from src.objective.programs import program_of  # noqa: PLC0415 - as above
    from src.objective.written_out import WrittenOut  # noqa: PLC0415

    plain = Autograd(model, why)
    before, model._objective = model._objective, plain  # for a hook that asks for the inherited losses
    try:
        x = _some_examples(model)
        with torch.no_grad():
            losses = model.feature_losses(x)
            fewer = model.feature_losses(*collapse_empty_rows(x, 1.0))
        plain.mixes_examples = not _are_close(fewer, losses)
        if plain.mixes_examples:
            plain.why += ", and an example's loss depends on the others"
            return plain
        try:
            written = WrittenOut(model, program_of(model), why)
        except TracingError as reason:
            plain.why += f", and it {reason}"
            return plain
        if written.has_threads and not _are_close(written.losses(x), losses):
            plain.why += ", and it does not treat every instance on its own"
            return plain
        return written
    finally:
        model._objective = before


def _some_examples(model: Any) -> torch.Tensor:
    """With values of both signs, the same each time."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.rand(N_TRIED, model.n_features, generator=generator) - 1
    x[::2] = 0
    return x.to(model.W)


def _are_close(found: torch.Tensor, right: torch.Tensor) -> bool:
    return bool(((found - right).abs() <= CLOSE * right.abs().max()).all() or not right.isfinite().all())
