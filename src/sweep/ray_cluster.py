"""A Ray cluster for a sweep: one that is there, or one of this machine alone. What does not fit is refused at once."""

import logging
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from src.errors import ConfigError, require
from src.stopping import STOPPING

STORE = 100 * 2**20  # bytes of Ray's object store: results are files, and nothing is put there
REACHED = 5  # seconds in which an address has to answer
SHOWN = 10  # seconds in which a shared file system shows a new file
TOKEN = ".cluster"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere, and nothing said about it
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # none of its lines: what they tell of is retried, or told of here
}


class UnseenError(OSError):
    """A machine of the cluster does not see the sweep's folder."""


@contextmanager
def cluster(out: Path, address: str | None, cpus: float, gpus: float) -> Iterator[Any]:
    """Join a cluster, or start one on this machine, and leave it or stop it at the end.

    Args:
        out: the sweep's folder, which every machine has to see.
        address: `auto`, `HOST:PORT`, or None for a cluster of its own.
        cpus, gpus: of one cell. The kernel has as many threads as CPUs, at least one.

    Yields: the module `ray`, connected.

    Raises:
        ConfigError: if Ray is not installed, the cluster cannot be joined, no machine of it is large enough, or one of
            them does not see `out`.
    """
    ray = _connect(address, cpus)
    token = token_in(out)
    try:
        _refuse_too_small(ray, cpus, gpus)
        token.write_text(secrets.token_hex())
        if address is not None:
            _refuse_unseen(ray, token)
        yield ray
    finally:
        with suppress(OSError):
            token.unlink()
        ray.shutdown()


def token_in(out: Path) -> Path:
    """A file that a machine sees if it sees the sweep's folder."""
    return out.absolute() / TOKEN


def machines_of(ray: Any) -> list[dict[str, Any]]:
    return [machine for machine in ray.nodes() if machine["Alive"]]


def _connect(address: str | None, cpus: float) -> Any:
    if address is not None:
        _refuse_unreachable(address)
    os.environ.update(QUIET)  # which Ray reads when it is imported
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigError("--engine is ray, and Ray is missing; install it: pip install -e '.[ray]'.") from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ours = {name: value for name, value in os.environ.items() if name.startswith("TOY_") or name == "CXX"}
    threads = str(max(1, int(cpus)))
    variables = {"COLUMNS": "120", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **ours}
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.CRITICAL}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": STORE}
    handlers = {number: signal.getsignal(number) for number in STOPPING}  # Ray sets one of its own
    try:
        ray.init(address=address or "local", runtime_env={"env_vars": variables}, **options)
    except Exception as error:
        ray.shutdown()
        raise ConfigError(_why_not(address, str(error))) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return ray


def _refuse_unreachable(address: str) -> None:
    """At once, where Ray would try for half a minute and write about it."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    is_address = bool(re.fullmatch(r"[\w.-]+", host)) and port.isdigit() and 0 < int(port) < 2**16
    require(is_address, "--address", address, "`auto`, or HOST:PORT as `ray start --head` prints it")
    try:
        socket.create_connection((host, int(port)), timeout=REACHED).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"--address is {address}; it must be a Ray cluster that answers: {reason}.") from None
    if os.environ.get("RAY_USE_TLS") == "1":
        return
    import grpc  # noqa: PLC0415 - what Ray speaks

    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=REACHED)
        except grpc.FutureTimeoutError:
            require(False, "--address", address, "a Ray cluster; what answers there is none")


def _why_not(address: str | None, message: str) -> str:
    """A sentence of the many lines that Ray says."""
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", message)
    if len(versions) == 2:
        theirs, ours = (f"Ray {ray} with Python {python}" for ray, python in versions)
        return f"--address is {address}, a cluster of {theirs}; it must be one of {ours}, as here."
    first = message.strip().partition("\n")[0].rstrip(".") or "it gives no reason"
    if address is None:
        return f"--engine is ray, which does not start on this machine: {first}."
    return f"--address is {address}; it must be a Ray cluster that this machine is part of: {first}."


def _refuse_too_small(ray: Any, cpus: float, gpus: float) -> None:
    """Ray would wait for a larger machine for ever."""
    for option, kind, wanted in (("--cpus-per-shard", "CPU", cpus), ("--gpus-per-shard", "GPU", gpus)):
        most = max((machine["Resources"].get(kind, 0.0) for machine in machines_of(ray)), default=0.0)
        require(wanted <= most, option, f"{wanted:g}", f"at most {most:g}, the most that a machine of the cluster has")


def _refuse_unseen(ray: Any, token: Path) -> None:
    """Raise a `ConfigError` unless every machine of the cluster sees the sweep's folder, and this project."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    probe = ray.remote(num_cpus=0, max_retries=0)(_sees)
    word, looks = token.read_text(), []
    for machine in machines_of(ray):
        there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
        look = probe.options(scheduling_strategy=there).remote(os.getcwd(), token, word)
        looks.append((machine["NodeManagerHostname"], look))
    for name, look in looks:
        try:
            sees = ray.get(look)
        except ray.exceptions.RayError:
            allowed = f"the project's folder, on storage that every machine sees; {name} cannot run what is in it"
            raise ConfigError(f"the working directory is {os.getcwd()}; it must be {allowed}.") from None
        if not sees:
            refuse_unseen(token, name)


def refuse_unseen(token: Path, machine: str) -> NoReturn:
    allowed = f"on storage that every machine of the cluster sees; {machine} does not"
    raise ConfigError(f"--out is {token.parent}; it must be {allowed}.")


def _sees(directory: str, token: Path, word: str) -> bool:
    """On another machine."""
    return is_seen(token) and token.read_text() == word and Path(directory).is_dir()


def is_seen(token: Path) -> bool:
    """Whether this machine sees the token; a network file system has some seconds to show it."""
    end = time.monotonic() + SHOWN
    while not token.is_file():
        if time.monotonic() > end:
            return False
        with suppress(OSError):
            os.listdir(token.parent)  # which makes it look
        time.sleep(0.2)
    return True
