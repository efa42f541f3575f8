"""What each law draws, dense and as coordinates, is what its supports and moments say."""

import itertools
from collections import Counter

import pytest
import torch
from scipy import stats
from torch import Tensor

from src.data import SparseFeatures
from src.distributions import (
    AnticorrelatedPairs,
    CorrelatedGroups,
    Distribution,
    ExactlyK,
    Hierarchical,
    Independent,
    PowerLaw,
    Product,
    Signed,
    Sparse,
    Supports,
)
from src.distributions.values import SIGNED, UNIT, values_named
from src.errors import ConfigError
from src.model import ReLUOutputModel
from src.objective import Autograd
from src.population.quadrature import integrate
from src.population.surface import PointwiseSurface
from tests.distributions.laws import LAWS
from tests.distributions.test_sparse import ALPHA, seeded
from tests.running import slow

N_ROWS = 100_000  # with a fixed seed; at ALPHA a right law fails for one seed in a million
WIDE = 3000


def draws(law: Distribution, n_rows: int = N_ROWS) -> dict[str, Tensor]:
    return {"dense": law.draw((n_rows,), seeded(0)), "sparse": law.draw_sparse(n_rows, seeded(1)).to_dense()}


SOME = {"signed", "correlated pairs", "a parent and a child", "two at a time", "a product"}


@pytest.fixture(params=[name if name in SOME else slow(name) for name in LAWS])
def law(request: pytest.FixtureRequest) -> Distribution:
    return LAWS[request.param]


def test_every_set_is_active_as_often_as_its_probability_says(law: Distribution) -> None:
    assert law.supports is not None
    probabilities = {active: p for active, p in law.supports.as_sets().items() if p > 0}
    assert sum(probabilities.values()) == pytest.approx(1)
    for x in draws(law).values():
        found = Counter(tuple(row.nonzero().flatten().tolist()) for row in (x != 0).unique(dim=0))
        assert set(found) <= set(probabilities)
        code = 2 ** torch.arange(law.n_features)
        counts = Counter(((x != 0).long() @ code).tolist())
        observed = [counts[sum(2**k for k in active)] for active in probabilities]
        expected = [N_ROWS * p for p in probabilities.values()]
        few = [k for k, count in enumerate(expected) if count < 10]  # together, for the statistic's approximation
        kept = [k for k in range(len(expected)) if k not in few]
        pairs = [(observed[k], expected[k]) for k in kept]
        if few:
            pairs.append((sum(observed[k] for k in few), sum(expected[k] for k in few)))
        assert stats.chisquare(*zip(*pairs, strict=True)).pvalue > ALPHA


def test_active_features_have_the_values_that_it_says(law: Distribution) -> None:
    assert law.supports is not None
    values = law.supports.values
    for x in draws(law).values():
        active = x[x != 0]
        if values.width == 0:
            assert (active == values.high).all()
        else:
            assert stats.kstest(active.numpy(), "uniform", (values.low, values.width)).pvalue > ALPHA
            assert active.min() >= values.low
            assert active.max() < values.high


def test_values_of_features_that_are_active_together_are_independent(law: Distribution) -> None:
    for x in draws(law).values():
        for i, j in itertools.combinations(range(law.n_features), 2):
            both = x[(x[:, i] != 0) & (x[:, j] != 0)][:, [i, j]]
            if len(both) > 100 and both.std() > 0:
                assert stats.spearmanr(*both.T.numpy()).pvalue > ALPHA


def test_so_many_features_are_active_on_average(law: Distribution) -> None:
    assert law.supports is not None
    assert law.n_active == pytest.approx(law.supports.n_active)
    if isinstance(law.supports, Supports):
        together = law.supports.together
        x = draws(law)["dense"] != 0
        error = (together * (1 - together) / N_ROWS).sqrt()
        assert ((x.double().mT @ x.double() / N_ROWS - together).abs() <= 6 * error + 1e-12).all()


def test_the_closed_form_is_the_integral(law: Distribution) -> None:
    assert law.supports is not None
    torch.manual_seed(0)
    model = ReLUOutputModel(n_features=law.n_features, n_instances=4).double()
    with torch.no_grad():
        model.b += 0.3 * torch.randn_like(model.b)
    exact = model.losses_over(law.supports)
    found = integrate(Autograd(model).losses, law.supports, tolerance=1e-6, max_nodes=2**17)
    assert exact.method == "closed form"
    assert ((found.loss - exact.loss).abs() <= found.error + exact.error).all()
    assert (found.error < 1e-3 * found.loss).all()
    x = draws(law)["dense"].double()
    errors = (x - model(x)).square().mean(dim=-1)
    standard = errors.std(dim=1) / N_ROWS**0.5
    assert ((errors.mean(dim=1) - exact.loss).abs() <= 6 * standard).all()


def test_gradient_and_hessian_are_those_of_the_loss(law: Distribution) -> None:
    """By central differences along a direction."""
    assert law.supports is not None
    torch.manual_seed(1)
    n, step = law.n_features, 1e-5
    point = torch.cat([0.7 * torch.randn(1, 2 * n), 0.3 * torch.randn(1, n)], dim=1).double()
    direction = torch.nn.functional.normalize(torch.randn_like(point))
    surface, instances = PointwiseSurface({"W": (2, n), "b": (n,)}, law.supports), torch.zeros(1).long()
    ahead, here, behind = (surface.derivatives(point + k * step * direction, instances) for k in (1, 0, -1))
    slope = (ahead.loss - behind.loss) / (2 * step)
    torch.testing.assert_close(slope, (here.gradient * direction).sum(dim=1), rtol=1e-6, atol=1e-9)
    curvature = (ahead.gradient - behind.gradient) / (2 * step)
    torch.testing.assert_close(curvature, (here.hessian @ direction.mT)[..., 0], rtol=1e-5, atol=1e-7)


def test_a_stream_goes_on_with_the_same_bits(law: Distribution) -> None:
    def stream() -> Tensor:
        return SparseFeatures(distribution=law, batch_size=8, block_size=3).train_dataloader()  # type: ignore[return-value]

    first, second = stream(), stream()
    blocks = [next(iter(first)) for _ in range(2)]
    next(iter(second))
    third = stream()
    third.load_state_dict(second.state_dict())  # type: ignore[attr-defined]
    assert torch.equal(next(iter(third)), blocks[1])


@pytest.mark.parametrize(
    "law",
    [
        CorrelatedGroups(WIDE, 0.01, 5),
        AnticorrelatedPairs(WIDE, 0.01, "signed"),
        Hierarchical(WIDE, 0.02, 2, 0.5),
        ExactlyK(WIDE, 7),
        PowerLaw(WIDE, 0.5, 1.0),
        Product([Sparse(1000, 0.01), ExactlyK(2000, 2)]),
    ],
    ids=lambda law: type(law).__name__,
)
def test_wide_examples_are_coordinates_with_so_many_entries(law: Distribution) -> None:
    assert law.supports is None
    n_rows = 3000
    x = law.draw_sparse(n_rows, seeded(0))
    assert x.shape == (n_rows, WIDE)
    place = x.indices()[0] * WIDE + x.indices()[1]
    assert (place.diff() > 0).all()  # in order, each once
    per_row = torch.bincount(x.indices()[0], minlength=n_rows).double()
    assert abs(per_row.mean() - law.n_active) <= 6 * per_row.std() / n_rows**0.5 + 1e-9
    again = law.draw_sparse(n_rows, seeded(0))
    assert torch.equal(x.indices(), again.indices())


def test_laws_with_different_values_side_by_side_are_drawn_and_not_enumerated() -> None:
    law = Product([Sparse(2, 0.5), Signed(2, 0.5)])
    assert law.supports is None
    assert float(law.draw((1000,), seeded(0))[:, :2].min()) >= 0


def test_a_law_says_what_it_is_made_from() -> None:
    assert str(CorrelatedGroups(6, 0.2, 3)) == "CorrelatedGroups, n_features 6, p 0.2, group_size 3, values unit"
    assert str(Signed(6, 0.2)) == "Signed, n_features 6, feature_probability 0.2"
    assert len({str(law) for law in LAWS.values()}) == len(LAWS)
    assert (UNIT.mean, UNIT.thrice_mean_square, SIGNED.mean, SIGNED.thrice_mean_square) == (0.5, 1, 0, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CorrelatedGroups(5, 0.1, 2), "n_features is 5; it must be a positive multiple of 2."),
        (lambda: CorrelatedGroups(6, 0.0, 2), "p is 0.0; it must be in (0, 1]."),
        (lambda: CorrelatedGroups(6, 0.1, 0), "group_size is 0; it must be at least 1."),
        (lambda: AnticorrelatedPairs(6, 0.6), "p is 0.6; it must be in (0, 1 / 2], since one feature of 2 is active"),
        (lambda: Hierarchical(6, 0.1, 0), "n_children is 0; it must be from 1 to 9."),
        (lambda: Hierarchical(6, 0.1, 1, 0.0), "child_probability is 0.0; it must be in (0, 1]."),
        (lambda: ExactlyK(3, 4), "k is 4; it must be from 1 to 3, the features."),
        (lambda: Independent([]), "probabilities is []; it must be numbers in (0, 1], one for each feature."),
        (lambda: PowerLaw(3, 0.1, -1.0), "exponent is -1.0; it must be from 0 to 10."),
        (lambda: values_named("large"), "values is large; it must be unit, signed or binary."),
        (lambda: Product([]), "laws is []; it must be at least one law."),
    ],
)
def test_what_is_no_law_is_refused_in_a_sentence(make: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()  # type: ignore[operator]
    assert message in str(error.value)


def test_a_step_has_the_same_examples_however_steps_are_put_into_blocks(law: Distribution) -> None:
    def steps(block_size: int) -> Tensor:
        stream = SparseFeatures(distribution=law, batch_size=8, block_size=block_size).train_dataloader()
        return torch.cat([block for block, _ in zip(stream, range(12 // block_size), strict=False)])  # type: ignore[arg-type]

    assert torch.equal(steps(1), steps(4))
