"""The options of `python -m src.sweep`. What is no option of its own is for every cell."""

import argparse
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

from src.errors import Arguments, require

EPILOG = "Everything else goes to `python -m src.cli fit`, in every cell. The key `config` composes another config."
ENGINES = ("local", "ray", "slurm")
OF_CLUSTERS = {"cpus_per_shard": 1.0, "gpus_per_shard": 0.0}  # with the values that they have by default
OF_RAY = {"address": None, "max_retries": 3}
SCRIPTS_OWN = ("--array", "--dependency", "--output", "--signal", "--ntasks", "--cpus-per-task", "--gpus-per-task")
OF_SLURM = {"submit": False, "sbatch": ""}


def parse(args: list[str] | None, description: str) -> tuple[argparse.Namespace, list[str]]:
    """The sweep's own options, and what is for every cell.

    Raises:
        ConfigError: if one is of another type, out of range, or does not go with another.
    """
    parser = Arguments("python -m src.sweep", description=description, allow_abbrev=False, epilog=EPILOG)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--grid", action="append", default=[], metavar="KEY=[V,...]", help="values of a setting; repeatable")
    add("--shards", type=int, default=1, help="runs into which the seeds of a cell are divided")
    add("--jobs", type=int, help="cells that run at a time; 1 on this machine, else as many as there is room for")
    add("--out", type=Path, help="folder; by default <save_dir>/<experiment>_by_<settings>")
    add("--parquet", action="store_true", help="write the rows of each cell's shards into one census.parquet, too")
    add(
        "--dry-run", action="store_true", help="run nothing but a short trial: print the cells, and what they will take"
    )
    add("--merge", action="store_true", help="run nothing: report what is finished")
    add("--engine", choices=ENGINES, default="local", help="where the cells run: docs/machines.md")
    clusters = parser.add_argument_group("with --engine ray and slurm")
    clusters.add_argument("--cpus-per-shard", type=float, help="for each run: 1")
    clusters.add_argument("--gpus-per-shard", type=float, help="for each run: 0; of Ray also a fraction")
    on_ray = parser.add_argument_group("with --engine ray")
    on_ray.add_argument(
        "--address", metavar="HOST:PORT", help="of a cluster, or `auto`; else one of this machine alone"
    )
    on_ray.add_argument("--max-retries", type=int, help="how often a run whose worker is lost is started again: 3")
    slurm = parser.add_argument_group("with --engine slurm")
    slurm.add_argument("--submit", action="store_true", default=None, help="hand the scripts to sbatch")
    slurm.add_argument("--sbatch", metavar="OPTIONS", help="for sbatch, such as '--time=1:00:00 --partition=cpu'")
    options, arguments = parser.parse_known_args(args)
    _complete(options, OF_CLUSTERS, "ray", "slurm")
    _complete(options, OF_RAY, "ray")
    _complete(options, OF_SLURM, "slurm")
    _check(options, arguments)
    return options, arguments


def _complete(options: argparse.Namespace, defaults: dict[str, Any], *engines: str) -> None:
    for name, default in defaults.items():
        given = getattr(options, name)
        option, wanted = f"--{name.replace('_', '-')}", " or ".join(f"--engine {engine}" for engine in engines)
        is_fitting = given is None or options.engine in engines
        require(is_fitting, option, "given" if given is True else given, f"left out, or {wanted} given")
        setattr(options, name, default if given is None else given)


def _check(options: argparse.Namespace, arguments: list[str]) -> None:
    require(bool(options.grid) or options.shards != 1, "--grid", "missing", "given, or --shards, or both")
    for name, least in (("shards", 1), ("jobs", 1), ("max_retries", 0)):
        value = getattr(options, name)
        require(value is None or value >= least, f"--{name.replace('_', '-')}", value, f"at least {least}")
    require(options.cpus_per_shard > 0, "--cpus-per-shard", options.cpus_per_shard, "more than 0")
    require(options.gpus_per_shard >= 0, "--gpus-per-shard", options.gpus_per_shard, "at least 0")
    for name in OF_CLUSTERS:
        value, option = getattr(options, name), f"--{name.replace('_', '-')}"
        require(math.isfinite(value), option, value, "a number")
        require(options.engine != "slurm" or value.is_integer(), option, value, "a whole number for SLURM")
        require(round(value, 4) == value, option, value, "a number of at most four decimals")
        is_whole = value.is_integer() or value < 1 or name == "cpus_per_shard"
        require(is_whole, option, value, "a whole number, or a part of one GPU")
    if options.merge or options.dry_run:
        other = "--merge" if options.merge else "--dry-run"
        for option, given in (("--dry-run", options.dry_run and options.merge), ("--submit", options.submit)):
            require(not given, option, "given", f"left out where {other} is given")
    has_sbatch = not options.submit or shutil.which("sbatch") is not None
    require(has_sbatch, "--submit", "given", "left out where there is no `sbatch`")
    try:
        options.sbatch = shlex.split(options.sbatch)
    except ValueError as error:
        require(False, "--sbatch", options.sbatch, f"options as in a shell: {error}")
    is_option = all(option.startswith("-") and "=" in option for option in options.sbatch)
    require(is_option, "--sbatch", shlex.join(options.sbatch), "options such as --time=1:00:00, each with its `=`")
    for option in options.sbatch:
        name = option.partition("=")[0]
        require(name not in SCRIPTS_OWN, "--sbatch", option, f"another: {name} is the script's own")
        require(option.isprintable(), "--sbatch", repr(option), "on one line")
    printing = any(argument.startswith("--print_config") for argument in arguments)
    require(not printing, "--print_config", "given", "left to `python -m src.cli fit`")
