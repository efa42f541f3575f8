"""The promise: a command line runs, or ends in one sentence; and a look at whether one kept it."""

import re
import shutil
import traceback
from pathlib import Path
from typing import NamedTuple

from src import cli
from src.predictions import __main__ as predictions
from src.sweep import __main__ as sweep
from tests.fuzz.configurations import CENSUS, LAST, in_yaml
from tests.fuzz.guard import Seen, guarded
from tests.fuzz.strategies import Case
from tests.running import ROOT
from tests.sweep.sweeping import Engine

SMALL = (
    f"--config={ROOT}/configs/hexagon.yaml",
    "--trainer.max_steps=2",
    "--data.block_size=1",
    "--data.validation_size=2000",
    "--trainer.logger.init_args.save_dir=runs",
    f"--trainer.callbacks={in_yaml([CENSUS])}",
)
# What is named in braces in arguments and files, in the folder of what is given.
GIVEN = {
    "run": "runs/hexagon/version_0",
    "checkpoint": "runs/hexagon/version_0/checkpoints/last.ckpt",
    "damaged": "damaged.ckpt",
    "truncated": "truncated.ckpt",
    "census": "census.csv",
    "huge_census": "huge_census.csv",
}
NON_FINITE = "became non-finite"
# What Python says of its own, where no setting and no class is named before it.
PYTHONS = "not supported between|object has no attribute|object is not|NoneType|unexpected keyword|positional argument"
UNNAMED = rf"error: (?![\w\[\]]+\.[\w.]+|\w+ refuses).*({PYTHONS}|Type-check error)"


class Ending(NamedTuple):
    """How a command line ended.

    Attributes:
        status: of the process; None if an exception escaped.
        broken: what it did that it should not, a kind and the details of each.
        stderr: what it printed there.
    """

    status: int | None
    broken: list[tuple[str, str]]
    stderr: str


def make_given(folder: Path) -> Path:
    """A folder with what command lines name: a run, its checkpoint whole and damaged, and censuses."""
    with guarded(folder, folder, alone=False):
        callbacks = in_yaml([CENSUS, LAST])
        assert cli.main(["fit", *SMALL, f"--trainer.callbacks={callbacks}"]) == 0
    whole = (folder / GIVEN["checkpoint"]).read_bytes()
    middle = len(whole) // 2
    (folder / GIVEN["damaged"]).write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    (folder / GIVEN["truncated"]).write_bytes(whole[:middle])
    (folder / GIVEN["census"]).write_text("seed,geometry,unlearned\n0,pentagon,4\n11,hexagon,\n")
    (folder / GIVEN["huge_census"]).write_text(f"seed,geometry,unlearned\n0,pentagon,{'4' * 140_000}\n")
    return folder


def ending(case: Case, folder: Path, given: Path) -> Ending:
    """Run a command line in this process, in a new folder with a copy of what is given."""
    work, home, config = folder / "work", folder / "home", folder / "case.yaml"
    for own in (work, home):
        own.mkdir(parents=True)
    shutil.copytree(given, folder / "given")
    command, arguments, content = case
    for name, place in {**{name: f"{folder}/given/{place}" for name, place in GIVEN.items()}, "case": config}.items():
        arguments = tuple(argument.replace(f"{{{name}}}", str(place)) for argument in arguments)
        content = content.replace(f"{{{name}}}".encode(), str(place).encode())
    config.write_bytes(content)
    before = stamps(folder)
    status, escaped = None, ""
    with guarded(work, home) as seen:
        try:
            status = start(command, list(arguments))
        except BaseException as error:  # whatever escapes breaks the promise
            escaped = where(error)
    after = stamps(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return Ending(status, judge(case, status, escaped, seen, changed), seen.err)


def stamps(folder: Path) -> dict[str, tuple[int, ...]]:
    """What is in a folder: of a file its size, and when it was last written."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {
        str(path.relative_to(folder)): (stat.st_size, stat.st_mtime_ns) if path.is_file() else ()
        for path, stat in found.items()
    }


def start(command: str, arguments: list[str]) -> int:
    """What a process would do with these."""
    if command == "predictions":
        return predictions.main(arguments)
    if command == "sweep":
        return sweep.main([*SMALL, "--model.n_instances=2", *arguments], Engine())
    if command in ("fit", "validate", "test"):
        return cli.main([command, *SMALL, *arguments])
    return cli.main([*([command] if command else []), *arguments])


def where(error: BaseException) -> str:
    """An exception in one line: its kind, where it came from, and what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{ROOT}/src" in frame.filename or f"{ROOT}/callbacks" in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in (*ours[-1:], *frames[-1:])]
    return f"{type(error).__name__} at {' > '.join(places)}: {' '.join(str(error).split())[:200]}"


def judge(case: Case, status: int | None, escaped: str, seen: Seen, changed: set[str]) -> list[tuple[str, str]]:
    """Every way in which the promise is broken."""
    broken = [("prevented", what) for what in seen.prevented]
    errors = [line for line in seen.err.splitlines() if line.startswith("error: ")]
    if escaped:
        broken.append(("traceback", escaped))
    elif status not in (0, 1, 2):
        broken.append(("status", str(status)))
    if status == 1 and not (errors and NON_FINITE in errors[-1]):
        broken.append(("status 1 without a loss that became non-finite", seen.err[-200:]))
    if status == 2:
        if len(errors) != 1 or not re.fullmatch(r"error: .+\n", seen.err):
            broken.append(("not one sentence", seen.err[:600]))
        elif re.match(UNNAMED, errors[0]):
            broken.append(("nothing named", errors[0]))
        elif errors[0].endswith(":"):
            broken.append(("no reason given", errors[0]))
        if changed:
            broken.append(("left behind", ", ".join(sorted(changed))[:300]))
    if any("Traceback" in text for text in (seen.out, seen.err)):
        broken.append(("printed traceback", (seen.err + seen.out)[-300:]))
    names = {Path(path).name for path in changed}
    if status == 0 and case.command in ("fit", "validate") and has_census(case) and "census.csv" not in names:
        broken.append(("no census", f"only {', '.join(sorted(names))[:200]}"))
    if any(name.endswith(".part") for name in names):
        broken.append(("half a file", str(names)))
    return broken


def has_census(case: Case) -> bool:
    """Whether a census is among the callbacks: of the small fit, where the case has no list of its own."""
    lists = [argument for argument in case.arguments if argument.startswith("--trainer.callbacks=")]
    text = lists[-1] if lists else case.config.decode(errors="replace")
    return "callbacks.census.Census" in text or "callbacks" not in text
