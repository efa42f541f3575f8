"""Configurations: a small fit that works, and what deviates from it in up to three places."""

from typing import Any

import lightning
import yaml
from hypothesis import strategies as st
from lightning.pytorch.loggers import Logger

from src.distributions import Distribution
from src.model import ToyModel
from src.starts import Start
from tests.fuzz.values import Values, arguments, good, instance, no_instance, one_of, parameters_of, value_of
from tests.running import ROOT

Config = dict[str, Any]
CENSUS = {"class_path": "callbacks.census.Census"}
LAST = {"class_path": "callbacks.last_checkpoint.LastCheckpoint"}
DEFAULT_CALLBACKS = yaml.safe_load((ROOT / "configs" / "defaults.yaml").read_text())["trainer"]["callbacks"]
# Of these every large number is a good one, and takes long.
STEPS = {
    "max_steps": [0, -1, -2, 1, 3, None, "two", 0.5, 2.0, True],
    "fast_dev_run": [True, False, 1, 3, 0, -1, None, "two", 0.5],
}
TOP = {"seed_everything": [0, -1, True, None, "x", 2**40], "weights_only": [None, False, 3], "nope": [1], "model": [3]}


def merged(first: Config, second: Config) -> Config:
    """Both: one level in the other, lists one after the other, and else what the second says."""
    both = dict(first)
    for key, value in second.items():
        own = both.get(key)
        if isinstance(own, dict) and isinstance(value, dict):
            both[key] = merged(own, value)
        else:
            both[key] = own + value if isinstance(own, list) and isinstance(value, list) else value
    return both


def inside(keys: str, value: Any) -> Config:
    """A value below keys that are joined by dots."""
    for key in reversed(keys.split(".")):
        value = {key: value}
    return value


def at(keys: str, values: Values) -> Values:
    return values.map(lambda value: inside(keys, value))


def place(base: Any, keys: str) -> Values:
    """A place in the configuration for such a class, and most often one that belongs there."""
    return at(keys, one_of(*[instance(base)] * 6, no_instance()))


def of_its_own(start: Any) -> Config:
    """A start that chooses the seeds asks that the small fit's is not given."""
    return {"first_seed": 0, "start": start}


def made_by(argument: str) -> Values:
    """A class that makes the model's optimizer, or its schedule."""
    own = good(parameters_of(ToyModel)[argument].annotation).filter(lambda drawn: drawn is not None)
    return at(f"model.init_args.{argument}", one_of(*[own] * 6, no_instance()))


def of_the_trainer() -> Values:
    known = {name: value_of(own) for name, own in parameters_of(lightning.Trainer).items()}
    known |= {name: st.sampled_from(values) for name, values in STEPS.items()}
    names = sorted(known.keys() - {"callbacks", "logger"})
    return st.sampled_from(names).flatmap(lambda name: at(f"trainer.{name}", known[name]))


def loggers() -> Values:
    one = instance(Logger)
    others = st.sampled_from([True, False, None, [], "nope"])
    return at("trainer.logger", one_of(one, one, one, st.lists(one, max_size=2), others))


def callbacks() -> Values:
    return at("trainer.callbacks", one_of(*[instance(lightning.Callback)] * 6, no_instance()).map(lambda own: [own]))


def deviations() -> Values:
    """What one place of the configuration says."""
    return one_of(
        place(ToyModel, "model"),
        at("model.init_args", arguments(ToyModel)),
        at("model.init_args", one_of(*[instance(Start)] * 6, no_instance()).map(of_its_own)),
        made_by("optimizer"),
        made_by("lr_scheduler"),
        place(lightning.LightningDataModule, "data"),
        place(Distribution, "data.init_args.distribution"),
        of_the_trainer(),
        of_the_trainer(),
        callbacks(),
        callbacks(),
        loggers(),
        st.sampled_from(sorted(TOP)).flatmap(lambda key: at(key, st.sampled_from(TOP[key]))),
    )


@st.composite
def configurations(draw: Any) -> Config:
    """What deviates from the small fit. Its callbacks are all there are: most often those that draw are not."""
    own = draw(st.sampled_from([[CENSUS]] * 6 + [[CENSUS, LAST], DEFAULT_CALLBACKS]))
    config = inside("trainer.callbacks", own)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 0]))):
        config = merged(config, draw(deviations()))
    return config


def in_yaml(value: Any) -> str:
    """One value as YAML on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("\n...\n").rstrip("\n")


def dotted(config: Config, prefix: str = "") -> list[str]:
    """A configuration as arguments of the command line."""
    found = []
    for key, value in config.items():
        if isinstance(value, dict) and value and all(isinstance(name, str) for name in value):
            found += dotted(value, f"{prefix}{key}.")
        else:
            found.append(f"--{prefix}{key}={value if isinstance(value, str) else in_yaml(value)}")
    return found
