"""The recorded course of training as tensors: `trajectory.safetensors` in the run folder."""

import math
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.recorder import Recorder
from src.model import ToyModel
from src.runs.folder import run_folder, write_trajectory

WRITE_EVERY = 20  # records between writes of the file


class Trajectory(Recorder):
    """Records, for the followed instances, and with r records:

        steps           int64 [r]
        instances       int64 [instance]
        W               float32 [r, instance, hidden, feature]
        b               float32 [r, instance, feature]
        gradient_norms  float32 [r, instance, feature], the mean over the steps since the record before, as in
                        `callbacks.gradient_norms`
        feature_losses  float32 [r, instance, feature], on the same sample at every step

    The records are part of every checkpoint, so a resumed run's file covers the whole run.
    """

    n_records_wide = 10  # which are part of every checkpoint

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        super().__init__(n_records, instances)
        self._records: list[dict[str, Tensor]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        assert isinstance(pl_module, ToyModel)
        self._means = pl_module.mean_gradient_norm(self.followed)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        W = model.W.detach()[self.followed]
        norms = self._means.take()
        self._records.append(
            {
                "steps": torch.tensor(step),
                "W": W.clone(),
                "b": model.b.detach()[self.followed].clone(),
                "gradient_norms": torch.full_like(W[:, 0], math.nan) if norms is None else norms.to(W.dtype),
                "feature_losses": model.recorded_feature_losses(self.followed).to(W.dtype),
            }
        )
        if after_last or len(self._records) % WRITE_EVERY == 0:
            self._write(trainer)

    def tensors(self) -> dict[str, Tensor]:
        """All records stacked, on the CPU."""
        if not self._records:
            return {}
        stacked = {name: torch.stack([record[name].cpu() for record in self._records]) for name in self._records[0]}
        return {**stacked, "instances": torch.tensor(self.followed)}

    def _write(self, trainer: Trainer) -> None:
        if self._records:
            write_trajectory(run_folder(trainer), self.tensors())

    def keep(self, trainer: Trainer, model: ToyModel) -> None:
        self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        return self.tensors()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        names = [name for name in state if name != "instances"]
        n_records = len(state["steps"]) if state else 0
        self._records = [{name: state[name][r] for name in names} for r in range(n_records)]
