"""Shapes in annotations are checked at every call while the tests run."""

import functools
import importlib
import pkgutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is collected; not where others run the tests and this process only reports."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    import torch  # noqa: PLC0415 - as all below, four seconds that the reporting process need not spend
    from jaxtyping import install_import_hook  # noqa: PLC0415

    torch.set_num_threads(1)  # small tensors gain nothing from more, and lose much on a busy machine
    with install_import_hook(["src", "callbacks"], "beartype.beartype"):
        for package in ("src", "callbacks"):
            for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
                importlib.import_module(module.name)
    _keep_signatures()


def _keep_signatures() -> None:
    """Every command line parsed here asks for the signatures of the same classes, which takes a fifth of its time."""
    import jsonargparse._signatures as signatures  # noqa: PLC0415

    found = functools.cache(signatures.get_signature_parameters)
    signatures.get_signature_parameters = lambda *arguments, logger=True: list(found(*arguments))
