"""Every pentagon of a census with a column drawn anew: of the feature that it leaves out, or of one that it learns."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from src.distributions.seeds import COLUMNS, N_SEEDS, generator_for
from src.errors import require
from src.starts.patching import read_outcomes, recipients_of
from src.starts.start import Model, Start

WHICH = ("unlearned", "learned", "nearest", "farthest")


class FreshColumn(Start):
    """Every pentagon of a census that leaves out one feature, one column of its initial W drawn anew.

    A recipient's new column is the same whichever it replaces. The census has the feature that
    was left out before as `left_out`.

    Args:
        census: the run folder of the census, or its `census.csv`.
        which: the column of the `unlearned` feature; of a `learned` one drawn at random; or of the learned one that
            starts `nearest` to the unlearned one, or `farthest` from it, in angle.
        draw_seed: of what is drawn.
        max_recipients: at most so many pentagons, the first of the census; null is all.

    Raises:
        ConfigError: if there is no census, it has no such pentagon, or the hidden space is no plane.
    """

    chooses_seeds: ClassVar[bool] = True

    def __init__(
        self, census: str, which: str = "unlearned", draw_seed: int = 0, max_recipients: int | None = None
    ) -> None:
        require(which in WHICH, "model.start.which", which, f"one of {', '.join(WHICH)}")
        require(0 <= draw_seed < N_SEEDS, "model.start.draw_seed", draw_seed, f"from 0 to {N_SEEDS - 1}")
        limited = max_recipients is None or max_recipients >= 1
        require(limited, "model.start.max_recipients", max_recipients, "at least 1, or null for all")
        own = recipients_of(read_outcomes(census), max_recipients)
        require(len(own) > 0, "model.start.census", census, "one with a pentagon that leaves out one feature")
        self.census, self.which, self.draw_seed = census, which, draw_seed
        self.seeds, self.unlearned = [o.seed for o in own], [o.unlearned[0] for o in own]

    def initial_W(self, model: Model) -> Float[Tensor, "instance hidden feature"]:  # noqa: N802
        require(model.n_hidden == 2, "model.n_hidden", model.n_hidden, "2, a plane, for FreshColumn")
        n = model.n_features
        known = all(0 <= column < n for column in self.unlearned)
        require(known, "model.start.census", self.census, f"of models with {n} features, as configured")
        W, generator = super().initial_W(model), generator_for(self.draw_seed, COLUMNS)
        for own, unlearned in zip(W, self.unlearned, strict=True):
            fresh = torch.randn(2, generator=generator) * model.init_std
            at_random = int(torch.randint(n - 1, (), generator=generator))
            own[:, self._replaced(own, unlearned, at_random)] = fresh
        return W

    def _replaced(self, own: Float[Tensor, "2 feature"], unlearned: int, at_random: int) -> int:
        """Which column of one instance is drawn anew."""
        others = [i for i in range(own.shape[1]) if i != unlearned]
        if self.which == "unlearned":
            return unlearned
        if self.which == "learned":
            return others[at_random]
        cosines = torch.nn.functional.cosine_similarity(own, own[:, [unlearned]], dim=0)[others]
        return others[int(cosines.argmax() if self.which == "nearest" else cosines.argmin())]

    def census_columns(self) -> dict[str, list[Any]]:
        return {"left_out": self.unlearned}
