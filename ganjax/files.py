"""Files that are written whole: a reader sees all of a file or none of it."""

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ganjax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


DAY = 24 * 60 * 60  # seconds
# What to do about an error of the operating system while writing.
REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "make it writable",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.ENOENT: "put back what was moved or deleted",
}


def write_file(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Call `write` with an open binary file, then move that file to `path`.

    Missing folders are made. After an error `path` is what it was before.

    Raises:
      OSError: the file can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, which makes files that only their owner can read.
    scratch = path.parent / f".{path.name}-{secrets.token_hex(4)}"
    with errors_named(path):
        try:
            with open(scratch, "xb") as file:
                write(file)
            os.replace(scratch, path)
        finally:
            with contextlib.suppress(OSError):
                scratch.unlink()


@contextlib.contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Adds a path to errors of the operating system, which has none when writing."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def errors_explained(path: Path) -> Iterator[None]:
    """Turns an error of the operating system while training in `path` into one line.

    Raises:
      UserError: the file, the error, and what to do.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise  # not of the operating system
        raise UserError(
            f"{error.filename or path}: {error.strerror}{remedy(error.errno)}"
        ) from error


def remedy(number: int | None) -> str:
    """What to do about an `errno`, the end of a message."""
    known = f": {REMEDIES[number]}" if number in REMEDIES else ""
    return f"{known}; the same command resumes from the last complete checkpoint"


def remove_scratch(folder: Path, seconds: float = 0.0) -> None:
    """Remove what processes that were killed left in a folder, if it is older.

    Where others may be writing, `seconds` is more than a file takes.
    """
    for path in folder.glob(".*-*"):
        if not re.fullmatch(r"\..+-[0-9a-f]{8}", path.name):
            continue
        with contextlib.suppress(OSError):  # someone else removed it
            if time.time() - path.lstat().st_mtime < seconds:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write these bytes; errors as of `write_file`."""
    write_file(path, lambda file: file.write(content))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file; errors as of `write_file`."""
    write_bytes(path, text.encode())


def unused(folder: Path, name: str) -> Path:
    """A path in a folder that does not exist: NAME, NAME-1, NAME-2, ..."""
    place, number = folder / name, 0
    while os.path.lexists(place):
        number += 1
        place = folder / f"{name}-{number}"
    return place


@contextlib.contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """A scratch folder to fill, which replaces `path` when the block ends.

    After an error in the block `path` is what it was before.

    Raises:
      OSError: the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_scratch(path.parent, DAY)
    scratch = path.parent / f".{path.name}-{secrets.token_hex(4)}"
    scratch.mkdir()
    try:
        new = scratch / "new"
        new.mkdir()
        yield new
        if os.path.lexists(path):  # deleted with `scratch`, after the replacement
            os.replace(path, scratch / "old")
        os.replace(new, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def make_folder(path: Path, flag: str = "--workdir") -> Path:
    """Make a folder and check that files can be written to it.

    Raises:
      UserError: they can't; the message names the flag to change.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(
            f"{flag}={path}: expected a folder that can be written to, "
            f"got {error.strerror!r}"
        ) from error
    return path


@contextlib.contextmanager
def lock_folder(path: Path, flag: str = "--workdir") -> Iterator[None]:
    """Keeps other processes out of a folder that is written to in the block.

    The lock is the operating system's: a process that is killed leaves none behind.
    Where there are no such locks (Windows, some network file systems) nothing is kept
    out.

    Raises:
      UserError: another process has the lock.
    """
    with (path / ".lock").open("a+") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                owner = file.read().strip() or "another process"
                raise UserError(
                    f"{flag}={path}: expected a folder that no process trains in, got "
                    f"that of {owner}: wait for it, or pass another {flag}"
                ) from error
            except OSError:  # not supported by the file system
                pass
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def cache_folder() -> Path:
    """$GANJAX_CACHE or ~/.cache/ganjax: classifiers, reference values, compilations."""
    return Path(os.environ.get("GANJAX_CACHE") or "~/.cache/ganjax").expanduser()
