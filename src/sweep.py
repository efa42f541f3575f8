"""A grid of overrides and shards of seeds, each cell a `fit` of its own.

    python -m src.sweep --config configs/seeds.yaml --grid data.n_features=[4,5,6,7,8]

Every combination of the grid's values is a cell. A cell is a run folder, `<out>/<cell>/<shard>`, made by the command
line of `src.cli`. A cell that is finished is skipped, an interrupted one goes on from its checkpoint, and one that
fails is reported while the others run. After each cell `<out>/rates.csv` is the one table of shares with intervals.
"""

import argparse
import copy
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from src import cli
from src.errors import ConfigError, require
from src.figures import png, rate_grid_figure, rates_figure
from src.rates import rates
from src.runs import AGREEMENT, CENSUS, CHECKPOINT, CONFIG, RATES, RATES_PICTURE, read_rows, write_rows, write_whole
from src.tables import agreement_rows, geometry_rows, geometry_table

N_PAIRS = 10  # of cells whose agreement is printed; all are in the file
INTERRUPTED = 128 + signal.SIGINT
EPILOG = "Everything else goes to `python -m src.cli fit`, in every cell. The key `config` composes another config."


@dataclass(frozen=True)
class Cell:
    """One fit of a sweep.

    Attributes:
        name: of the combination of grid values; the cells of one name are the shards of one census.
        values: the grid's keys and values.
        labels: the same, in short.
        arguments: what `src.cli` is called with.
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
    def initialisation(self) -> str:
        """What else than the seed an instance's start depends on."""
        model = self.config["model"]
        shape = {name: model["init_args"].get(name) for name in ("n_hidden", "init_std")}
        return repr((model["class_path"], shape, self.config["data"]["init_args"].get("n_features")))

    @property
    def output(self) -> Path:
        """What the run printed."""
        return self.folder.with_name(f"{self.folder.name}.txt")

    @property
    def is_finished(self) -> bool:
        return (self.folder / CENSUS).is_file()

    @property
    def resumption(self) -> list[str]:
        """The argument that continues an interrupted run, if it left a checkpoint with steps to go."""
        checkpoint = self.folder / CHECKPOINT
        if not checkpoint.is_file():
            return []
        step = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["global_step"]
        return [f"--ckpt_path={checkpoint}"] if step < self.config["trainer"]["max_steps"] else []

    def refuse_another_run(self) -> None:
        """Raise a `ConfigError` if the folder holds a run with other settings."""
        path = self.folder / CONFIG
        if path.is_file():
            found = yaml.safe_load(path.read_text())
            require(
                _settings(found) == _settings(self.config),
                "--out",
                self.folder,
                "a folder without a run of other settings",
            )


Engine = Callable[[Sequence[Cell], int], Iterator[tuple[Cell, int]]]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "ckpt_path"}


class _DryRun(cli.ToyCLI):
    """Parses and builds what a command line asks for, and leaves it at that."""

    def _run_subcommand(self, subcommand: str) -> None:
        self.model._make_optimizer()


def settings_of(arguments: list[str]) -> dict[str, Any]:
    """The whole configuration that a `fit` with these arguments would have.

    Raises:
        ConfigError: if it would be refused.
    """
    built = cli.command_line(["fit", *arguments], _DryRun)
    parser = built._parser("fit")
    return yaml.safe_load(parser.dump(built.config["fit"], skip_none=False))


def parse_grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read `key=[value,...]` texts, in order; configs first, so that other keys override them."""
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, _, listed = text.partition("=")
        try:
            values = yaml.safe_load(listed)
        except yaml.YAMLError:
            values = None
        is_list = bool(key) and isinstance(values, list) and len(values) > 0
        require(is_list, "--grid", text, "key=[value,...] with at least one value")
        require(key not in grid, "--grid", text, f"the only one for {key}")
        grid[key] = [value if isinstance(value, str) else json.dumps(value) for value in values]
        require(len(set(grid[key])) == len(values), "--grid", text, "a list of different values")
    return dict(sorted(grid.items(), key=lambda item: item[0] != "config"))


def cells_of(
    arguments: list[str], grid: dict[str, list[str]], n_shards: int, out: Path | None
) -> tuple[Path, list[Cell]]:
    """Every cell of a sweep, each built once to see that it will run.

    Args:
        arguments: for `src.cli fit`, common to all cells.
        grid: values by key.
        n_shards: runs into which the seeds of each combination are divided.
        out: the sweep's folder; by default `<save_dir>/<experiment>_sweep`, of the first cell's logger.

    Raises:
        ConfigError: if a cell would be refused, the seeds cannot be divided, or a folder holds another run.
    """
    cells: list[Cell] = []
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        overrides = [f"--{key}={value}" for key, value in values.items()]
        config = settings_of([*arguments, *overrides])
        logger, model = config["trainer"]["logger"], config["model"]["init_args"]
        require(isinstance(logger, dict), "trainer.logger", logger, "a logger with a folder, for a sweep")
        out = out or Path(logger["init_args"]["save_dir"]) / f"{logger['init_args']['name']}_sweep"
        labels = {_short(key, grid): _label(key, value) for key, value in values.items()}
        name = ", ".join(f"{key}={value}" for key, value in labels.items()) or "seeds"
        for shard, of_seeds in _shards(model, n_shards).items():
            place = {"save_dir": str(out), "name": name, "version": shard}
            changes = [f"--model.{key}={json.dumps(value)}" for key, value in of_seeds.items()]
            changes += [f"--trainer.logger.init_args.{key}={value}" for key, value in place.items()]
            of_cell = copy.deepcopy(config)
            of_cell["model"]["init_args"].update(of_seeds)
            of_cell["trainer"]["logger"]["init_args"].update(place)
            cell = Cell(name, values, labels, [*arguments, *overrides, *changes], out / name / shard, of_cell)
            cell.refuse_another_run()
            cells.append(cell)
    assert out is not None
    return out, cells


def _short(key: str, grid: dict[str, list[str]]) -> str:
    """The last part of a key, or all of it where two keys of the grid end alike."""
    last = key.rsplit(".", maxsplit=1)[-1]
    return last if sum(other.split(".")[-1] == last for other in grid) == 1 else key


def _label(key: str, value: str) -> str:
    return Path(value).stem if key == "config" else re.sub(r"[/\\]", "_", value)


def _shards(model: dict[str, Any], n_shards: int) -> dict[str, dict[str, Any]]:
    """The model's settings that give each shard its seeds, by the shard's name."""
    if n_shards == 1:
        return {"all": {}}
    divisible = "n_instances" in model and "seeds" in model
    require(divisible, "--shards", n_shards, "1, as this model gives no seeds to divide")
    seeds, first, count = model["seeds"], model["first_seed"], model["n_instances"]
    count = len(seeds) if seeds else count
    require(n_shards <= count, "--shards", n_shards, f"from 1 to {count}, the number of seeds")
    shards: dict[str, dict[str, Any]] = {}
    for start, stop in itertools.pairwise(count * k // n_shards for k in range(n_shards + 1)):
        if seeds:
            shards[f"seeds_{start}_to_{stop - 1}"] = {"seeds": seeds[start:stop], "n_instances": 1}
        else:
            settings = {"first_seed": first + start, "n_instances": stop - start}
            shards[f"seed_{first + start}_to_{first + stop - 1}"] = settings
    return shards


def run_local(cells: Sequence[Cell], n_jobs: int) -> Iterator[tuple[Cell, int]]:
    """Run the cells on this machine, `n_jobs` at a time; yield each with its exit status as it ends.

    Another engine is another function of this signature. What a cell prints goes to `Cell.output`. When this process is
    told to stop, the running cells are interrupted, each saves a checkpoint, and they are waited for.
    """
    running: set[subprocess.Popen[bytes]] = set()
    stopped = threading.Event()
    environment = {**os.environ, "COLUMNS": "120"}
    if n_jobs > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // n_jobs))

    def run(cell: Cell) -> int:
        if stopped.is_set():
            return INTERRUPTED
        cell.output.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "src.cli", "fit", *cell.arguments, *cell.resumption]
        with cell.output.open("wb") as output:
            # A session of its own: Ctrl-C reaches it through this process alone, and once.
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )
            running.add(process)
            status = process.wait()
            running.discard(process)
        return status

    with ThreadPoolExecutor(n_jobs) as pool:
        futures = {pool.submit(run, cell): cell for cell in cells}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            stopped.set()
            for process in list(running):
                process.send_signal(signal.SIGINT)
            raise


def merge(out: Path, cells: Sequence[Cell]) -> dict[str, list[dict[str, str]]]:
    """Write `rates.csv` and its picture from the finished cells; return each combination's census."""
    censuses: dict[str, list[dict[str, str]]] = {}
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(cell.name for cell in cells):
        own = [cell for cell in cells if cell.name == name]
        if all(cell.is_finished for cell in own):
            censuses[name] = [row for cell in own for row in read_rows(cell.folder / CENSUS)]
            rows += [{**own[0].values, **row} for row in geometry_rows(censuses[name])]
    agreement = agreement_of(cells, censuses)
    if agreement:
        write_rows(out / AGREEMENT, agreement)
    if rows:
        write_rows(out / RATES, rows)
        write_whole(out / RATES_PICTURE, png(_picture(cells, censuses)))
    return censuses


def agreement_of(cells: Sequence[Cell], censuses: Mapping[str, Sequence[Mapping[str, str]]]) -> list[dict[str, Any]]:
    """`agreement_rows` of the cells between which a seed is the same initialisation."""
    alike: dict[str, dict[str, Sequence[Mapping[str, str]]]] = {}
    for cell in cells:
        if cell.name in censuses:
            alike.setdefault(cell.initialisation, {})[cell.name] = censuses[cell.name]
    return [row for group in alike.values() for row in agreement_rows(group)]


def _picture(cells: Sequence[Cell], censuses: Mapping[str, Sequence[Mapping[str, str]]]) -> Figure:
    """Over the two settings of a grid of two, or cell by cell."""
    outcomes = {name: rates([row["geometry"] for row in census]) for name, census in censuses.items()}
    values = {cell.name: tuple(cell.labels.values()) for cell in cells if cell.name in outcomes}
    settings = tuple(cells[0].labels)
    if len(settings) != 2:
        return rates_figure(outcomes)
    return rate_grid_figure({values[name]: own for name, own in outcomes.items()}, settings)  # type: ignore[misc]


def sweep(out: Path, cells: Sequence[Cell], n_jobs: int, engine: Engine) -> int:
    """Run what is not finished, with a progress bar, and merge; return the exit status: 1 if a cell failed."""
    due = [cell for cell in cells if not cell.is_finished]
    failures: list[str] = []
    console = Console()
    with _progress_bar(console) as bar:
        task = bar.add_task("", total=len(cells), completed=len(cells) - len(due))
        for cell, status in engine(due, n_jobs):
            bar.update(task, advance=1, description=f"last: {cell.name}")
            if status != 0:
                failures.append(f"{cell.name} ({cell.folder.name}): exit status {status}: {_last_line(cell)}")
                bar.console.print(f"failed: {failures[-1]}", style="red", markup=False, soft_wrap=True)
            merge(out, cells)
    censuses = merge(out, cells)
    if censuses:
        console.print(geometry_table(censuses))
        for row in agreement_of(cells, censuses)[:N_PAIRS]:
            both = f"{row['first']} and {row['second']}"
            share = f"{row['share']:.1%} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
            sentence = f"The same geometry from the same seed, {both}: {share}; by chance {row['by_chance']:.1%}."
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        console.print(f"merged table: {out / RATES}   picture: {out / RATES_PICTURE}", markup=False, soft_wrap=True)
    if failures:
        print(
            f"error: {len(failures)} of {len(cells)} cells failed; the same command runs them again.", file=sys.stderr
        )
    return 1 if failures else 0


def _progress_bar(console: Console) -> Progress:
    columns = (TextColumn("cells"), MofNCompleteColumn(), BarColumn(bar_width=20), TimeElapsedColumn())
    return Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"), console=console
    )


def _last_line(cell: Cell) -> str:
    lines = cell.output.read_text(errors="replace").strip().splitlines() if cell.output.is_file() else []
    return lines[-1].removeprefix("error: ") if lines else "no output"


class _Stopped(BaseException):
    """This process was told to stop, by this signal."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `_Stopped`, once; after that they do what they did before."""
    if threading.current_thread() is not threading.main_thread():  # the only one that may set handlers
        yield
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: Any) -> None:
        restore()
        raise _Stopped(number)

    before.update({number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)})
    try:
        yield
    finally:
        restore()


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(args: list[str] | None = None, engine: Engine = run_local) -> int:
    """Run a sweep; return its exit status: 2 for a bad setting, 1 if a cell failed, 130 after Ctrl-C."""
    cli.quiet()
    parser = _Arguments("python -m src.sweep", description=__doc__, allow_abbrev=False, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--grid", action="append", default=[], metavar="KEY=[V,...]", help="values of a setting; repeatable"
    )
    parser.add_argument("--shards", type=int, default=1, help="runs into which the seeds of a cell are divided")
    parser.add_argument("--jobs", type=int, default=1, help="cells that run at a time")
    parser.add_argument("--out", type=Path, help="the sweep's folder; by default <save_dir>/<experiment>_sweep")
    try:
        options, arguments = parser.parse_known_args(args)
        require(bool(options.grid) or options.shards != 1, "--grid", "missing", "given, or --shards, or both")
        require(options.shards >= 1, "--shards", options.shards, "at least 1")
        require(options.jobs >= 1, "--jobs", options.jobs, "at least 1")
        out, cells = cells_of(arguments, parse_grid(options.grid), options.shards, options.out)
        with _stoppable():
            return sweep(out, cells, options.jobs, engine)
    except (ConfigError, MisconfigurationException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except _Stopped as stop:
        print("Stopped. The same command skips what is finished and goes on with the rest.", file=sys.stderr)
        return 128 + stop.number


if __name__ == "__main__":
    sys.exit(main())
