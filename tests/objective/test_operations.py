"""Operations that move, choose, order or join entries, written out: what torch computes, and its gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from src.model import ReLUOutputModel
from src.objective import Autograd
from src.objective.written_out import WrittenOut
from tests.objective.problems import FLOAT64
from tests.objective.test_written_out import gradients, model_and_data


def assigned(z: Tensor) -> Tensor:
    z = 1.0 * z
    z[..., 0] = 2 * z[..., 1]
    z[..., 2:4] *= 3
    return z


def put_first(z: Tensor) -> Tensor:
    index = torch.zeros_like(z[..., :2]).long()
    return torch.zeros_like(z).scatter_add(-1, index, z[..., 1:3]) + z.scatter(-1, index[..., :1], 0.5)


def rounded_down(z: Tensor) -> Tensor:
    return torch.where(torch.relu(z).bool(), z * z, 0.3 * z) + (3 * z).long() * z


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "a column twice": lambda z: z[..., [0, 0, 1, 2, 3, 3]],
    "argsort": lambda z: z.gather(-1, z.argsort(dim=-1)[..., :3]).repeat(1, 1, 2),
    "assigned": assigned,
    "cumprod": lambda z: z.cumprod(dim=-1),
    "flip": lambda z: z * z.flip(-1),
    "k-th": lambda z: torch.where(z >= z.kthvalue(4, dim=-1, keepdim=True).values, z, 0),
    "layer norm": lambda z: functional.layer_norm(z, z.shape[-1:]),
    "linear": lambda z: functional.linear(z, torch.eye(6).to(z) * 2),
    "maximum": lambda z: z / (1 + z.max(dim=-1, keepdim=True).values.abs()),
    "median": lambda z: z - z.median(dim=-1, keepdim=True).values,
    "minimum": lambda z: z - z.min(dim=-1)[0].unsqueeze(-1),
    "neighbours": lambda z: functional.pad(z, (2, -1))[..., :6] + z.roll(1, -1),
    "one of them": lambda z: torch.where(z == z.topk(1, largest=False).values, z, 0.5 * z),
    "product": lambda z: z * (1 + z).prod(dim=-1, keepdim=True),
    "put": put_first,
    "rounded down": rounded_down,
    "standard deviation": lambda z: z / (0.1 + z.std(dim=-1, keepdim=True)),
    "triangle": lambda z: z @ torch.ones(6, 6).to(z).tril(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_what_torch_computes(name: str) -> None:
    hooks = {"decode": lambda self, h: OPERATIONS[name](h @ self.W + self.b.unsqueeze(-2))}
    model, x = model_and_data(type("Own", (ReLUOutputModel,), hooks))
    with torch.no_grad():
        model.b += 0.1 * torch.randn_like(model.b)  # so that no two entries are equal
    assert isinstance(model.objective, WrittenOut), model.objective.description
    losses, found = model.objective.set_gradients(x), gradients(model)
    torch.testing.assert_close(losses, Autograd(model).set_gradients(x), **FLOAT64)
    torch.testing.assert_close(found, gradients(model), **FLOAT64)
