"""When the recording callbacks record, and whom they follow."""

from contextlib import suppress
from functools import cached_property

from lightning import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from src.errors import require
from src.model import ToyModel
from src.runs.charts import N_LINES, charts_of

N_FOLLOWED = 4
FINEST = 200  # the early spacing is this part of a run
EARLY = 0.15  # the part of a run in which everything happens
SPARSER = 10  # how many times as far apart the later records are


class Recorder(Callback):
    """Calls `record` at chosen steps, before the step's update, and once after the last step.

    By default records are dense where things happen: of 10,000 steps, every 50 up to step 1,500, then every 500, and in
    proportion in a run of another length. (TensorBoard fits a chart to the middle nine tenths of its points: evenly
    spaced ones would push the beginning out of it.)

    Weights, gradient and step number belong together: step 0 is the initialisation. A subclass writes `record`. Hooks
    run at the first step of a Lightning batch, which carries `data.block_size` steps: that is the finest spacing, and a
    record that falls within a block is taken at the next one's start.

    Args:
        n_records: so many records, evenly spaced; null for the default.
        instances: which instances to follow; by default the first four.
    """

    n_records_wide: int | None = None  # what null means for a model with more than 16 features

    def __init__(self, n_records: int | None = None, instances: list[int] | None = None) -> None:
        allowed = "at least 1, or null for the default"
        says = type(self).record is not Recorder.record
        require(says, "trainer.callbacks", type(self).__name__, "a class that says what it records")
        require(n_records is None or n_records >= 1, f"{type(self).__name__}.n_records", n_records, allowed)
        self.n_records = n_records
        self.instances = instances
        self.followed: list[int] = []
        self._next_step = 0

    def record(self, trainer: Trainer, model: ToyModel, step: int, after_last: bool) -> None:
        """Record the present state. `after_last`: training has ended, and there is no gradient at these weights."""
        raise NotImplementedError

    def step_after(self, step: int) -> int:
        """When to record next, having recorded at `step`."""
        every = self._every if self._n_records or step < self._early else SPARSER * self._every
        return (step // every + 1) * every

    def labels(self, model: ToyModel) -> list[str]:
        """What the followed instances are called in charts: by their names, each another."""
        names = [model.instance_names[i] for i in self.followed]
        numbered = zip(self.followed, names, strict=True)
        return [name if names.count(name) == 1 else f"{name} (instance {i})" for i, name in numbered]

    def has_unfollowed(self, model: ToyModel) -> bool:
        """Whether the stack is larger than what is followed, so that a summary of all says more."""
        return model.n_instances > len(self.followed)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, ToyModel)
        n_instances = pl_module.n_instances
        self._n_records = self.n_records or (self.n_records_wide if pl_module.n_features > N_LINES else None)
        self._every = max(1, round(trainer.max_steps / (self._n_records or FINEST)))
        self._early = EARLY * trainer.max_steps
        self.followed = list(range(min(N_FOLLOWED, n_instances))) if self.instances is None else self.instances
        require(
            len(self.followed) > 0 and all(0 <= i < n_instances for i in self.followed),
            f"{type(self).__name__}.instances",
            self.followed,
            f"numbers from 0 to {n_instances - 1}, the model's instances",
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A resumed run goes on with the same steps: what has been due since its last block began is due now.
        block_size = getattr(trainer.datamodule, "block_size", 1)  # type: ignore[attr-defined]
        last = trainer.global_step - 1
        self._next_step = self.step_after(last // block_size * block_size if last >= 0 else last)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        step = trainer.global_step
        if step >= self._next_step:
            self._next_step = self.step_after(step)
            self.record(trainer, pl_module, step, after_last=False)  # type: ignore[arg-type]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.record(trainer, pl_module, trainer.global_step, after_last=True)  # type: ignore[arg-type]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        charts_of(trainer).close()

    def keep(self, trainer: Trainer, model: ToyModel) -> None:
        """Write what has been recorded, where that is not done at every record: the run ends before its time."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        with suppress(OSError):  # of a full disk, say, which may be why the run ends
            self.keep(trainer, pl_module)  # type: ignore[arg-type]
        with suppress(OSError):
            charts_of(trainer).close()

    @cached_property  # Lightning asks for it at every hook
    def state_key(self) -> str:
        return self._generate_state_key(n_records=self.n_records, instances=self.instances)
