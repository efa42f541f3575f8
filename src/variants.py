"""More toy models, each what it changes: a hook or two of `ToyModel`, a further parameter, or a flag.

One of your own goes into a file of your own, like these, and is named on the command line by its import path. What
differs from x' = ReLU(W^T W x + b) and its squared error is in the first line of each; z = W^T W x + b.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from src.errors import require
from src.model import ReLUOutputModel, ToyModel

Examples = Float[Tensor, "*instance batch feature"]
Entries = Float[Tensor, "instance batch feature"]
LARGEST = 1e30  # of a number that single precision holds, with room


class Linear(ToyModel):
    """x' = z, which learns no superposition (Elhage et al. 2022, arXiv:2209.10652, "Linear Model").

    Args:
        arguments: those of `ToyModel`, here and below.
    """

    def activate(self, z: Entries) -> Entries:
        return z


class Leaky(ToyModel):
    """x' = max(z, slope z) (Maas et al. 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models").

    Args:
        slope: of the output for negative z.
    """

    def __init__(self, slope: float = 0.1, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(abs(slope) < LARGEST, "model.slope", slope, "a number that single precision holds")
        self.slope = slope

    def activate(self, z: Entries) -> Entries:
        return functional.leaky_relu(z, self.slope)


class GELU(ToyModel):
    """x' = z Phi(z), Phi of the standard normal (Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2)."""

    def activate(self, z: Entries) -> Entries:
        return functional.gelu(z)


class Softplus(ToyModel):
    """x' = log(1 + exp(beta z)) / beta, a smooth ReLU (Glorot et al. 2011, "Deep Sparse Rectifier Neural Networks").

    Args:
        beta: how sharp the bend is; x' is log(2) / beta at z = 0.
    """

    def __init__(self, beta: float = 1.0, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(0 < beta < LARGEST, "model.beta", beta, "positive, and a number that single precision holds")
        self.beta = beta

    def activate(self, z: Entries) -> Entries:
        return functional.softplus(z, self.beta)


class Jump(ToyModel):
    """x' = z where z > threshold, else 0 (JumpReLU: Rajamanoharan et al. 2024, arXiv:2407.14435).

    The threshold stays as it is: its gradient is zero almost everywhere.

    Args:
        threshold: where the output jumps from 0.
    """

    def __init__(self, threshold: float = 0.1, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(abs(threshold) < LARGEST, "model.threshold", threshold, "a number that single precision holds")
        self.threshold = threshold

    def activate(self, z: Entries) -> Entries:
        return z * (z > self.threshold)


class SquaredReLU(ToyModel):
    """x' = ReLU(z)^2 (So et al. 2021, "Primer", arXiv:2109.08668)."""

    def activate(self, z: Entries) -> Entries:
        return torch.relu(z).square()


class Untied(ReLUOutputModel):
    """x' = ReLU(V^T W x + b): the decoder V is a parameter of its own, drawn like W.

    `columns` are those of W, the encoder: where a feature points in the hidden space. Those of V are recorded beside.
    """

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        (V,) = self.drawn((self.n_hidden, self.n_features))
        self.V = torch.nn.Parameter(V * self.init_std)

    @property
    def decoder(self) -> Float[Tensor, "instance hidden feature"]:
        return self.V


class NoBias(ReLUOutputModel):
    """x' = ReLU(W^T W x): b stays zero."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.b.requires_grad_(False)


class Importance(ReLUOutputModel):
    """Feature i counts decay^i in the loss (Elhage et al. 2022, "Experiment Setup", the weighted squared error).

    Args:
        decay: of the importance from a feature to the next.
    """

    def __init__(self, decay: float = 0.9, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(0 < decay <= 1, "model.decay", decay, "in (0, 1]")
        self.importance = decay ** torch.arange(self.n_features)


class Lp(ReLUOutputModel):
    """The error is |x - x'|^power.

    Args:
        power: 2 is the post's error. A larger one makes few large errors dearer than many small ones.
    """

    def __init__(self, power: float = 4.0, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(0 < power <= 100, "model.power", power, "in (0, 100]")
        self.power = power

    def error(self, x: Examples, reconstruction: Entries) -> Entries:
        return (x - reconstruction).abs().pow(self.power)


class L4(ReLUOutputModel):
    """The error's fourth power in place of its square."""

    def error(self, x: Examples, reconstruction: Entries) -> Entries:
        return (x - reconstruction).pow(4)


class HiddenReLU(ReLUOutputModel):
    """h = ReLU(W x): a privileged basis (Elhage et al. 2022, "Superposition in a Privileged Basis")."""

    def encode(self, x: Examples) -> Float[Tensor, "instance batch hidden"]:
        return torch.relu(super().encode(x))


class AbsoluteValue(HiddenReLU, Untied):
    """h = ReLU(W x), x' = ReLU(V^T h + b) for the target |x| (Elhage et al. 2022, "Computation in Superposition").

    Each |x_i| takes two neurons, ReLU(x_i) and ReLU(-x_i). Meant for signed values, as in
    `configs/models/absolute_value.yaml`.
    """

    def target(self, x: Examples) -> Examples:
        return x.abs()


class ResidualMLP(ToyModel):
    """r = W x, x' = W^T (r + O ReLU(I r)) + b for the target x + ReLU(x): a layer of a transformer in little.

    (Braun et al. 2025, arXiv:2501.14926, the toy model of compressed computation; there W is fixed. Here it is trained,
    and its columns are what is shown.) Meant for signed values, as in `configs/models/residual_mlp.yaml`.

    Args:
        n_neurons: of the MLP: rows of I, columns of O.
    """

    def __init__(self, n_neurons: int = 3, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        require(1 <= n_neurons <= 2**16, "model.n_neurons", n_neurons, f"from 1 to {2**16}")
        std = (2 / (n_neurons + self.n_hidden)) ** 0.5
        I, O = self.drawn((n_neurons, self.n_hidden), (self.n_hidden, n_neurons))  # noqa: E741
        self.I, self.O = torch.nn.Parameter(I * std), torch.nn.Parameter(O * std)

    def encode(self, x: Examples) -> Float[Tensor, "instance batch hidden"]:
        r = super().encode(x)
        return r + torch.relu(r @ self.I.mT) @ self.O.mT

    def activate(self, z: Entries) -> Entries:
        return z

    def target(self, x: Examples) -> Examples:
        return x + torch.relu(x)
