"""Files of TensorBoard events."""

import itertools
import os
import socket
import struct
import time
from pathlib import Path

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event

from src.runs.folder import named


class EventFile:
    """A new file of TensorBoard events in a folder, each with its length and checksums.

    Args:
        began: the time of the first event, which says nothing more than that the run began; by default now.

    TensorBoard's own writer computes the checksums in Python, a byte in about 0.1 µs, in a thread for each file: beside
    a small model's steps that is much. The name ends otherwise than that writer's, whose file may be in the same
    folder.
    """

    _count = itertools.count()

    def __init__(self, folder: Path, began: float | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(self._count)}.charts"
        self._path = folder / name
        self._file = self._path.open("xb")
        self.add(Event(wall_time=time.time() if began is None else began, file_version="brain.Event:2"))

    def add(self, event: Event) -> None:
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        with named(self._path):
            self._file.write(length + _masked_checksum(length) + data + _masked_checksum(data))

    def flush(self) -> None:
        with named(self._path):
            self._file.flush()

    def close(self) -> None:
        with named(self._path):
            self._file.close()  # also where what is pending cannot be written


def _masked_checksum(data: bytes) -> bytes:
    """CRC-32C, turned and shifted as in TensorFlow's record files."""
    checksum = google_crc32c.value(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32)
