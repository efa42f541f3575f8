"""What does not fit into memory is refused before it is made, with the number that would fit."""

import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from src import memory
from src.data import SparseFeatures
from src.errors import ConfigError
from src.memory import free_bytes, require_memory
from src.model import ReLUOutputModel
from src.starts import Basin
from tests.running import fit, run_cli, run_regimes


def test_what_fits_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 10 * 2**30)
    require_memory("model.n_instances", 9, 2**30)
    message = (
        "model.n_instances is 10; it must be at most 9, as many as fit: each takes 1,048,576 KiB with these settings, "
        "and 9.0 GiB of memory are free."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        require_memory("model.n_instances", 10, 2**30)


def test_the_number_that_it_says_fits_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**20)
    with pytest.raises(ConfigError) as refusal:
        ReLUOutputModel(6, n_instances=100_000)
    (fits,) = re.findall(r"at most (\d+)", str(refusal.value))
    ReLUOutputModel(6, n_instances=int(fits))
    with pytest.raises(ConfigError):
        ReLUOutputModel(6, n_instances=int(fits) + 1)


def test_data_of_their_own_take_more_and_are_refused_before_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReLUOutputModel(6, n_instances=100)
    monkeypatch.setattr(memory, "free_bytes", lambda: 50 * 2**20)
    data = SparseFeatures(6, stream="independent", validation_size=20)
    with pytest.raises(ConfigError, match=r"model.n_instances is 100; it must be at most \d+, as many as fit"):
        fit(model, max_steps=1, data=data)
    fit(model, max_steps=1)  # with shared data there is room


def test_a_container_with_less_than_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    available = psutil.virtual_memory().available
    assert free_bytes() == pytest.approx(available, rel=0.2)  # without files, the machine's
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("300000\n")
    assert free_bytes() == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes() == pytest.approx(available, rel=0.2)


def test_examples_that_do_not_fit_into_memory_are_refused_with_what_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_regimes(tmp_path, "--data.n_examples=1000000000000", max_steps=60) == 2
    assert re.match(
        r"error: data\.n_examples is 1000000000000; it must be at most \d+, as many as fit", capsys.readouterr().err
    )


def test_a_hidden_space_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.n_hidden is 100000000; it must be at most \d+, as many as fit"):
        ReLUOutputModel(6, n_hidden=100_000_000)


def test_a_batch_that_does_not_fit_is_named_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", "--data.batch_size=1000000000") == 2
    assert re.match(
        r"error: data\.batch_size is 1000000000; it must be at most \d+, as many as fit", capsys.readouterr().err
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ReLUOutputModel(6, seeds=[0] * 1000), "the length of model.seeds is 1000;"),
        (
            lambda: ReLUOutputModel(6, start=Basin(size=10**6)),
            "the number of points, model.start.size squared, is",
        ),
    ],
)
def test_however_a_stack_is_asked_for_it_must_fit(
    make: Callable[[], object], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 2**20)
    with pytest.raises(ConfigError, match=f"{field}.* it must be at most .*, as many as fit"):
        make()
