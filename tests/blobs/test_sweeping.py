"""Blobs that nothing needs are removed, and no other, whoever stores and reads meanwhile (DM-3)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coflux.blobs import LocalBlobs, sweeping
from coflux.blobs.local import is_in_place
from coflux.errors import NotFound

#: Seconds: what is older may go.
BEFORE = 1_000_000.0
OLD, NEW = BEFORE - 1, BEFORE + 1


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


def stored(blobs: LocalBlobs, data: bytes, at: float = OLD) -> str:
    key = blobs.put_bytes(data)
    os.utime(blobs.path(key), (at, at))
    return key


def sweep(blobs: LocalBlobs, *needed: str) -> list[str]:
    """What was removed."""
    found = [key for key, _ in sweeping.unneeded(blobs.folder, needed.__contains__, BEFORE)]
    return [
        key for key in found if sweeping.remove(blobs.folder, key, needed.__contains__, BEFORE)
    ]  # fmt: skip


def test_what_nothing_needs_goes_once_the_grace_has_passed_DM_3(blobs: LocalBlobs) -> None:
    needed, old, fresh = stored(blobs, b"1"), stored(blobs, b"2"), stored(blobs, b"3", NEW)
    found = dict(sweeping.unneeded(blobs.folder, {needed}.__contains__, BEFORE))
    assert found == {old: 1}
    assert sweep(blobs, needed) == [old]
    assert [blobs.exists(key) for key in (needed, old, fresh)] == [True, False, True]
    assert sweep(blobs, needed) == []
    assert list((blobs.folder / "tmp").iterdir()) == []


def test_storing_again_begins_the_grace_anew_DM_3(blobs: LocalBlobs, tmp_path: Path) -> None:
    first, second, third = (stored(blobs, data) for data in (b"1", b"2", b"3"))
    blobs.put_bytes(b"1")
    (tmp_path / "file").write_bytes(b"2")
    blobs.put_file(tmp_path / "file")
    blobs.renew(third)
    assert sweep(blobs) == []
    assert all(map(blobs.exists, (first, second, third)))


def test_a_blob_that_is_renewed_while_it_is_looked_at_stays(blobs: LocalBlobs) -> None:
    key = stored(blobs, b"1")
    list(sweeping.unneeded(blobs.folder, lambda key: False, BEFORE))
    blobs.put_bytes(b"1")
    assert not sweeping.remove(blobs.folder, key, lambda key: False, BEFORE)
    assert blobs.read(key) == b"1"


def test_a_blob_that_comes_to_be_needed_while_it_is_moved_aside_is_put_back(
    blobs: LocalBlobs,
) -> None:
    key = stored(blobs, b"1")
    assert not sweeping.remove(blobs.folder, key, lambda key: not blobs.exists(key), BEFORE)
    assert blobs.read(key) == b"1"


def test_who_renews_what_is_moved_aside_at_that_moment_stores_it_anew_DM_3(
    blobs: LocalBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = stored(blobs, b"1")

    def renew(descriptor: int, *times: object) -> None:
        """The collector comes between opening the file and setting its time."""
        monkeypatch.setattr(os, "utime", real)
        assert sweep(blobs) == [key]
        real(descriptor)

    real: Callable[..., None] = os.utime
    monkeypatch.setattr(os, "utime", renew)
    assert blobs.put_bytes(b"1") == key
    assert blobs.read(key) == b"1"


def test_a_blob_stored_anew_while_the_old_one_is_aside_is_not_replaced(blobs: LocalBlobs) -> None:
    key = stored(blobs, b"1")

    def is_needed(key: str) -> bool:
        blobs.put_bytes(b"1")
        return True

    assert not sweeping.remove(blobs.folder, key, is_needed, BEFORE)
    assert blobs.read(key) == b"1"
    assert list((blobs.folder / "tmp").iterdir()) == []


def test_what_a_killed_collector_had_moved_aside_gets_its_place_again(blobs: LocalBlobs) -> None:
    key = stored(blobs, b"1")
    os.rename(blobs.path(key), blobs.folder / "tmp" / f"removed-{key}")
    assert not blobs.exists(key)
    sweeping.put_back(blobs.folder)
    assert blobs.read(key) == b"1"
    assert list((blobs.folder / "tmp").iterdir()) == []


def test_what_dead_writers_have_left_goes_and_uploads_in_progress_stay_DM_3(
    blobs: LocalBlobs,
) -> None:
    stored(blobs, b"1")
    for name, at in (("dead", OLD), ("gateway-dead", OLD), ("alive", NEW)):
        path = blobs.folder / "tmp" / name
        path.write_bytes(b"half")
        os.utime(path, (at, at))
    assert sweeping.remove_unfinished(blobs.folder, BEFORE) == 2
    assert [path.name for path in (blobs.folder / "tmp").iterdir()] == ["alive"]


def test_a_folder_that_is_not_there_yet_has_nothing(blobs: LocalBlobs) -> None:
    assert sweep(blobs) == []
    sweeping.put_back(blobs.folder)
    assert sweeping.remove_unfinished(blobs.folder, BEFORE) == 0
    blobs.renew("0" * 64)
    blobs.renew("no key")


def test_only_blobs_are_touched(blobs: LocalBlobs) -> None:
    stored(blobs, b"1")
    other = blobs.folder / "ab" / "README"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"")
    os.utime(other, (OLD, OLD))
    sweep(blobs)
    assert other.exists()
    assert not sweeping.remove(blobs.folder, "0" * 64, lambda key: False, BEFORE)


def test_an_open_file_knows_whether_it_is_in_its_place(blobs: LocalBlobs) -> None:
    key = stored(blobs, hashlib.sha256(b"1").digest())
    with blobs.path(key).open("rb") as file:
        assert is_in_place(file.fileno(), blobs.path(key))
        os.unlink(blobs.path(key))
        assert not is_in_place(file.fileno(), blobs.path(key))
    with pytest.raises(NotFound):
        blobs.read(key)
