"""Command lines to try."""

from typing import Any, NamedTuple

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from src.predictions.__main__ import _parse as options_of_predictions
from tests.fuzz import broken_yaml
from tests.fuzz.configurations import CENSUS, Config, configurations, dotted, in_yaml, inside
from tests.fuzz.values import Values, one_of

COMMANDS = [*["fit"] * 6, "validate", "test"]
CHECKPOINTS = [*["{checkpoint}"] * 8, "{damaged}", "{truncated}", "{run}", "{census}"]
NO_SETTINGS = [
    *("", "-", "--", "-x", "--=1", "junk", "fit", "--model", "--trainer.callbacks", "--data.n_features", "--data.=1"),
    *("--config", "--config=", "--config=/", "--config=[", "--config=/dev/null", "--ckpt_path=", "--ckpt_path=null"),
    *("--trainer=null", "--model=null", "--data=null", "--trainer={", "--data={}", "--model.init_args=[]"),
    *("--trainer.callbacks=null", "--trainer.callbacks+=[]", "--trainer.callbacks={}", "--trainer.logger=null"),
]
NUMBERS = [-1, 0, 1, 2, 3, 10**12, 1e-300, 0.1, 0.9, 1.0, "nan", "inf", "", "junk", "/dev/null/x", "a\0b"]
GRID_KEYS = [
    "data.feature_probability",
    "model.n_hidden",
    "config",
    "model.class_path",
    "trainer.max_steps",
    "nope",
    "",
]
GRID_VALUES = [0.1, 0.2, 1, 2, "{census}", "null", "a/b", "src.variants.Leaky", -1, "junk", "ü", ""]

SWEEP_NUMBERS = ["1", "2", "2", "0", "-1", str(10**12), "x", "", "/dev/null/x"]


class Case(NamedTuple):
    """A program or subcommand, its arguments, and what the file `{case}` in them holds."""

    command: str
    arguments: tuple[str, ...]
    config: bytes = b""


def as_case(command: str, config: Config, as_file: bool, *more: str) -> Case:
    if as_file:
        return Case(command, ("--config={case}", *more), yaml.safe_dump(config, sort_keys=False).encode())
    return Case(command, (*dotted(config), *more))


@st.composite
def fits(draw: Any) -> Case:
    """`fit`, `validate` or `test`, with a checkpoint that is whole, or not."""
    command = draw(st.sampled_from(COMMANDS))
    has_checkpoint = command != "fit" or draw(st.integers(0, 20)) == 0
    more = [f"--ckpt_path={draw(st.sampled_from(CHECKPOINTS))}"] if has_checkpoint else []
    return as_case(command, draw(configurations()), draw(st.booleans()), *more)


@st.composite
def broken_files(draw: Any) -> Case:
    """A configuration file with mistakes in it; what comes after it keeps the run small."""
    small = ("--trainer.max_steps=2", f"--trainer.callbacks={in_yaml([CENSUS])}")
    return Case("fit", ("--config={case}", *small), draw(broken_yaml.files()))


@st.composite
def broken_lines(draw: Any) -> Case:
    """Arguments that are no settings."""
    command = draw(st.sampled_from(["fit"] * 4 + ["", "nope", "predict", "validate", "test"]))
    return Case(command, tuple(draw(st.lists(st.sampled_from(NO_SETTINGS), max_size=3))))


@st.composite
def predictions(draw: Any) -> Case:
    """`src.predictions`, with a few of its options."""
    command = draw(st.sampled_from(["phases", "phases", "theory", "nope"]))
    names = sorted(vars(options_of_predictions(["theory" if command == "nope" else command])).keys() - {"command"})
    chosen: dict[str, Any] = {"n_features": 2, "points": 2} if command == "phases" else {}
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        chosen[name] = draw(st.sampled_from(NUMBERS))
    return Case("predictions", (command, *(f"--{name}={value}" for name, value in chosen.items())))


@st.composite
def sweeps(draw: Any) -> Case:
    """`src.sweep`, with a few values of a setting or two."""
    values = st.lists(st.sampled_from(GRID_VALUES), max_size=2)
    grids = st.lists(st.tuples(st.sampled_from(GRID_KEYS), values), max_size=2)
    good = st.just([("data.feature_probability", [0.1, 0.2])])
    more = [f"--grid={key}={in_yaml(chosen)}" for key, chosen in draw(one_of(good, good, grids))]
    option, number = draw(st.sampled_from(["shards", "jobs", "out"])), draw(st.sampled_from(SWEEP_NUMBERS))
    more += [f"--{option}={number}"] if draw(st.booleans()) else []
    small = st.just(inside("trainer.callbacks", [CENSUS]))
    return as_case("sweep", draw(one_of(small, configurations())), draw(st.booleans()), *more)


# All of these; most are fits.
CASES: Values = one_of(*[fits()] * 14, *[broken_files()] * 3, broken_lines(), predictions(), sweeps())


def drawn(number: int) -> Case:
    """The case of this number."""
    found: list[Case] = []

    # Of more examples Hypothesis would make most by varying one.
    @seed(number)
    @settings(
        max_examples=2, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(CASES)
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found[-1]  # the first is always the simplest
