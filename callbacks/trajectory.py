"""The recorded course of training as tensors: `trajectory.safetensors` in the run folder."""

import math
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from callbacks.recorder import Recorder
from src.errors import require
from src.model import ToyModel
from src.runs.folder import run_folder, write_trajectory

WRITE_EVERY = 20  # records between writes of the file, or
GROWTH = 1.05  # of a long one, by how much it grows: so that a run's writes are a few times its size


class Trajectory(Recorder):
    """Records, for the followed instances, and with r records:

        steps           int64 [r]
        instances       int64 [instance]
        W               float32 [r, instance, hidden, feature]
        b               float32 [r, instance, feature]
        gradient_norms  float32 [r, instance, feature], the mean over the steps since the record before, as in
                        `callbacks.gradient_norms`
        feature_losses  float32 [r, instance, feature], on the same sample at every step
        columns         float32 [r, instance, hidden, feature], where they are not those of W
        <name>          float32 [r, instance, ...], of each further parameter of a variant, by its name in the model

    The records are part of every checkpoint, so a resumed run's file covers the whole run.
    """

    n_records_wide = 10  # which are part of every checkpoint

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        super().__init__(n_records, instances)
        self._kept: dict[str, Tensor] = {}  # [record, ...], with room for more
        self._n_kept = self._n_written = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        assert isinstance(pl_module, ToyModel)
        self._means = pl_module.mean_gradient_norm(self.followed)

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        W = model.W.detach()[self.followed]
        norms = self._means.take()
        self._keep(
            {
                "steps": torch.tensor(step),
                "W": W,
                "b": model.b.detach()[self.followed],
                "gradient_norms": torch.full_like(W[:, 0], math.nan) if norms is None else norms.to(W.dtype),
                "feature_losses": model.recorded_feature_losses(self.followed).to(W.dtype),
                **({} if model.columns is model.W else {"columns": model.columns.detach()[self.followed]}),
                **{name: own.detach()[self.followed] for name, own in model.further_parameters.items()},
            }
        )
        if after_last or self._n_kept >= max(self._n_written + WRITE_EVERY, GROWTH * self._n_written):
            self._write(trainer)

    def _keep(self, record: dict[str, Tensor]) -> None:
        for name, value in record.items():
            kept = self._kept.get(name, value.new_empty(0, *value.shape, device="cpu"))
            if self._n_kept == len(kept):
                kept = torch.cat([kept, kept.new_empty(max(64, len(kept)), *value.shape)])
            kept[self._n_kept] = value
            self._kept[name] = kept
        self._n_kept += 1

    def tensors(self) -> dict[str, Tensor]:
        """All records, on the CPU."""
        if not self._n_kept:
            return {}
        records = {name: kept[: self._n_kept].clone() for name, kept in self._kept.items()}
        return {**records, "instances": torch.tensor(self.followed)}

    def _write(self, trainer: Trainer) -> None:
        if self._n_kept:
            write_trajectory(run_folder(trainer), self.tensors())
            self._n_written = self._n_kept

    def keep(self, trainer: Trainer, model: ToyModel) -> None:
        self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        return self.tensors()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        is_whole = not state or ("steps" in state and all(isinstance(own, Tensor) for own in state.values()))
        require(is_whole, "what the checkpoint has recorded", ", ".join(map(str, state)), "tensors, with steps")
        self._kept = {name: records for name, records in state.items() if name != "instances"}
        self._n_kept = self._n_written = len(state["steps"]) if state else 0
