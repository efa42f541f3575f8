"""A folder for one process at a time: the system drops its lock when the process ends, however it ends."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from src.errors import ConfigError, require

LOCK = ".lock"
HAS_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # what some network file systems say


@contextmanager
def claim(folder: Path, field: str, allowed: str) -> Iterator[None]:
    """Hold the folder in this block, against other processes and against this one; without locks, go on without.

    Args:
        folder: it is made if it is not there.
        field: the setting that named it.
        allowed: what it must be, such as "a folder in which no other sweep runs".

    Raises:
        ConfigError: if it is held, or cannot be written to.
    """
    lock = FileLock(folder / LOCK, blocking=False, fallback_to_soft=False)  # a soft one outlives a killed process
    try:
        _acquire(lock, folder, field, allowed)
    except OSError as error:
        if error.errno not in HAS_NO_LOCKS:
            written = f"a folder that can be written to: {error.strerror}"
            raise ConfigError(f"{field} is {folder}; it must be {written}.") from None
    try:
        yield
    finally:
        if lock.is_locked:
            # While it is held: who has opened the file but not locked it will see that it is gone, and be refused.
            with suppress(OSError):
                (folder / LOCK).unlink()
            lock.release()


def _acquire(lock: FileLock, folder: Path, field: str, allowed: str) -> None:
    try:
        lock.acquire()
    except Timeout:
        tempfile.TemporaryFile(dir=folder).close()  # where no file can be made, as in /proc, that is what is wrong
        require(False, field, folder, allowed)
