"""Files and folders that are written whole, or not at all."""

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ganjax
from ganjax.files import (
    cache_folder,
    lock_folder,
    make_folder,
    write_file,
    write_folder,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fail(*args):
    raise RuntimeError("a bug in the caller")


@pytest.fixture
def umask():
    """Sets the umask for the time of a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def test_files_have_the_content_and_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_file(path, lambda file: file.write(b"\x00\xff\n"))
    assert path.read_bytes() == b"\x00\xff\n"
    write_file(path, lambda file: (file.write(b"0123"), file.seek(1), file.write(b"x")))
    assert path.read_bytes() == b"0x23"  # zip files are written with seek
    assert names(path.parent) == ["file.bin"]


def test_text_is_utf8_without_translation_of_lines(tmp_path):
    write_text(tmp_path / "file.txt", "π ≈ 3.14\r\nné\n")
    expected = b"\xcf\x80 \xe2\x89\x88 3.14\r\nn\xc3\xa9\n"
    assert (tmp_path / "file.txt").read_bytes() == expected


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"

    def write_half(file):
        file.write(b"half")
        fail()

    with pytest.raises(RuntimeError, match="a bug in the caller"):
        write_file(path, write_half)
    assert names(tmp_path) == []
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="a bug in the caller"):
        write_file(path, write_half)
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half of a surrogate pair: \ud800")
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


def test_the_old_file_is_complete_until_the_new_one_is(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def write(file):
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    write_file(path, write)
    assert path.read_text() == "new"


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_text("kept")
    with pytest.raises(OSError):
        write_text(tmp_path / "folder", "text")
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["inside"]


def test_a_file_in_the_place_of_a_parent_is_an_os_error(tmp_path):
    write_text(tmp_path / "file", "text")
    with pytest.raises(OSError):
        write_text(tmp_path / "file" / "below.txt", "text")
    with pytest.raises(OSError), write_folder(tmp_path / "file" / "below"):
        pass
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("mask,expected", [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, umask, mask, expected):
    umask(mask)
    write_text(tmp_path / "file.txt", "text")
    with write_folder(tmp_path / "folder") as new:
        (new / "inside.txt").write_text("text")
    assert permissions(tmp_path / "file.txt") == expected
    assert permissions(tmp_path / "folder" / "inside.txt") == expected
    assert permissions(tmp_path / "folder") == expected | 0o111 & ~mask


def test_threads_write_at_the_same_time(tmp_path, umask):
    """Each file is one of the contents, and the umask of the process stays as it is."""
    umask(0o027)
    contents = [str(i) * 10_000 for i in range(8)]
    barrier = threading.Barrier(8)

    def write(text):
        barrier.wait()
        for i in range(20):
            write_text(tmp_path / f"{i}.txt", text)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, contents))
    assert names(tmp_path) == sorted(f"{i}.txt" for i in range(20))
    assert all(path.read_text() in contents for path in tmp_path.iterdir())
    assert {permissions(path) for path in tmp_path.iterdir()} == {0o640}
    assert umask(0o027) == 0o027


def test_folders_are_replaced_whole(tmp_path):
    path = tmp_path / "a" / "folder"
    with write_folder(path) as new:
        assert not path.exists()
        (new / "one.txt").write_text("1")
        (new / "two").mkdir()
    assert names(path) == ["one.txt", "two"]
    with write_folder(path) as new:
        assert new.is_dir() and names(new) == []
        (new / "three.txt").write_text("3")
        assert names(path) == ["one.txt", "two"]  # until the block ends
    assert names(path) == ["three.txt"]
    assert names(path.parent) == ["folder"]


def test_an_error_in_the_block_leaves_the_old_folder(tmp_path):
    path = tmp_path / "folder"
    for expected in ([], ["folder"]):
        with pytest.raises(RuntimeError), write_folder(path) as new:
            (new / "half.txt").write_text("half")
            fail()
        assert names(tmp_path) == expected
        with write_folder(path) as new:
            (new / "whole.txt").write_text("whole")
    assert names(path) == ["whole.txt"]


def test_a_folder_replaces_a_file_and_a_link(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept.txt").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("text")
    for name in ("link", "dangling", "file"):
        with write_folder(tmp_path / name) as new:
            (new / "new.txt").write_text(name)
        assert not (tmp_path / name).is_symlink()
        assert (tmp_path / name / "new.txt").read_text() == name
    assert names(tmp_path / "target") == ["kept.txt"]
    assert names(tmp_path) == ["dangling", "file", "link", "target"]


def test_make_folder_returns_a_folder_for_writing(tmp_path):
    path = tmp_path / "a" / "b"
    for _ in range(2):
        assert make_folder(path) == path and names(path) == []


def test_folders_that_cannot_be_made_are_user_errors(tmp_path):
    (tmp_path / "file").write_text("text")
    for path, reason in (("file", "File exists"), ("file/below", "Not a directory")):
        message = f"^--out={tmp_path / path}: expected a folder.*{reason}"
        with pytest.raises(ganjax.UserError, match=message):
            make_folder(tmp_path / path, "--out")
    with pytest.raises(ganjax.UserError, match="^--workdir="):
        make_folder(tmp_path / "file")


def test_folders_without_permission_are_user_errors(tmp_path, monkeypatch):
    """Root may write anywhere, hence a simulated error."""

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ganjax.files.tempfile.TemporaryFile", refuse)
    with pytest.raises(ganjax.UserError, match="written to.*Permission denied"):
        make_folder(tmp_path)


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GANJAX_CACHE", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "ganjax"
    monkeypatch.setenv("GANJAX_CACHE", "")
    assert cache_folder() == tmp_path / ".cache" / "ganjax"
    monkeypatch.setenv("GANJAX_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.setenv("GANJAX_CACHE", "/data/cache")
    assert cache_folder() == Path("/data/cache")


HOLD = """
import sys, time
from pathlib import Path
from ganjax.files import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.mark.subprocess
def test_a_locked_folder_names_its_process_and_is_free_once_that_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(
            ganjax.UserError, match=f"--workdir=.*process {holder.pid} on "
        ):
            with lock_folder(tmp_path):
                pass
        holder.send_signal(signal.SIGKILL)
    with lock_folder(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()
    with lock_folder(tmp_path):  # free again after the block
        pass
