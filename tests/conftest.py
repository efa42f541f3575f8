"""Shapes in annotations are checked at every call while the tests run."""

import functools
import importlib
import os
import pkgutil
from collections import Counter
from pathlib import Path
from typing import Any

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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the shards of `tests/fuzz` found, together: they run in other processes, whose output is not shown."""
    found = Counter[str]()
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        found.update(dict(report.user_properties).get("fuzz", {}))
    if found:
        seed = os.environ.get("TOY_FUZZ_SEED", "0")
        counts = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        terminalreporter.write_line(f"fuzz, from seed {seed}: {counts}")


def _keep_signatures() -> None:
    """Every command line parsed here asks for the signatures of the same classes, which takes a fifth of its time."""
    import jsonargparse._signatures as signatures  # noqa: PLC0415

    found = functools.cache(signatures.get_signature_parameters)
    signatures.get_signature_parameters = lambda *arguments, logger=True: list(found(*arguments))
