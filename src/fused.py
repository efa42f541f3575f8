"""`cpp/fused.cpp` as a function of tensors: built once with the machine's own C++ compiler, kept in the user's cache.

Called through ctypes, which lets other Python threads run meanwhile. It has threads of its own (`cpp/threads.h`).
"""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

SOURCES = Path(__file__).parent / "cpp"
MAIN = SOURCES / "fused.cpp"
SWITCH = "TOY_SUPERPOSITION_FUSED"  # 0 in the environment: do without
COMPILERS = ("c++", "g++", "clang++")
MAX_HIDDEN = 16  # beyond it a matrix product is the better way
FLAGS = ("-O2", "-std=c++17", "-shared", "-fPIC", "-pthread", f"-DMAX_HIDDEN={MAX_HIDDEN}")
OPTIONS: tuple[tuple[str, ...], ...] = (("-march=native",), ())  # this machine's vector instructions, if it can
N_THREADS = torch.get_num_threads()  # before anyone changes it: $OMP_NUM_THREADS, or the number of cores
THREADS_FROM = 2**20  # entries of x' from which more than one thread pays


class _Problem(ctypes.Structure):
    """`Problem` in cpp/examples.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_instances", "n_hidden", "n_features", "n_examples")),
        *((name, ctypes.c_int64) for name in ("n_entries", "n_threads", "x_stride")),
        *((name, ctypes.c_void_p) for name in ("W", "b", "x", "row", "column", "value", "weights", "importance")),
        *((name, ctypes.c_void_p) for name in ("losses", "W_gradient", "b_gradient")),
    )


def serves(W: Tensor) -> bool:
    """Whether the fused implementation is there for these weights."""
    return (
        W.device.type == "cpu"
        and W.dtype in (torch.float32, torch.float64)
        and W.shape[1] <= MAX_HIDDEN
        and library() is not None
    )


def solve(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "*instance batch feature"],
    weights: Float[Tensor, " batch"] | None,
    importance: Float[Tensor, "instance feature"] | None,
    losses: Float[Tensor, "instance feature"],
    gradients: tuple[Float[Tensor, "instance hidden feature"], Float[Tensor, "instance feature"]] | None,
) -> None:
    """Write what `objective.losses_and_gradients` returns into contiguous tensors of W's type and the right shapes.

    The library believes what it is told: `objective.py` has checked every shape.
    """
    built = library()
    assert built is not None
    n_instances, n_hidden, n_features = W.shape
    n_examples = x.shape[-2]
    # Named here because the library is given addresses, which do not keep a tensor alive.
    row = column = value = dense = None
    if x.is_sparse:
        entries = x.coalesce()
        row, column = entries.indices().contiguous()
        value = _as(W, entries.values())
    else:
        dense = _as(W, x)
    inputs = (_as(W, W), _as(W, b), dense, row, column, value, _as(W, weights), _as(W, importance))
    is_large = n_instances * n_examples * n_features >= THREADS_FROM
    problem = _Problem(
        n_instances,
        n_hidden,
        n_features,
        n_examples,
        0 if value is None else len(value),
        N_THREADS if is_large else 1,
        n_examples * n_features if x.dim() == 3 else 0,
        *(None if t is None else t.data_ptr() for t in (*inputs, losses, *(gradients or (None, None)))),
    )
    (built.solve_float32 if W.dtype == torch.float32 else built.solve_float64)(ctypes.byref(problem))


def _as(W: Tensor, tensor: Tensor | None) -> Tensor | None:
    if tensor is None or (tensor.dtype is W.dtype and tensor.is_contiguous()):
        return tensor
    return tensor.to(W.dtype).contiguous()


@functools.cache
def library() -> ctypes.CDLL | None:
    """The built library, or None, with a message, where it cannot be had."""
    if os.environ.get(SWITCH) == "0":
        return None
    try:
        path = cache_folder() / f"fused-{_build_key()}.so"
        if not path.exists():
            _build(path)
        return ctypes.CDLL(str(path))
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        _say(f"Without its C++ part ({error}) the objective runs on torch operations, many times slower for stacks.")
        return None


def cache_folder() -> Path:
    """Where builds are kept: `toy-superposition` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "toy-superposition"


def _build_key() -> str:
    """Names what a build depends on: the source, and the machine whose instructions it may use."""
    machine = [platform.system(), platform.machine()]
    with contextlib.suppress(OSError):  # no such file but on Linux
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        machine += sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    sources = [path.read_bytes() for path in sorted(SOURCES.iterdir()) if path.suffix in (".cpp", ".h")]
    parts = (sources, FLAGS, OPTIONS, os.environ.get("CXX"), machine)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _build(path: Path) -> None:
    """Compile into `path`, which appears whole or not at all."""
    commands = [shlex.split(os.environ["CXX"])] if os.environ.get("CXX") else [[name] for name in COMPILERS]
    compiler = next((command for command in commands if shutil.which(command[0])), None)
    if compiler is None:
        raise FileNotFoundError(f"no C++ compiler: {' or '.join(shlex.join(command) for command in commands)}")
    _say(f"Building the objective's C++ part with {shlex.join(compiler)}, once for this machine ...")
    start = time.perf_counter()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        built = Path(folder) / path.name
        for options in OPTIONS:
            command = [*compiler, *FLAGS, *options, "-o", str(built), str(MAIN)]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode == 0:
                break
        else:
            reasons = [line for line in result.stderr.splitlines() if "error" in line] or ["it failed"]
            raise OSError(f"{shlex.join(compiler)}: {reasons[0]}")
        built.replace(path)
    without = " ".join(option for option in OPTIONS[0] if option not in options)
    _say(f"... done in {time.perf_counter() - start:.0f} s{f', without {without}' if without else ''}: {path}")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
