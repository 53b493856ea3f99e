"""Which files are really opened: the kernel says so."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IN_OPEN = 0x20
IN_ISDIR = 0x40000000
IN_Q_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")


class Opens:
    """The files below a folder that any process has opened since this was made (inotify(7))."""

    def __init__(self, folder: Path) -> None:
        if not sys.platform.startswith("linux"):
            pytest.skip("inotify is Linux's")
        self._library = ctypes.CDLL(None, use_errno=True)
        self._file = self._call(self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders: dict[int, Path] = {}
        for place in (folder, *(found for found in folder.rglob("*") if found.is_dir())):
            name = ctypes.c_char_p(os.fsencode(place))
            watch = self._call(self._library.inotify_add_watch(self._file, name, IN_OPEN))
            self._folders[watch] = place.relative_to(folder)

    @staticmethod
    def _call(answer: int) -> int:
        if answer < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return answer

    def files(self) -> set[str]:
        """Return the files opened since the last call, relative to the folder."""
        found: set[str] = set()
        while True:
            try:
                data = os.read(self._file, 2**16)
            except BlockingIOError:
                return found
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, offset)
                start = offset + _EVENT.size
                name = os.fsdecode(data[start : start + length].rstrip(b"\0"))
                offset = start + length
                assert not mask & IN_Q_OVERFLOW, "more was opened than the kernel remembers"
                if not mask & IN_ISDIR:
                    found.add(str(self._folders[watch] / name))

    def close(self) -> None:
        """Stop watching."""
        os.close(self._file)


@contextmanager
def opens_below(folder: Path) -> Iterator[Opens]:
    """Watch a folder and what lies below it for the length of a ``with`` block."""
    watched = Opens(folder)
    try:
        yield watched
    finally:
        watched.close()
