"""The models that predictions are asked of, named as on the command line of `fit`."""

import inspect
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from src import variants  # noqa: F401 - what is imported can be named by its bare name
from src.distributions.supports import Enumerated, SupportSizes
from src.errors import ConfigError, essence, require
from src.gate.sentences import in_a_sentence, made
from src.model import ReLUOutputModel, ToyModel
from src.population.surface import Points, PointwiseSurface, Surface
from src.theory.family import Family, ReLUFamily, Shapes

N_INSTANCES = 8  # by which a rule of integration is chosen
OVERLAYS = (".yaml", ".yml")
SIZES = {"n_features": "--n_features", "n_hidden": "--n_hidden"}  # which are said otherwise


class _Parser(LightningArgumentParser):
    """Refuses bad arguments in one sentence."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise ConfigError(essence(message)) from ex


class ModelFamily(Family):
    """A model of any size, made from its settings.

    Args:
        model: a class by its import path or bare name, or a file with `model: {class_path: ..., init_args: ...}`.
        settings: further arguments of it, `--model.slope=0.01`.
        n_features, n_hidden: as `Family` says.

    Raises:
        ConfigError: if there is no such model, or its loss is not that of a function of z = V^T W x + b.
    """

    def __init__(self, model: str, settings: Sequence[str], n_features: int, n_hidden: int) -> None:
        self.n_features, self.n_hidden = n_features, n_hidden
        self._of_size = lru_cache(maxsize=None)(lambda n, m: _made(model, settings, n, m))
        own = self._of_size(n_features, n_hidden)
        kind = type(own)
        self.name = _title(own)
        self.is_posts = kind is ReLUOutputModel
        try:
            surface: Surface | None = own.objective.surface(SupportSizes.one_at_a_time(n_features))
        except (ValueError, NotImplementedError):
            surface = None
        allowed = "a model whose answers are functions of z = V^T W x + b, entry by entry"
        require(isinstance(surface, PointwiseSurface), "--model", kind.__name__, allowed)
        self._shapes = list(surface.shapes)  # type: ignore[union-attr]

    def shapes(self, n_features: int, n_hidden: int) -> Shapes:
        return {name: (n_features,) if name == "b" else (n_hidden, n_features) for name in self._shapes}

    @torch.no_grad()
    def surface(self, distribution: Enumerated, points: Points | None = None, n_hidden: int | None = None) -> Surface:
        n, m = distribution.n_features, n_hidden or self.n_hidden
        model = self._of_size(n, m)
        if points is not None and len(points):
            chosen = points[torch.linspace(0, len(points) - 1, N_INSTANCES).round().long()]
            sizes = [math.prod(shape) for shape in self.shapes(n, m).values()]
            known = {"W": model.W, "b": model.b, "V": model.decoder}
            for name, own in zip(self._shapes, chosen.split(sizes, dim=1), strict=True):  # type: ignore[no-untyped-call]
                known[name].copy_(own.unflatten(1, known[name].shape[1:]))
        return model.objective.surface(distribution)


def family(model: str | None, settings: Sequence[str], n_features: int, n_hidden: int) -> Family:
    """The post's model where none is named."""
    if model is None:
        named = ", ".join(word.partition("=")[0] for word in settings)
        require(not settings, "--model", "not given", f"given, for {named} to be an argument of it")
        return ReLUFamily(n_features, n_hidden)
    for name, option in SIZES.items():
        own = [word for word in settings if word.partition("=")[0] == f"--model.{name}"]
        require(not own, f"--model.{name}", "given", f"said by {option}")
    return ModelFamily(model, settings, n_features, n_hidden)


def _made(model: str, settings: Sequence[str], n_features: int, n_hidden: int) -> ToyModel:
    """A few instances of the model, by the parser that `fit` has too."""
    parser = _Parser(prog="python -m src.predictions phases")
    parser.add_lightning_class_args(ToyModel, "model", subclass_mode=True)
    parser.add_instantiator(made, ToyModel, subclasses=True)
    own, words = _named(model)
    sizes = {"n_features": n_features, "n_hidden": n_hidden, "n_instances": N_INSTANCES}
    told = [*words, *settings, *(f"--model.{name}={value}" for name, value in sizes.items())]
    with in_a_sentence():
        config = parser.parse_args([f"--model={own}", *told])
        found = parser.instantiate_classes(config).model
    require(isinstance(found, ToyModel), "--model", model, "a model")
    return found


def _named(model: str) -> tuple[str, list[str]]:
    """The class that a name or a file says, and the arguments there."""
    if not model.endswith(OVERLAYS):
        return model, []
    allowed = "a file with `model: {class_path: ..., init_args: {...}}`"
    try:
        found = yaml.safe_load(Path(model).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        raise ConfigError(f"--model is {model}; it must be {allowed}, which can be read.") from None
    own = found.get("model") if isinstance(found, dict) else None
    own = own if isinstance(own, dict) else {}
    name, arguments = own.get("class_path"), own.get("init_args") or {}
    require(isinstance(name, str) and isinstance(arguments, dict), "--model", model, allowed)
    told = {argument: value for argument, value in arguments.items() if argument not in SIZES}
    return str(name), [f"--model.{argument}={json.dumps(value)}" for argument, value in told.items()]


def _title(model: ToyModel) -> str:
    """`Leaky, slope 0.01`: the class, and its own arguments as far as the model says them."""
    names = inspect.signature(type(model)).parameters.keys() - inspect.signature(ToyModel).parameters.keys()
    own = [(name, vars(model).get(name)) for name in sorted(names)]
    numbers = [f"{name} {value:g}" for name, value in own if isinstance(value, int | float)]
    return ", ".join([type(model).__name__, *numbers])
