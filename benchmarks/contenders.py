"""What `python -m benchmarks` compares: training loops for the same stacks, each made for a number of instances.

All train x' = ReLU(W^T W x + b) with n = 6, m = 2, p = 0.057, batch 1,024 and fused AdamW at lr 1e-3 in float32, with
as many threads as `fit` takes (one for a few instances). A contender is a function of the number of instances that
returns one of the number of steps: seconds for so many steps.
"""

import contextlib
import importlib.util
import io
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from src import cli
from src.data import SparseFeatures
from src.objective import loss_and_gradient

N_FEATURES, N_HIDDEN, PROBABILITY, BATCH = 6, 2, 0.057, 1024
LEARNING_RATE, DECAY = 1e-3, 0.01
Loop = Callable[[int], float]


def parameters(n_instances: int) -> tuple[torch.nn.Parameter, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    W = 0.378 * torch.randn(n_instances, N_HIDDEN, N_FEATURES, generator=generator)
    return torch.nn.Parameter(W), torch.nn.Parameter(torch.zeros(n_instances, N_FEATURES))


def timed(step: Callable[[], Any]) -> Loop:
    def loop(n_steps: int) -> float:
        start = time.perf_counter()
        for _ in range(n_steps):
            step()
        return time.perf_counter() - start

    return loop


def classic(n_instances: int) -> Loop:
    """The paper's experiment as one writes it down: dense data for every instance, einsum, autograd."""
    W, b = parameters(n_instances)
    optimizer = torch.optim.AdamW([W, b], lr=LEARNING_RATE, weight_decay=DECAY, fused=True)

    def step() -> None:
        shape = (BATCH, n_instances, N_FEATURES)
        x = torch.where(torch.rand(shape) <= PROBABILITY, torch.rand(shape), torch.zeros(()))
        hidden = torch.einsum("bif,imf->bim", x, W)
        reconstruction = torch.relu(torch.einsum("bim,imf->bif", hidden, W) + b)
        loss = (x - reconstruction).square().mean(dim=(0, 2)).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return timed(step)


def shared_stream(n_instances: int) -> Loop:
    """The same with one batch for all instances and batched matrix products."""
    W, b = parameters(n_instances)
    optimizer = torch.optim.AdamW([W, b], lr=LEARNING_RATE, weight_decay=DECAY, fused=True)

    def step() -> None:
        u = torch.rand(BATCH, N_FEATURES)
        x = torch.where(u < PROBABILITY, u / PROBABILITY, 0.0)
        loss = loss_and_gradient.reference_losses(W, b, x).mean(dim=1).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return timed(step)


def bare_objective(n_instances: int) -> Loop:
    """This project's objective and the optimizer, and nothing else: batches that are there already."""
    W, b = parameters(n_instances)
    optimizer = torch.optim.AdamW([W, b], lr=LEARNING_RATE, weight_decay=DECAY, fused=True)
    batches = next(iter(SparseFeatures(N_FEATURES, PROBABILITY, BATCH).train_dataloader()))
    assert isinstance(batches, torch.Tensor)
    position = 0

    def step() -> None:
        nonlocal position
        _, W.grad, b.grad = loss_and_gradient.losses_and_gradients(W, b, batches[position])
        optimizer.step()
        position = (position + 1) % len(batches)

    return timed(step)


class TimedCLI(cli.ToyCLI):
    """The command line, with the seconds of `trainer.fit` from its call to its return."""

    seconds = 0.0

    def before_fit(self) -> None:
        super().before_fit()
        self._start = time.perf_counter()

    def after_fit(self) -> None:
        TimedCLI.seconds = time.perf_counter() - self._start
        super().after_fit()


def fit(n_instances: int) -> Loop:
    """This project's `fit` with the default callbacks: pictures, curves, checkpoints and census included."""

    def loop(n_steps: int) -> float:
        arguments = ["fit", f"--model.n_instances={n_instances}", f"--trainer.max_steps={n_steps}"]
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            status = cli.main([*arguments, *MODEL, f"--trainer.logger.init_args.save_dir={folder}"], TimedCLI)
        assert status == 0
        return TimedCLI.seconds

    return loop


MODEL = ("--model", "src.model.ReLUOutputModel")


def jax(n_instances: int) -> Loop:
    """The shared stream in JAX: one compiled scan over the steps, AdamW written out."""
    import jax  # noqa: PLC0415 - optional
    import jax.numpy as jnp  # noqa: PLC0415

    def loss(model: Any, x: Any) -> Any:
        W, b = model
        reconstruction = jax.nn.relu(jnp.einsum("ibm,imf->ibf", jnp.einsum("bf,imf->ibm", x, W), W) + b[:, None])
        return jnp.square(x - reconstruction).mean(axis=(1, 2)).sum()

    def step(state: Any, key: Any) -> Any:
        model, first, second, t = state
        u = jax.random.uniform(key, (BATCH, N_FEATURES))
        gradient = jax.grad(loss)(model, jnp.where(u < PROBABILITY, u / PROBABILITY, 0.0))
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)

        def update(p: Any, m: Any, v: Any) -> Any:
            direction = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
            return p * (1 - LEARNING_RATE * DECAY) - LEARNING_RATE * direction

        return (jax.tree.map(update, model, first, second), first, second, t + 1), None

    model = tuple(jnp.asarray(p.detach().numpy()) for p in parameters(n_instances))
    zeros = jax.tree.map(jnp.zeros_like, model)
    scan = jax.jit(lambda state, keys: jax.lax.scan(step, state, keys)[0])

    def loop(n_steps: int) -> float:
        keys = jax.random.split(jax.random.PRNGKey(0), n_steps)
        state = (model, zeros, zeros, jnp.ones(()))
        jax.block_until_ready(scan(state, keys))  # compiles for this number of steps
        start = time.perf_counter()
        jax.block_until_ready(scan(state, keys))
        return time.perf_counter() - start

    return loop


CONTENDERS: dict[str, Callable[[int], Loop]] = {
    "classic loop": classic,
    "shared stream, eager": shared_stream,
    "fit, default callbacks": fit,
    "bare objective": bare_objective,
}
if importlib.util.find_spec("jax") is not None:
    CONTENDERS["JAX, jit and scan"] = jax
