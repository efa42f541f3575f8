"""A library's error at a setting is one sentence; an error in a user's code, or in ours, is a traceback."""

import warnings
from pathlib import Path

import pytest

from src.errors import ConfigError
from src.gate.nulls import refuse_nulls
from src.gate.sentences import in_a_sentence, release_warnings, warnings_held
from tests.running import run_cli, slow

BROKEN = """
import torch
from lightning import Callback
from torch.utils.data import DataLoader
from src.data import SparseFeatures
from src.model import ReLUOutputModel


class InTheConstructor(ReLUOutputModel):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.scale = torch.ones(2) @ torch.ones(3)


class Refusing(ReLUOutputModel):
    def __init__(self, slope: float = 2.0, **arguments):
        super().__init__(**arguments)
        if slope > 1:
            raise ValueError("slope must be at most 1")


class InAHook(ReLUOutputModel):
    def activate(self, z):
        return z + torch.ones(7, 7, 7, 7, 7)


class ATypo(ReLUOutputModel):
    def activate(self, z):
        return torch.rleu(z)


class ALaterTypo(ReLUOutputModel):
    def activate(self, z):
        return torch.rleu(z) if z.abs().max() > 0.01 else z


class InAProperty(ReLUOutputModel):
    @property
    def decoder(self):
        return self.V


class Forgotten(ReLUOutputModel):
    def activate(self, z):
        torch.relu(z)


class Shared(ReLUOutputModel):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.theta = torch.nn.Parameter(torch.tensor(0.1))


class WithoutWeights(ReLUOutputModel):
    def feature_losses(self, x):
        return super().feature_losses(x)


class Summed(ReLUOutputModel):
    def error(self, x, reconstruction):
        return (x - reconstruction).square().sum(-1)


class AsksForTheStep(ReLUOutputModel):
    def activate(self, z):
        return torch.relu(z) * (1 + 0 * self.trainer.global_step)


class InAWorker(SparseFeatures):
    def train_dataloader(self):
        return DataLoader(range(99), num_workers=1, collate_fn=lambda found: {}["mine"])


def made(n_features: int = 6) -> SparseFeatures:
    return SparseFeatures(n_features)


class InACallback(Callback):
    def on_train_start(self, trainer, pl_module):
        raise KeyError("mine")
"""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of a user's own, with mistakes in it."""
    name = f"broken_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_mistake_in_a_users_constructor_is_a_traceback_and_nothing_is_left(broken: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        run_cli(tmp_path / "runs", f"--model={broken}.InTheConstructor")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "where", "what"),
    [
        ("InAHook", "in activate", "RuntimeError: The size of tensor a"),
        ("ATypo", "in activate", "AttributeError: module 'torch' has no attribute 'rleu'"),
        ("ALaterTypo", "in activate", "AttributeError: module 'torch' has no attribute 'rleu'"),
        ("InAProperty", "in decoder", "AttributeError: 'InAProperty' object has no attribute 'V'"),
        (
            "WithoutWeights",
            "TypeError: WithoutWeights.feature_losses()",
            "takes 2 positional arguments but 3 were given",
        ),
    ],
)
def test_a_mistake_in_a_users_hook_is_a_sentence_that_says_where(
    kind: str, where: str, what: str, broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", f"--model={broken}.{kind}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: model is {kind}; it must be one that runs: ")
    assert where in line
    assert what in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("Forgotten", "what Forgotten.activate returns is NoneType; it must be [1, 2, 6], [instance, batch, feature]."),
        ("Shared", "the shape of Shared.theta is []; it must be [1, ...]: the instance is the first axis"),
    ],
)
def test_what_a_model_lacks_is_said(
    kind: str, sentence: str, broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", f"--model={broken}.{kind}") == 2
    assert f"error: {sentence}" in capsys.readouterr().err


def test_a_hook_of_another_shape_is_refused(broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path / "runs", f"--model={broken}.Summed") == 2
    assert (
        "what Summed.error returns is [1, 2]; it must be [1, 2, 6], [instance, batch, feature]."
        in capsys.readouterr().err
    )


def test_a_mistake_in_a_users_callback_is_a_traceback(broken: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        run_cli(tmp_path / "runs", f"--trainer.callbacks+={broken}.InACallback")


def test_a_users_constructor_refuses_in_a_sentence(
    broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(tmp_path / "runs", f"--model={broken}.Refusing") == 2
    assert capsys.readouterr().err == "error: Refusing refuses its settings: slope must be at most 1\n"
    assert run_cli(tmp_path / "runs", f"--model={broken}.Refusing", "--model.slope=1", max_steps=60) == 0


@pytest.mark.slow
def test_a_mistake_in_a_worker_process_is_a_traceback_too(broken: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        run_cli(tmp_path / "runs", f"--data={broken}.InAWorker")


@pytest.mark.parametrize("argument", ["--model={}.AsksForTheStep", slow("--data={}.made")])
def test_what_a_user_may_write_passes_the_gate(argument: str, broken: str, tmp_path: Path) -> None:
    assert run_cli(tmp_path / "runs", argument.format(broken), max_steps=60) == 0


def test_a_librarys_error_names_who_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli(tmp_path / "runs", "--trainer.gradient_clip_val=-1", "--trainer.gradient_clip_algorithm=junk") == 2
    assert capsys.readouterr().err.startswith("error: Trainer refuses its settings: `gradient_clip_algorithm` junk is")


def test_what_is_raised_here_is_not_a_librarys() -> None:
    with pytest.raises(ZeroDivisionError), in_a_sentence():
        1 / 0  # noqa: B018


def test_warnings_wait_until_nothing_is_refused() -> None:
    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: shown.append(str(message))
        with warnings_held():
            warnings.warn("first", stacklevel=1)
            assert shown == []
            release_warnings()
            warnings.warn("second", stacklevel=1)
        with warnings_held():
            warnings.warn("of what is refused", stacklevel=1)
    assert shown == ["first", "second"]


def test_a_null_is_refused_where_a_value_is_asked_for_and_taken_where_it_may_be() -> None:
    start = {"class_path": "src.starts.Basin", "init_args": {"seed": None}}
    model = {"class_path": "src.model.ReLUOutputModel", "init_args": {"init_std": None, "seeds": None, "start": start}}
    with pytest.raises(ConfigError, match=r"^model\.start\.seed is null; it must be given: int\.$"):
        refuse_nulls({"model": model})
    start["init_args"]["seed"] = 3  # type: ignore[index]
    refuse_nulls({"model": model})
    with pytest.raises(ConfigError, match=r"^callbacks\[0\]\.reach is null; it must be given: float\.$"):
        refuse_nulls({"callbacks": [{"class_path": "callbacks.landscape.Landscape", "init_args": {"reach": None}}]})
