"""Both implementations of the loss and its gradient, the fused one and the closed form."""

import pytest

from src.objective import build
from tests.objective.problems import without_fused


@pytest.fixture(params=["fused", "closed form"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which implementation `losses_and_gradients` uses in the test."""
    if request.param == "closed form":
        without_fused(monkeypatch)
    elif build.library() is None:
        pytest.skip("there is no C++ compiler")
    return request.param
