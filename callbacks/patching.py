"""Swap columns of the initialisation before training: the post's Figure 13."""

from pathlib import Path

import torch
from jaxtyping import Float
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from callbacks.pictures import of_W
from src.distributions.seeds import N_SEEDS
from src.errors import ConfigError, require
from src.model import ToyModel
from src.runs.checkpoints import read_checkpoint


class PatchColumns(Callback):
    """Before fit, columns of W of some instances take the columns of a donor.

    What else a model has, such as a decoder of its own, stays that of its seed. A resumed run restores its checkpoint
    over the patch, so nothing is patched twice.

    Args:
        columns: which columns to replace; all by default.
        instances: which instances to change; all by default.
        donor_seed: take the columns that this seed starts from, or
        donor_checkpoint: take those of instance `donor_instance` in this checkpoint, at whatever step it was saved.
        donor_instance: which instance of the checkpoint's stack.

    Raises:
        ConfigError: if a column or instance does not exist, or the donor is missing, unreadable or of another shape.
    """

    def __init__(
        self,
        columns: list[int] | None = None,
        instances: list[int] | None = None,
        donor_seed: int | None = None,
        donor_checkpoint: str | None = None,
        donor_instance: int = 0,
    ) -> None:
        if (donor_seed is None) == (donor_checkpoint is None):
            raise ConfigError("PatchColumns needs a donor: set either donor_seed or donor_checkpoint, not both.")
        exists = donor_seed is None or 0 <= donor_seed < N_SEEDS
        require(exists, "PatchColumns.donor_seed", donor_seed, f"from 0 to {N_SEEDS - 1}")
        self.columns = columns
        self.instances = instances
        self.donor_seed = donor_seed
        self.donor_checkpoint = donor_checkpoint
        self.donor_instance = donor_instance

    @property
    def state_key(self) -> str:
        return self._generate_state_key(**{k: v for k, v in vars(self).items() if not k.startswith("_")})

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        assert isinstance(pl_module, ToyModel)
        columns = self._existing("columns", self.columns, pl_module.n_features, "features")
        instances = self._existing("instances", self.instances, pl_module.n_instances, "instances")
        donor = self._donor(pl_module)
        with torch.no_grad():
            for i in instances:
                pl_module.W[i, :, columns] = donor[:, columns].to(pl_module.W)
        origin = f"seed {self.donor_seed}" if self.donor_checkpoint is None else Path(self.donor_checkpoint).stem
        which = "all columns" if self.columns is None else f"column {', '.join(map(str, columns))}"
        which += of_W(pl_module)
        for i in instances:
            pl_module.instance_names[i] += f", {which} from {origin}"

    def _existing(self, field: str, chosen: list[int] | None, count: int, what: str) -> list[int]:
        chosen = list(range(count)) if chosen is None else chosen
        missing = [i for i in chosen if not 0 <= i < count]
        require(
            not missing and len(chosen) > 0,
            f"PatchColumns.{field}",
            chosen,
            f"numbers from 0 to {count - 1}, the model's {what}",
        )
        return chosen

    def _donor(self, model: ToyModel) -> Float[Tensor, "hidden feature"]:
        if self.donor_seed is not None:
            return model.initial_weights(self.donor_seed)
        path = Path(str(self.donor_checkpoint))
        donor = read_checkpoint(path, "PatchColumns.donor_checkpoint", needed={"state_dict"})
        W: Tensor = donor["state_dict"].get("W", torch.empty(0))
        require(W.dim() == 3, "PatchColumns.donor_checkpoint", path, "a checkpoint of a ToyModel, with tensors only")
        shape, wanted = tuple(W.shape[1:]), tuple(model.W.shape[1:])
        require(
            shape == wanted,
            "PatchColumns.donor_checkpoint",
            f"{path}, whose W is {shape[0]} x {shape[1]}",
            f"of the model's shape, {wanted[0]} x {wanted[1]}",
        )
        require(
            0 <= self.donor_instance < len(W),
            "PatchColumns.donor_instance",
            self.donor_instance,
            f"from 0 to {len(W) - 1}, the instances in {path}",
        )
        return W[self.donor_instance]
