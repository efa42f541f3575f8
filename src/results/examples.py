"""What a finite training set's examples became: the losses on them, and what their hidden vectors form."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from src.geometry.polygons import find_polygons
from src.model import ToyModel
from src.results.census import loss_text
from src.results.rates import counted, counted_geometry, rates

MAX_EXAMPLES = 100  # that may form something


@torch.no_grad()
def of_examples(model: ToyModel, examples: Tensor) -> list[dict[str, Any]]:
    """For each instance `training_loss`, mean over features, and `example_geometry`, empty for more than 100 examples.

    Args:
        examples: [example, feature], dense or sparse.
    """
    x = examples.to(model.W)
    losses = model.objective.losses(x).mean(dim=1).tolist()
    is_few = len(x) <= MAX_EXAMPLES
    names = find_polygons(model.objective.hidden_vectors(x).cpu()).names if is_few else [""] * len(losses)
    return [{"training_loss": loss, "example_geometry": name} for loss, name in zip(losses, names, strict=True)]


def examples_text(rows: Sequence[Mapping[str, Any]], n_examples: int) -> str:
    """What the examples form, and which loss is which: `The 5 training examples form: 4 pentagons, 1 irregular. ...`"""
    shares = rates([row["example_geometry"] for row in rows])
    what = ", ".join(
        counted_geometry(share.count, name) if len(rows) > 1 else name for name, share in shares.items() if name
    )
    form = f"The {counted(n_examples, 'training example')} form{'s' * (n_examples == 1)}: {what}. " if what else ""
    on_them, fresh = (loss_text(median(row[name] for row in rows)) for name in ("training_loss", "loss"))
    middle = "median " if len(rows) > 1 else ""
    return f"{form}The {middle}loss on the training set is {on_them}; on fresh examples, as above, {fresh}."
