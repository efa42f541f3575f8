"""Fits both predictors to seeds whose outcome is known."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from src.outcome.invariants import invariants
from src.outcome.predictors import GEOMETRIES, INIT_STD, Network, Readable
from src.outcome.scores import area_under_curve
from src.outcome.views import N_VIEWS, views

HEXAGON = GEOMETRIES.index("hexagon")
BATCH, HIGHEST_RATE, WARM_UP = 2048, 2e-3, 0.1

Initial = Float[Tensor, "instance 2 feature"]
Outcomes = Int[Tensor, " instance"]  # places among the geometries


def fit_readable(W: Initial, outcomes: Outcomes) -> Readable:
    """The likeliest logistic regression, by L-BFGS."""
    model, numbers = Readable(), invariants(W).float()
    model.mean, model.deviation = numbers.mean(dim=0), numbers.std(dim=0)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(numbers), outcomes)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return model


def fit_network(
    W: Initial,
    outcomes: Outcomes,
    others: tuple[Float[Tensor, "other 2 feature"], Int[Tensor, " other"]],
    n_epochs: int,
    on_epoch: Callable[[int, float], None] = lambda epoch, area: None,
) -> Network:
    """A network by AdamW with one cycle of the learning rate; the epoch that is best for hexagons among `others`.

    Args:
        on_epoch: called after each with its number and the area under the curve of hexagons among the others.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Network()
    seen, n = views(W, INIT_STD), len(W)
    batch = min(BATCH, n)
    optimizer = torch.optim.AdamW(model.parameters(), lr=HIGHEST_RATE)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, HIGHEST_RATE, total_steps=n_epochs * (n // batch), pct_start=WARM_UP
    )
    best, is_hexagon = (-1.0, model), others[1] == HEXAGON
    for epoch in range(n_epochs):
        for rows in torch.randperm(n, generator=generator)[: n // batch * batch].view(-1, batch):
            view = torch.randint(N_VIEWS, (len(rows),), generator=generator)
            loss = nn.functional.cross_entropy(model(seen[view, rows]), outcomes[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            cycle.step()
        area = area_under_curve(model.probabilities(others[0])[:, HEXAGON], is_hexagon).value
        if area >= best[0]:
            best = area, copy.deepcopy(model)
        on_epoch(epoch, area)
    return best[1]
