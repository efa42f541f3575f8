"""The cells of a sweep: what each is to run, where, and how far it has come."""

import copy
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from src import cli
from src.errors import ConfigError, require
from src.gate.nulls import class_at
from src.gate.rehearsal import refuse_unusable
from src.runs.checkpoints import last_readable
from src.runs.folder import CENSUS, CHECKPOINT, FINISHED, flat_settings, read_settings, write_whole
from src.runs.moved import SINCE, as_today, that_train
from src.runs.tables import rows_of

LONGEST_NAME = 100  # characters of a folder
# What says only where a run begins and where it goes, and how one that diverged goes on.
PLACE = {
    "ckpt_path",
    "model.init_args.on_divergence",
    *(f"trainer.logger.init_args.{name}" for name in ("save_dir", "name", "version")),
}


@dataclass(frozen=True)
class Cell:
    """One fit of a sweep.

    Attributes:
        name: of the combination of grid values; the cells of one name are the shards of one census.
        values: the grid's keys and values.
        labels: the same, in short.
        arguments: what `src.cli fit` is called with.
        folder: the run folder.
        config: the whole configuration that the arguments come to.
    """

    name: str
    values: dict[str, str]
    labels: dict[str, str]
    arguments: list[str]
    folder: Path
    config: dict[str, Any]

    @property
    def output(self) -> Path:
        """What the run printed."""
        return self.folder.with_name(f"{self.folder.name}.txt")

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end, and its census is as long as it was then."""
        finished, census = self.folder / FINISHED, self.folder / CENSUS
        if not (finished.is_file() and census.is_file()):
            return False
        return finished.read_text() in ("", str(census.stat().st_size))  # earlier sweeps left it empty

    def finish(self) -> None:
        write_whole(self.folder / FINISHED, str((self.folder / CENSUS).stat().st_size).encode())

    @property
    def has_census(self) -> bool:
        path = self.folder / CENSUS
        return path.is_file() and any(rows_of(path))

    @property
    def resumption(self) -> list[str]:
        """The argument that continues an interrupted run, if it left a checkpoint that can be read."""
        checkpoint = last_readable(self.folder / CHECKPOINT)
        return [] if checkpoint is None else [f"--ckpt_path={checkpoint}"]

    @property
    def initialisation(self) -> str:
        """What else than the seed an instance's start depends on."""
        model = self.config["model"]
        shape = {name: model["init_args"].get(name) for name in ("n_hidden", "init_std", "start")}
        return repr((model["class_path"], shape, self.config["data"]["init_args"].get("n_features")))

    def refuse_another_run(self) -> None:
        """Raise a `ConfigError` if the folder holds a run with other settings."""
        old, new = as_today(read_settings(self.folder)), flat_settings(self.config)
        for settings in (old, new):
            settings["trainer.callbacks"] = that_train(settings.get("trainer.callbacks"))
        for key in sorted(old.keys() | new.keys()) if len(old) > 1 else []:
            if key not in PLACE and old.get(key, SINCE.get(key)) != new.get(key, SINCE.get(key)):
                found_it = f"a folder where {self.folder.relative_to(self.folder.parents[1])} has {key} {old.get(key)}"
                raise ConfigError(f"--out is {found_it}; it must be another, or {key} {old.get(key)}.")


class _DryRun(cli.ToyCLI):
    """Parses and builds what a command line asks for, and leaves it at that."""

    def _run_subcommand(self, subcommand: str) -> None:
        refuse_unusable(self.trainer, self.model, self.datamodule)


class _Reading(cli.ToyCLI):
    """Parses a command line, and leaves it at that."""

    def instantiate_classes(self) -> None:
        self.trainer = None  # type: ignore[assignment]

    def _run_subcommand(self, subcommand: str) -> None:
        pass


def settings_of(arguments: list[str], reading: type[cli.ToyCLI] = _DryRun) -> dict[str, Any]:
    """The whole configuration that a `fit` with these arguments would have.

    Raises:
        ConfigError: if it would be refused; with `_Reading`, only if it cannot be parsed.
    """
    built = cli.command_line(["fit", *arguments], reading)
    settings: dict[str, Any] = yaml.safe_load(built._parser("fit").dump(built.config["fit"], skip_none=False))
    return settings


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read `key=[value,...]` texts, in order; configs first, so that other keys override them.

    Raises:
        ConfigError: if a text is of another form, a list empty, or a key or value there twice.
    """
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, _, listed = text.partition("=")
        try:
            values = yaml.load(listed, Loader=yaml.BaseLoader)
        except yaml.YAMLError:
            values = None
        is_list = bool(key) and isinstance(values, list) and len(values) > 0
        require(is_list, "--grid", text, "key=[value,...] with at least one value")
        require(key not in grid, "--grid", text, f"the only one for {key}")
        grid[key] = [value if isinstance(value, str) else json.dumps(value).replace('"', "") for value in values]
        require(len(set(grid[key])) == len(values), "--grid", text, "a list of different values")
    return dict(sorted(grid.items(), key=lambda item: item[0] != "config"))


def cells_of(
    arguments: list[str], grid: dict[str, list[str]], n_shards: int, out: Path | None
) -> tuple[Path, list[Cell]]:
    """Every cell of a sweep, each built once to see that it will run, and the sweep's folder.

    Args:
        arguments: for `src.cli fit`, common to all cells.
        grid: values by key.
        n_shards: runs into which the seeds of each combination are divided.
        out: the sweep's folder; by default `<save_dir>/<experiment>_by_<settings>`, of the first cell's logger.

    Raises:
        ConfigError: if a cell would be refused, the seeds cannot be divided, or a folder holds another run.
    """
    cells: list[Cell] = []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        overrides = [f"--{key}={value}" for key, value in values.items()]
        config = settings_of([*arguments, *overrides], _DryRun if n_shards == 1 else _Reading)
        logger, model = config["trainer"]["logger"], config["model"]["init_args"]
        has_folder = isinstance(logger, dict) and {"save_dir", "name", "version"} <= logger["init_args"].keys()
        require(has_folder, "trainer.logger", logger, "a logger with a folder, for a sweep")
        if out is None:
            by = "_".join(_short(key, grid) for key in grid) or "shards"
            out = Path(logger["init_args"]["save_dir"]) / f"{logger['init_args']['name']}_by_{by}"
        labels = {_short(key, grid): _label(key, value) for key, value in values.items()}
        name = shortened(", ".join(f"{key}={value}" for key, value in labels.items()) or "seeds")
        for shard, of_seeds in _shards(model, n_shards).items():
            place = {"save_dir": str(out), "name": name, "version": shard}
            changes = [f"--model.{key}={json.dumps(value)}" for key, value in of_seeds.items()]
            changes += [f"--trainer.logger.init_args.{key}={value}" for key, value in place.items()]
            of_cell = copy.deepcopy(config)
            of_cell["model"]["init_args"].update(of_seeds)
            cell = Cell(name, values, labels, [*arguments, *overrides, *changes], out / name / shard, of_cell)
            cell.refuse_another_run()
            cells.append(cell)
        if n_shards > 1:
            settings_of(cells[-1].arguments)
    assert out is not None
    twice = [str(folder) for folder, count in Counter(cell.folder for cell in cells).items() if count > 1]
    require(not twice, "--grid", f"one whose cells share {', '.join(twice)}", "one whose values differ in name")
    return out, cells


def _short(key: str, grid: dict[str, list[str]]) -> str:
    """The last part of a key, or all of it where two keys of the grid end alike."""
    last = key.rsplit(".", maxsplit=1)[-1]
    return last if sum(other.split(".")[-1] == last for other in grid) == 1 else key


def _label(key: str, value: str) -> str:
    return Path(value).stem if key == "config" else re.sub(r"[/\\]", "_", value)


def shortened(name: str) -> str:
    """The name, or one of at most 100 characters that begins like it and is its alone."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]} {hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _shards(model: dict[str, Any], n_shards: int) -> dict[str, dict[str, Any]]:
    """The model's settings that give each shard its seeds, by the shard's name."""
    if n_shards == 1:
        return {"all": {}}
    start = model.get("start")
    chooses_seeds = start is not None and class_at(start["class_path"]).chooses_seeds
    require(not chooses_seeds, "--shards", n_shards, "1, as model.start chooses the seeds, which are then not divided")
    seeds, first = model["seeds"], model["first_seed"]
    count = len(seeds) if seeds else model["n_instances"]
    require(n_shards <= count, "--shards", n_shards, f"from 1 to {count}, the number of seeds")
    shards: dict[str, dict[str, Any]] = {}
    for start, stop in itertools.pairwise(count * k // n_shards for k in range(n_shards + 1)):
        if seeds:
            shards[f"seeds_{start}_to_{stop - 1}"] = {"seeds": seeds[start:stop], "n_instances": 1}
        else:
            settings = {"first_seed": first + start, "n_instances": stop - start}
            shards[f"seed_{first + start}_to_{first + stop - 1}"] = settings
    return shards
