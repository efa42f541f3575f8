"""Checkpoints: written whole, the one before kept, and read without believing them."""

import io
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Set
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from src.errors import ConfigError, require
from src.runs.folder import PREVIOUS, write_whole

VERSION = "pytorch-lightning_version"
SAVED = {"state_dict", "global_step", VERSION}  # in every checkpoint of a fit
COUNT = range(2**63)
# Of what type the parts are that are there. `[int]` is a list of numbers, `{str: int}` a dictionary of any number of
# names, `{"n": int}` one that has the name n.
FORMS: dict[str, Any] = {
    "state_dict": {str: Tensor},
    "global_step": COUNT,
    "epoch": COUNT,
    VERSION: str,
    "hyper_parameters": {str: object},
    "arguments_at_start": {str: object},
    "optimizer_at_start": [{str: object}],
    "optimizer": str,
    "lr_scheduler": [str],
    "model_class": str,
    "data": {str: object},
    "instance_names": [str],
    "instance_columns": {str: list},
    "loops": {str: dict},
    "callbacks": {str: dict},
    "optimizer_states": [{"state": {object: dict}, "param_groups": [{"params": [int]}]}],
    "lr_schedulers": [{str: object}],
    "diverged": {int: COUNT},
    "gradient_norms": [{"totals": [Tensor | float], "n_steps": [COUNT]}],
}
# What reading a file can raise that is damaged, cut off, or none of torch's, or that would run code.
UNREADABLE = (
    OSError, RuntimeError, EOFError, LookupError, AttributeError, TypeError, ValueError, AssertionError,
    NotImplementedError, MemoryError, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside the file that it replaces, so that there is always a whole one.

    Lightning's own writes into the system's temporary folder first, which may be full, or on another file system: then
    the last step is a copy, and what interrupts it leaves a part.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getbuffer(), durable=True)


def keep_previous(path: Path) -> None:
    """Before a checkpoint is replaced: give the present one a second name, `previous.ckpt`."""
    if not path.is_file():
        return
    previous, part = path.with_name(PREVIOUS), path.with_name(f"{PREVIOUS}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(path, part)
    except OSError:  # a file system without links
        shutil.copyfile(path, part)
    os.replace(part, previous)


def read_checkpoint(path: Path, field: str = "ckpt_path", needed: Set[str] = SAVED) -> dict[str, Any]:
    """A checkpoint, on the CPU. It holds tensors and plain values only: no code in it is run.

    Args:
        field: the setting that names it.
        needed: what must be in it, by default what every checkpoint of a fit has.

    Raises:
        ConfigError: if there is no such file, or it is damaged, cut off or none of a fit. The sentence names the
            checkpoint that was saved before it, where there is one.
    """
    require(path.is_file(), field, path, "an existing checkpoint file")
    try:
        checkpoint = _read(path)
    except UNREADABLE:
        raise ConfigError(f"{field} is {path}; it must be a checkpoint, with tensors only.{_instead(path)}") from None
    is_of_fit = isinstance(checkpoint, dict) and checkpoint.keys() >= needed
    require(is_of_fit, field, path, "the checkpoint of a fit")
    for name in FORMS if needed >= SAVED else needed:  # of another's checkpoint nothing else is known
        fits = name not in checkpoint or _fits(checkpoint[name], FORMS[name])
        require(fits, field, path, f"one whose {name} is as a fit writes it")
    version = checkpoint.get(VERSION, "2.0")
    require(re.match(r"\d+\.\d+", version) is not None, field, path, f"one whose {VERSION} is one, not {version!r}")
    for name, value in checkpoint["state_dict"].items():
        require(_is_finite(value), field, path, f"one whose {name} is finite")
    return checkpoint


def _is_finite(value: Tensor) -> bool:
    try:
        return value.layout == torch.strided and bool(value.isfinite().all())
    except RuntimeError:  # it has no values, or none that can be looked at
        return False


def _fits(value: Any, form: Any) -> bool:
    """Whether the value is of a form as in `FORMS`."""
    if isinstance(form, list):
        return isinstance(value, list) and all(_fits(one, form[0]) for one in value)
    if not isinstance(form, dict):
        return type(value) is int and value in form if isinstance(form, range) else isinstance(value, form)
    if not isinstance(value, dict):
        return False
    if all(isinstance(name, str) for name in form):
        return all(name in value and _fits(value[name], part) for name, part in form.items())
    ((names, part),) = form.items()
    return all(_fits(name, names) and _fits(own, part) for name, own in value.items())


def _read(path: Path) -> Any:
    with zipfile.ZipFile(path) as file:
        if file.testzip() is not None:  # torch reads changed numbers without a word
            raise ValueError("a checksum is wrong")
    return torch.load(path, map_location="cpu", weights_only=True)


def last_readable(path: Path) -> Path | None:
    """This checkpoint or, where it is damaged, the one before it; None if neither can be read."""
    for candidate in (path, path.with_name(PREVIOUS)):
        try:
            read_checkpoint(candidate)
        except ConfigError:
            continue
        return candidate
    return None


def _instead(path: Path) -> str:
    previous = path.with_name(PREVIOUS)
    if path == previous or last_readable(previous) is None:
        return ""
    return f" The one saved before it, of step {read_checkpoint(previous)['global_step']:,}, is {previous}."
