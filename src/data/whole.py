"""The whole distribution at every step: training without sampling noise."""

from src.data.features import Features
from src.data.streams import WholeAtEveryStep
from src.distributions.distribution import Distribution
from src.distributions.examples import Chunk
from src.distributions.sparse import MAX_SPARSE_FEATURES, SPARSE, Sparse
from src.distributions.supports import MAX_FEATURES, Enumerated
from src.errors import require
from src.population.quadrature import n_quadrature_nodes, quadrature_nodes

MAX_TRAINING_NODES = 2**20


class SparsePopulation(Features):
    """Every step trains on all of the distribution, as quadrature nodes with weights.

    Args:
        n_features: entries of an example, up to 10, or 12 where p is at most 0.1, and
        feature_probability: p, the probability that a feature is active, in (0, 1]: the sparse law, in short.
        tolerance: relative accuracy of the loss, about; the smaller, the more nodes.
        block_size: optimizer steps that one Lightning batch carries.
        distribution: another law, which is not made from `n_features` and `feature_probability`.

    Raises:
        ConfigError: if the law cannot be enumerated, or asks for too many nodes.
    """

    def __init__(
        self,
        n_features: int = 6,
        feature_probability: float = 0.057,
        tolerance: float = 3e-4,
        block_size: int = 50,
        distribution: Distribution | None = None,
    ) -> None:
        law = Sparse(n_features, feature_probability) if distribution is None else distribution
        sizes, is_short = law.supports, distribution is None
        field, value = ("data.n_features", n_features) if is_short else ("data.distribution", type(law).__name__)
        most = f"at most {MAX_FEATURES}, or {MAX_SPARSE_FEATURES} where p is at most {SPARSE}, to be enumerated"
        allowed = most if is_short else "one that can be enumerated"
        require(sizes is not None, field, value, allowed)
        assert sizes is not None
        require(0 < tolerance < 1, "data.tolerance", tolerance, "between 0 and 1")
        n_nodes = n_quadrature_nodes(sizes, tolerance)
        allowed = f"larger: it asks for {n_nodes:,} nodes a step, and at most {MAX_TRAINING_NODES:,} are reasonable"
        require(n_nodes <= MAX_TRAINING_NODES, "data.tolerance", tolerance, allowed)
        super().__init__(law, n_nodes, block_size)
        self.sizes = sizes
        self.tolerance = tolerance

    @property
    def population(self) -> Enumerated:
        return self.sizes

    def train_dataloader(self) -> WholeAtEveryStep:
        x, weights = quadrature_nodes(self.sizes, self.tolerance)
        return WholeAtEveryStep(Chunk(x.float(), weights.float()), self.block_size, self.max_steps)
