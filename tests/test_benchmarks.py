"""That what the benchmarks compare can run, and is what they say; not how fast it is."""

import pytest
import torch

from benchmarks.__main__ import flops_per_model_step
from benchmarks.contenders import BATCH, CONTENDERS, N_FEATURES, PROBABILITY
from benchmarks.wide import N_EXAMPLES, sparse_examples
from benchmarks.wide import N_FEATURES as N_WIDE


@pytest.mark.parametrize("name", [name for name in CONTENDERS if not name.startswith("JAX")])
def test_every_contender_runs(name: str) -> None:
    assert CONTENDERS[name](2)(3) > 0


def test_the_flops_of_a_step_are_those_of_counted_examples() -> None:
    torch.manual_seed(0)
    n_draws = 200
    n_active = (torch.rand(n_draws * BATCH, N_FEATURES) < PROBABILITY).sum(dim=1)
    several = n_active[n_active > 1]
    counted = 8 * N_FEATURES * (n_active == 1).sum() + 18 * N_FEATURES * len(several) + 8 * several.sum()
    # The counts of 200,000 draws are right to about a third of a percent.
    assert flops_per_model_step() == pytest.approx(counted.item() / n_draws, rel=0.02)


def test_the_wide_examples_have_unit_length_and_ten_active_features() -> None:
    x = sparse_examples()
    assert x.shape == (N_EXAMPLES, N_WIDE)
    lengths = torch.zeros(N_EXAMPLES).index_add(0, x.indices()[0], x.values().square())
    torch.testing.assert_close(lengths, torch.ones(N_EXAMPLES))
    # Poisson: 10,000 of them, give or take a hundred.
    assert abs(len(x.values()) - 10_000) < 500
