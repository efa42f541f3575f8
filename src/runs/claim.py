"""A run's folder: made before anything is written to it, the run's own alone, and removed if the run is refused."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from src.errors import ConfigError, storage_sentence
from src.runs.folder import CONFIG, FolderGoneError
from src.runs.lock import LOCK, claim

UNTRAINED, EVENTS = (CONFIG, "hparams.yaml", LOCK), "events.out.tfevents"  # what is there before the first step
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)  # no fault of a setting
OTHER = "one in which no other run is at work: give this run another save_dir, or trainer.default_root_dir"
NO_PLACE = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)  # of one, whenever it shows


@contextlib.contextmanager
def own_folder(trainer: Trainer, is_new: bool = True) -> Iterator[None]:
    """The run folder, for as long as a run lasts.

    One that Lightning numbers is made anew, so that of runs that start at once each has its own. One that is named is
    locked: a second run there would write into the first one's files. Without `is_new` it is only added to.

    Raises:
        ConfigError: if it cannot be made or written to, or another run holds it.
    """
    beside = _beside(trainer)
    folder, made, is_numbered = _make(trainer)
    before = _files(trainer, folder)
    with contextlib.ExitStack() as stack:
        if is_new and not is_numbered:
            stack.enter_context(claim(folder, "the run folder", OTHER))
        try:
            yield
        except (ConfigError, OSError) as error:
            has_begun = getattr(trainer.lightning_module, "has_trained", True)
            is_bad_place = (
                isinstance(error, OSError)
                and not isinstance(error, FolderGoneError)
                and (error.errno in NO_PLACE or (not has_begun and error.errno not in FULL))
            )
            if isinstance(error, ConfigError) or is_bad_place or not has_begun:
                _clear(_below(_files(trainer, folder) - before), made)
                for other, missing in beside:
                    _clear(set(other.rglob("*")), missing)
            if isinstance(error, OSError) and is_bad_place:
                raise ConfigError(f"{storage_sentence(error)}; it must be a place that can be written to.") from None
            raise


def _make(trainer: Trainer) -> tuple[Path, list[Path], bool]:
    """The folder, which folders were made for it, itself first, and whether Lightning has numbered it."""
    logger = trainer.logger
    is_numbered = isinstance(logger, TensorBoardLogger | CSVLogger) and logger._version is None
    while True:
        folder, missing = Path(), list[Path]()
        try:
            folder = Path(trainer.log_dir or trainer.default_root_dir)
            missing = _missing(folder)
            folder.mkdir(parents=True, exist_ok=not is_numbered)
            tempfile.TemporaryFile(dir=folder).close()
            return folder, missing, is_numbered
        except FileExistsError as error:
            if is_numbered and not folder.parent.is_file():
                assert isinstance(logger, TensorBoardLogger | CSVLogger)
                logger._version = None  # another run was faster: the next number, if that is another folder
                if os.path.normpath(str(trainer.log_dir)) != os.path.normpath(folder):
                    continue
            _remove_empty(missing)
            raise _refusal(folder, error) from None
        except (OSError, ValueError) as error:
            _remove_empty(missing)
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            raise _refusal(folder, error) from None


def _refusal(folder: Path, error: OSError | ValueError) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(f"the run folder is {str(folder)!r}; it must be one that can be made and written to: {reason}.")


def _missing(folder: Path) -> list[Path]:
    """The folder and those above it that are not there."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _files(trainer: Trainer, folder: Path) -> set[Path]:
    """What is in the folder; of one that is not the run's alone, such as the working directory, not what is below."""
    return set(folder.rglob("*") if isinstance(trainer.logger, TensorBoardLogger | CSVLogger) else folder.glob("*"))


def _below(new: set[Path]) -> set[Path]:
    return new.union(*(path.rglob("*") for path in new))


def _beside(trainer: Trainer) -> list[tuple[Path, list[Path]]]:
    """The folders of further loggers that are not there yet, each with what is missing above it."""
    others = [logger for logger in trainer.loggers[1:] if isinstance(logger, TensorBoardLogger | CSVLogger)]
    folders = [Path(logger.log_dir) for logger in others]
    return [(folder, _missing(folder)) for folder in folders if not folder.exists()]


def _clear(new: set[Path], made: list[Path]) -> None:
    """Remove what a refused run has written, unless it has trained: then what it has recorded stays."""
    if all(path.is_dir() or path.name in UNTRAINED or path.name.startswith(EVENTS) for path in new):
        for path in sorted(new, reverse=True):  # a folder after what is in it
            path.rmdir() if path.is_dir() else path.unlink()
    _remove_empty(made)


def _remove_empty(made: list[Path]) -> None:
    for path in made:
        with contextlib.suppress(OSError, ValueError):  # it was never made, or something is in it
            path.rmdir()
