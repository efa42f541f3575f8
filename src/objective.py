"""The loss of the ReLU output model and its gradient, written out.

    h = W x,   z = W^T h + b,   x' = ReLU(z),   L_i = mean over batch of (x_i - x'_i)^2

`feature_losses` leaves derivatives of any order to autograd. `losses_and_gradients` is the training loss's gradient in
closed form: the same numbers in fewer tensor operations, and no graph.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def feature_losses(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
) -> Float[Tensor, "instance feature"]:
    """Loss of each feature, mean over the batch (Elhage et al. 2022, the ReLU output model)."""
    h = x @ W.mT
    reconstruction = torch.relu(h @ W + b.unsqueeze(-2))
    return (x - reconstruction).square().mean(dim=-2)


@torch.no_grad()
def losses_and_gradients(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
) -> tuple[
    Float[Tensor, "instance feature"], Float[Tensor, "instance hidden feature"], Float[Tensor, "instance feature"]
]:
    """Loss of each feature, and the gradient of their mean over features with respect to W and b.

    With g = dL/dz = 2 (x' - x) [x' > 0] / (batch x feature), summed over the batch:

        dL/db = sum g,   dL/dW = h^T g + (g W^T)^T x.

    At the kink, z = 0, the derivative of ReLU is taken as 0, as autograd does.
    """
    h = x @ W.mT
    reconstruction = torch.baddbmm(b.unsqueeze(-2), h, W).relu_()
    error = reconstruction - x
    losses = error.square().mean(dim=-2)
    g = torch.ops.aten.threshold_backward(error, reconstruction, 0).mul_(2 / (x.shape[-2] * x.shape[-1]))
    through_encoder = (g @ W.mT).mT @ x
    return losses, torch.baddbmm(through_encoder, h.mT, g), g.sum(dim=-2)
