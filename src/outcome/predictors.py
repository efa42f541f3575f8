"""Two predictors of the outcome: a readable one, and the best.

`python -m src.predictions outcome_fit` has fitted both to the census of a million seeds. Their numbers lie beside this
file, in `predictors.safetensors`.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from src.errors import ConfigError
from src.outcome.invariants import N_FEATURES, NAMES, invariants
from src.outcome.views import views

GEOMETRIES = ("pentagon", "hexagon", "square", "irregular")
INIT_STD = 0.378  # of configs/defaults.yaml, whose seeds they know
OWN = Path(__file__).parent / "predictors.safetensors"
PARTS = ("readable", "network")
WIDTH, DEPTH = 256, 3
AT_ONCE = 8192  # instances

Initial = Float[Tensor, "instance 2 feature"]
Probabilities = Float[Tensor, "instance geometry"]


class Readable(nn.Module):
    """Multinomial logistic regression on the invariants of `src.outcome.invariants`, in standard deviations."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(len(NAMES), len(GEOMETRIES))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("deviation", torch.ones(len(NAMES)))

    def forward(self, numbers: Float[Tensor, "instance invariant"]) -> Float[Tensor, "instance geometry"]:
        """Logarithms of odds, from invariants."""
        own: Tensor = self.linear((numbers - self.mean) / self.deviation)
        return own

    @torch.no_grad()
    def probabilities(self, W: Initial) -> Probabilities:
        return self(invariants(W).float()).softmax(dim=1)


class Network(nn.Module):
    """A network on the columns themselves, averaged over the eight views of `src.outcome.views`."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        sizes = [2 * N_FEATURES, *[width] * DEPTH]
        hidden = [layer for a, z in itertools.pairwise(sizes) for layer in (nn.Linear(a, z), nn.GELU())]
        self.layers = nn.Sequential(*hidden, nn.Linear(width, len(GEOMETRIES)))

    def forward(self, seen: Float[Tensor, "*instance coordinate"]) -> Float[Tensor, "*instance geometry"]:
        """Logarithms of odds, from one view."""
        own: Tensor = self.layers(seen)
        return own

    @torch.no_grad()
    def probabilities(self, W: Initial) -> Probabilities:
        parts = W.split(AT_ONCE)  # type: ignore[no-untyped-call]
        return torch.cat([self(views(part, INIT_STD)).softmax(dim=2).mean(dim=0) for part in parts])


@dataclass
class Predictors:
    """Both, and what they have seen.

    Attributes:
        fitted: seeds from the first to the last of these were fitted to, or chosen by.
    """

    readable: Readable
    network: Network
    fitted: tuple[int, int]

    def save(self, path: Path) -> None:
        """Plain numbers: the readable one's in float32, the network's in float16."""
        own = {f"readable.{name}": value for name, value in self.readable.state_dict().items()}
        own |= {f"network.{name}": value.half() for name, value in self.network.state_dict().items()}
        about = {"geometries": GEOMETRIES, "invariants": NAMES, "fitted": self.fitted}
        save_file(own, path, {name: json.dumps(value) for name, value in about.items()})


def load(path: Path = OWN) -> Predictors:
    """Predictors from a file.

    Raises:
        ConfigError: if there is none, or it is not of these models.
    """
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = {name: json.loads(value) for name, value in file.metadata().items()}
            numbers = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
        readable, network = (_of(part, numbers) for part in PARTS)
        predictors = Predictors(Readable(), Network(len(network["layers.0.bias"])), (0, 0))
        predictors.readable.load_state_dict(readable)
        predictors.network.load_state_dict(network)
        first, last = about["fitted"]
        if (about["geometries"], about["invariants"]) != ([*GEOMETRIES], [*NAMES]):
            raise ValueError("of other geometries or invariants")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, AttributeError):
        written = "a file that `python -m src.predictions outcome_fit` has written"
        raise ConfigError(f"--predictors is {path}; it must be {written}.") from None
    predictors.fitted = first, last
    return predictors


def _of(part: str, numbers: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): own.float() for name, own in numbers.items() if name.startswith(part)}
