"""Whether a stack fits into memory, before it is made."""

from pathlib import Path

import psutil

from src.errors import ConfigError

CGROUP = Path("/sys/fs/cgroup")  # version 2: what a container may use
SHARE = 0.9  # of what is free that a run may take
BYTES = 4  # of a number in single precision
STATE_COPIES = 6  # of the parameters: themselves, gradients, two moments of Adam, and temporaries of a step
HIDDEN_VECTORS = 2 * 1024  # of examples that are looked at together, and what flows back
BYTES_OF_A_ROW = 6 * 1024  # Python's for one instance: its name, seed and row of the census


def free_bytes() -> int:
    """Memory that this process can still get: of the machine, and of its container where there is one."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such files, or "max": no limit
        return free
    return max(0, min(free, limit - used))


def require_memory(field: str, count: int, bytes_each: int, beside: int = 0) -> None:
    """Raise a `ConfigError` that says how many fit, unless `count` things of `bytes_each` do, beside so many bytes."""
    free = max(0, int(SHARE * free_bytes()) - beside)
    if count * bytes_each > free:
        raise ConfigError(
            f"{field} is {count}; it must be at most {free // bytes_each}, as many as fit: each takes "
            f"{bytes_each / 1024:,.0f} KiB with these settings, and {free / 2**30:.1f} GiB of memory are free."
        )
