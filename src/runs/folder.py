"""The run folder: what is in it, written and read in one place.

config.yaml               the whole configuration (Lightning writes it)
events.out.tfevents.*     TensorBoard; feature i's curves are in the sub-run `feature_<i>`
checkpoints/last.ckpt     the latest state to resume from, and previous.ckpt, the one before
trajectory.safetensors    what was recorded along the way
census.csv                one row an instance: what it ended in
polygons.png, .svg        the last polygon snapshot; every picture is there twice, as PNG and as SVG
gram.png, .svg            W^T W of the followed instances, with lengths and superposition of the features
curves.png, .svg          norms, gradient norms, losses and learned features of the followed instances, by step
formation.svg             an animation: their polygons form
examples.png, .svg        the same of a finite training set's hidden vectors
stored.safetensors        W and the examples' hidden vectors, with how much of the space each has to itself
shares.csv, .png, .svg    how many instances had which geometry at which step
exemplars.png, .svg       one polygon of each geometry
gallery.png, .svg         many small polygons, or solids
patching.csv, .png, .svg  what patched columns did, arm by arm
patching_differences.csv  a hexagon's donor against its controls
basin.png, .svg           the outcome over a plane of initial columns
decided.csv, .png, .svg   how well numbers of the ring of columns foretell the outcome, by step
landscape.csv             after `test`: one row an instance: the certificate of what it ended in

What `src.predictions` finds out without training, in folders of its own:

loss_change.csv, .svg     what representing F features saves, by the post's formulas
critical_points.csv       polygons with one active feature at a time
phases.csv, .svg          the loss and stability of every stationary point over p
crossings.csv             where the best of them changes
best_regular.csv          regular polygons and solids at a few p: best norms and biases, loss and stability
growth.csv, .svg          how far the waves of a growing star grow with it
predictors.safetensors    what foretells a seed's geometry from its initial W
calibration.csv, .svg     how well its probabilities agree with what came true

The folder of a sweep holds a run folder for each cell and shard, and

rates.csv, .png, .svg     shares of geometries with intervals, one row a cell and geometry
polygons.png, .svg        what all instances ended in, of up to 16
<cell>/<shard>/finished   the run came to its end; what it holds is how long its census then was
<cell>/census.parquet     with --parquet: the rows of all its shards in one table
slurm/<k>/                with --engine slurm: the scripts for sbatch, and what its tasks print
metrics.csv               what callbacks measured of every instance: means with intervals, one row a cell and metric
metric_<name>.png, .svg   how it is distributed, cell by cell
agreement.csv             how often a seed has the same geometry in two cells
regimes.csv, .png, .svg   over the sizes of a finite training set: what each instance stores, and its losses
"""

import contextlib
import errno
import os
import sys
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml
from lightning import Trainer
from torch import Tensor

from src.errors import ConfigError

CENSUS, CENSUS_PARQUET = "census.csv", "census.parquet"
CHECKPOINT, PREVIOUS = "checkpoints/last.ckpt", "previous.ckpt"
POLYGONS, EXAMPLES = "polygons.png", "examples.png"
GRAM = "gram.png"
CURVES, FORMATION = "curves.png", "formation.svg"
STORED = "stored.safetensors"
REGIMES, REGIMES_PICTURE = "regimes.csv", "regimes.png"
SHARES, SHARES_PICTURE = "shares.csv", "shares.png"
EXEMPLARS, GALLERY = "exemplars.png", "gallery.png"
PATCHING, PATCHING_DIFFERENCES, PATCHING_PICTURE = "patching.csv", "patching_differences.csv", "patching.png"
BASIN = "basin.png"
SPARSITIES, SPARSITIES_RATES = "sparsities.png", "sparsities_rates.png"
CONFIG = "config.yaml"
FINISHED = "finished"
AGREEMENT, METRICS = "agreement.csv", "metrics.csv"
RATES, RATES_PICTURE = "rates.csv", "rates.png"
LOSS_CHANGE, LOSS_CHANGE_PICTURE, CRITICAL_POINTS = "loss_change.csv", "loss_change.png", "critical_points.csv"
PHASES, PHASES_PICTURE, CROSSINGS = "phases.csv", "phases.png", "crossings.csv"
BEST_REGULAR = "best_regular.csv"
DECIDED, DECIDED_PICTURE = "decided.csv", "decided.png"
GROWTH, GROWTH_PICTURE = "growth.csv", "growth.png"
PREDICTORS, CALIBRATION, CALIBRATION_PICTURE = "predictors.safetensors", "calibration.csv", "calibration.png"
LANDSCAPE = "landscape.csv"
TRAJECTORY = "trajectory.safetensors"


class FolderGoneError(OSError):
    """The run folder was removed, or replaced by another, while the run wrote to it."""


# Of each trainer its run folder, as a file that stays open and so is known, and what closes it.
_OPEN: "weakref.WeakKeyDictionary[Trainer, tuple[int, weakref.finalize[Any, Any]]]" = weakref.WeakKeyDictionary()


def run_folder(trainer: Trainer) -> Path:
    """Where this run's files go; made when it is first asked for.

    Raises:
        FolderGoneError: if it is no longer the folder that it was.
    """
    folder = Path(trainer.log_dir or trainer.default_root_dir)
    if sys.platform == "win32":  # where a folder cannot be opened
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if trainer not in _OPEN:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder, os.O_RDONLY)
        _OPEN[trainer] = file, weakref.finalize(trainer, os.close, file)
    if not (folder.is_dir() and os.path.samestat(folder.stat(), os.fstat(_OPEN[trainer][0]))):
        raise FolderGoneError(errno.ENOENT, "the run folder was removed while the run wrote to it", str(folder))
    return folder


def forget_folder(trainer: Trainer) -> None:
    """A new run of this trainer begins, which may have another folder."""
    if trainer in _OPEN:
        _, close = _OPEN.pop(trainer)
        close()


def make_folder(out: Path) -> None:
    """Make the folder that `--out` names.

    Raises:
        ConfigError: if it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out is {out}; it must be a folder that can be made: {error.strerror}.") from None
    except ValueError:  # no path at all; how Python puts it depends on its version
        raise ConfigError(f"--out is {str(out)!r}; it must be a folder that can be made: it has a null byte.") from None


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[None]:
    """`make_folder`; if what is done there is refused, the folder goes again."""
    missing = [path for path in (out, *out.parents) if "\0" not in str(path) and not path.exists()]
    make_folder(out)
    try:
        yield
    except ConfigError:
        for path in missing:
            with contextlib.suppress(OSError):  # something is in it
                path.rmdir()
        raise


def run_of_checkpoint(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint is in; None if it lies elsewhere."""
    checkpoint = checkpoint.resolve()
    folder = checkpoint.parent.parent
    return folder if checkpoint.parent.name == Path(CHECKPOINT).parent.name and (folder / CONFIG).is_file() else None


def flat_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A configuration as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(flat_settings(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def read_settings(folder: Path) -> dict[str, Any]:
    """`flat_settings` of a run's configuration; empty where there is no run, or one cut off while it wrote them."""
    path = folder / CONFIG
    try:
        found = yaml.safe_load(path.read_text()) if path.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None
    return flat_settings(found) if isinstance(found, dict) else {}


def write_whole(path: Path, content: bytes | memoryview, durable: bool = False) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new, never a part.

    `durable`: also one of the machine, which may lose what is not yet on the disk. It takes some milliseconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with named(path):
            with part.open("wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # a full disk needs the room
        raise


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the system that do not say which file they are about say that it is this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_trajectory(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    _write_tensors(folder / TRAJECTORY, tensors)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    write_whole(path, safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def write_stored(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    _write_tensors(folder / STORED, tensors)


def read_stored(folder: Path) -> dict[str, Tensor]:
    """What a model of a finite training set stores: see `callbacks.dimensionality` for the tensors."""
    return safetensors.torch.load_file(folder / STORED)


def read_trajectory(folder: Path) -> dict[str, Tensor]:
    """The recorded tensors by name: see `callbacks.trajectory` for their shapes."""
    return safetensors.torch.load_file(folder / TRAJECTORY)
