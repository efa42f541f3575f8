"""Both implementations of the loss and its gradient, the fused one and the closed form, and where the first is kept."""

from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache without a build, for this test alone. The folder is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.library.cache_clear()
    yield tmp_path / "toy-superposition"
    build.library.cache_clear()


@pytest.fixture(scope="module")
def built() -> Path:
    """The real library."""
    build.library.cache_clear()
    if build.library() is None:
        pytest.skip("there is no C++ compiler")
    path = next(build.cache_folder().glob(f"fused-{build._build_key()}-*.so"), None)
    return path or pytest.skip("builds cannot be kept")
