"""AS-1 to AS-4: files become an asset and come back, and nothing is read or written elsewhere."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coflux.assets import MAX_ENTRIES, check, collect, digest, download, restore
from coflux.assets.paths import check_path
from coflux.blobs import LocalBlobs
from coflux.errors import CofluxError, Conflict, InvalidRequest, NotFound
from coflux.model import AssetManifest, Entry

SHA = "0" * 64


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    directory = tmp_path / "base"
    directory.mkdir()
    return directory


@pytest.fixture
def other(tmp_path: Path) -> Path:
    directory = tmp_path / "other"
    directory.mkdir()
    return directory


def fill(base: Path, *paths: str) -> None:
    for path in paths:
        file = base / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content of {path}")


def tree(base: Path) -> dict[str, str]:
    files = (path for path in sorted(base.rglob("*")) if path.is_file())
    return {path.relative_to(base).as_posix(): path.read_text() for path in files}


def paths(manifest: AssetManifest) -> list[str]:
    return [entry.path for entry in manifest.entries]


def manifest_of(*names: str, path: str = ".") -> AssetManifest:
    return AssetManifest(tuple(Entry(name, SHA, 0) for name in names), path=path)


# --- collecting ---------------------------------------------------------------------------------


def test_as_1_a_directory_becomes_entries_in_order(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "b.csv", "a/z.txt", "a/b/c.json")
    (base / "b.csv").chmod(0o750)
    manifest = collect(base=base, blobs=blobs, name="all")
    assert paths(manifest) == ["a/b/c.json", "a/z.txt", "b.csv"]
    assert (manifest.name, manifest.is_file, manifest.path) == ("all", False, ".")
    entry = manifest.entries[2]
    assert (entry.mode, entry.media_type, entry.size) == (0o750, "text/csv", 16)
    assert blobs.read(entry.blob) == b"content of b.csv"


def test_as_1_a_file_becomes_one_entry(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "a/b.txt", "a/c.txt")
    manifest = collect("a/b.txt", base=base, blobs=blobs)
    assert (paths(manifest), manifest.is_file, manifest.path) == (["b.txt"], True, "a/b.txt")
    assert collect(base / "a" / "b.txt", base=base, blobs=blobs) == manifest


def test_as_1_nothing_found_is_an_error(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "a.txt")
    with pytest.raises(FileNotFoundError, match="there is no missing in"):
        collect("missing", base=base, blobs=blobs)
    with pytest.raises(FileNotFoundError, match=r"no file in .* matches '\*\.csv'"):
        collect(base=base, blobs=blobs, match="*.csv")
    with pytest.raises(FileNotFoundError, match="matches"):
        collect("a.txt", base=base, blobs=blobs, match="*.csv")


def test_as_1_an_empty_file_and_an_empty_directory_are_fine(base: Path, blobs: LocalBlobs) -> None:
    (base / "empty").touch()
    (base / "nothing").mkdir()
    assert collect("empty", base=base, blobs=blobs).entries[0].size == 0
    empty = collect("nothing", base=base, blobs=blobs)
    assert empty.entries == ()
    (base / "nothing").rmdir()
    assert restore(empty, base=base, blobs=blobs) == base / "nothing"
    assert (base / "nothing").is_dir()


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("*.csv", ["a.csv", "d/b.csv", "d/e/c.csv"]),
        ("**/*.csv", ["a.csv", "d/b.csv", "d/e/c.csv"]),
        ("./*.csv", ["a.csv"]),
        ("d/*.csv", ["d/b.csv"]),
        ("d/**", ["d/b.csv", "d/e/[x].md", "d/e/c.csv"]),
        ("d/", ["d/b.csv", "d/e/[x].md", "d/e/c.csv"]),
        ("**/e/?.csv", ["d/e/c.csv"]),
        ("[!a].csv", ["d/b.csv", "d/e/c.csv"]),
        ("[a-b].csv", ["a.csv", "d/b.csv"]),
        ("[[]x].md", ["d/e/[x].md"]),
    ],
)
def test_as_1_match_selects_by_pattern(
    base: Path, blobs: LocalBlobs, match: str, expected: list[str]
) -> None:
    fill(base, "a.csv", "d/b.csv", "d/e/c.csv", "d/e/[x].md")
    assert paths(collect(base=base, blobs=blobs, match=match)) == expected


@pytest.mark.parametrize("path", ["..", "../other", "a/../../other", "/etc", "{other}/x"])
def test_as_1_paths_outside_the_directory_are_refused(
    base: Path, other: Path, blobs: LocalBlobs, path: str
) -> None:
    fill(other, "x")
    with pytest.raises(InvalidRequest, match="outside the directory"):
        collect(path.format(other=other), base=base, blobs=blobs)


def test_as_2_links_are_followed_inside_and_not_out(
    base: Path, other: Path, blobs: LocalBlobs
) -> None:
    fill(other, "secret")
    fill(base, "d/a")
    (base / "file").symlink_to("d/a")
    (base / "dir").symlink_to("d")
    (base / "d" / "loop").symlink_to("..")
    (base / "out").symlink_to(other / "secret")
    (base / "out_dir").symlink_to(other)
    (base / "dangling").symlink_to("nowhere")
    assert paths(collect(base=base, blobs=blobs)) == ["d/a", "dir/a", "file"]
    for path in ("out", "out_dir", "out_dir/secret"):
        with pytest.raises(InvalidRequest, match="leads out of"):
            collect(path, base=base, blobs=blobs)


def test_as_2_special_files_are_refused_naming_them(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "d/a")
    os.mkfifo(base / "d" / "pipe")
    with pytest.raises(InvalidRequest, match="d/pipe is a FIFO"):
        collect(base=base, blobs=blobs)
    with pytest.raises(InvalidRequest, match="d/pipe is a FIFO"):
        collect("d/pipe", base=base, blobs=blobs)
    assert paths(collect(base=base, blobs=blobs, match="a")) == ["d/a"]
    (base / "d" / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(base / "sock"))
        with pytest.raises(InvalidRequest, match="sock is a socket"):
            collect(base=base, blobs=blobs)


def test_as_2_names_that_clash_elsewhere_are_refused_before_anything_is_stored(
    base: Path, blobs: LocalBlobs
) -> None:
    fill(base, "d/Report.txt", "d/report.TXT")
    with pytest.raises(InvalidRequest, match="one and the same on some systems"):
        collect(base=base, blobs=blobs)
    assert not blobs.folder.exists()


def test_undecodable_names_are_refused(base: Path, blobs: LocalBlobs) -> None:
    with open(os.fsencode(base) + b"/\xff", "wb"):
        pass
    with pytest.raises(InvalidRequest, match="not valid Unicode"):
        collect(base=base, blobs=blobs)


# --- checking -----------------------------------------------------------------------------------

BAD_PATHS = [
    "",
    ".",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "./a",
    "a//b",
    "a/",
    "/a",
    "//a",
    "C:/a",
    "c:a",
    "a\\b",
    "..\\x",
    "a\x00b",
    "a\nb",
    "a\x1b[31m",
    "a\x85b",
    "CON",
    "con.txt",
    "d/NUL",
    "Aux.tar.gz",
    "com1",
    "LPT9.x",
    "com¹",
    "nul .txt",
    "\ud800",
    "x" * 1025,
    "é" * 513,
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
def test_as_2_unsafe_paths_are_refused_wherever_a_manifest_is_used(
    base: Path, blobs: LocalBlobs, path: str
) -> None:
    unsafe = [manifest_of(path), AssetManifest((Entry("a", SHA, 0),), path=path)]
    for manifest in unsafe[: 1 if path == "." else 2]:
        with pytest.raises(InvalidRequest, match="cannot be part of an asset"):
            check(manifest)
        with pytest.raises(InvalidRequest):
            restore(manifest, base=base, blobs=blobs)
        with pytest.raises(InvalidRequest):
            download(manifest, base, blobs)
    assert os.listdir(base) == []


@pytest.mark.parametrize(
    "path", ["a", "a b/c.txt", ".hidden", "...", "a..b", "console", "com10", "x" * 1024, "日/本"]
)
def test_as_2_ordinary_paths_are_fine(path: str) -> None:
    check(manifest_of(path))


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a/B", "A/b"),
        ("é", "e\u0301"),
        ("ß", "SS"),
        ("a.", "a"),
        ("a ", "a"),
        ("a", "a/b"),
        ("A", "a/b/c"),
        ("a/b/c", "a"),
    ],
)
def test_as_2_paths_must_stay_distinct_when_folded(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest):
        check(manifest_of(*names))


def test_as_2_other_nonsense_is_refused() -> None:
    entries = [Entry("a", "../../etc", 0), Entry("a", SHA, -1), Entry("a", SHA, 0, 0o4755)]
    for entry in entries:
        with pytest.raises(InvalidRequest, match="entry 'a'"):
            check(AssetManifest((entry,)))
    with pytest.raises(InvalidRequest, match="cannot hold"):
        check(AssetManifest((Entry("a", SHA, 0),), is_file=True, path="b"))
    with pytest.raises(InvalidRequest, match="name is longer"):
        check(AssetManifest(name="x" * 101))


def test_as_2_the_number_of_entries_is_limited() -> None:
    entries = tuple(Entry(f"f{number}", SHA, 0) for number in range(MAX_ENTRIES + 1))
    check(AssetManifest(entries[1:]))
    with pytest.raises(InvalidRequest, match="100001 files, and the limit is 100000"):
        check(AssetManifest(entries))


@settings(deadline=None)
@given(st.lists(st.text("./\\aC:\x00\u0301éN", max_size=6), max_size=4).map("/".join))
def test_as_2_accepted_paths_stay_below(path: str) -> None:
    try:
        check_path(path)
    except InvalidRequest:
        return
    assert os.path.normpath(f"/base/{path}") == f"/base/{path}"


# --- restoring ----------------------------------------------------------------------------------


def test_as_3_restoring_gives_the_same_files_again_and_again(
    base: Path, other: Path, blobs: LocalBlobs
) -> None:
    fill(base, "d/a.txt", "d/e/b.txt")
    (base / "d" / "a.txt").chmod(0o700)
    manifest = collect("d", base=base, blobs=blobs)
    for _ in range(2):
        assert restore(manifest, base=other, blobs=blobs) == other / "d"
        assert tree(other) == tree(base)
        assert stat.S_IMODE((other / "d" / "a.txt").stat().st_mode) == 0o700
        (other / "d" / "a.txt").write_text("changed")


def test_as_3_restoring_below_another_directory(base: Path, other: Path, blobs: LocalBlobs) -> None:
    fill(base, "d/a.txt", "d/e/b.txt")
    whole, file = (collect(path, base=base, blobs=blobs) for path in ("d", "d/e/b.txt"))
    assert restore(whole, base=other, blobs=blobs, to="x/y") == other / "x" / "y"
    assert restore(file, base=other, blobs=blobs) == other / "d" / "e" / "b.txt"
    assert restore(file, base=other, blobs=blobs, to=other / "z") == other / "z" / "b.txt"
    expected = ["d/e/b.txt", "x/y/a.txt", "x/y/e/b.txt", "z/b.txt"]
    assert list(tree(other)) == expected


def test_as_3_one_entry_can_be_restored(base: Path, other: Path, blobs: LocalBlobs) -> None:
    fill(base, "d/a.txt", "d/e/b.txt")
    manifest = collect("d", base=base, blobs=blobs)
    restored = restore(manifest, base=other, blobs=blobs, entry="e/b.txt")
    assert restored == other / "d" / "e" / "b.txt"
    assert list(tree(other)) == ["d/e/b.txt"]
    with pytest.raises(NotFound, match="no entry 'e'"):
        restore(manifest, base=other, blobs=blobs, entry="e")


@pytest.mark.parametrize("to", ["..", "/tmp", "a/../..", "../base2"])
def test_as_3_restoring_outside_is_refused(base: Path, blobs: LocalBlobs, to: str) -> None:
    with pytest.raises(InvalidRequest, match="outside the directory"):
        restore(manifest_of("a"), base=base, blobs=blobs, to=to)


def linked(base: Path, other: Path) -> Iterator[Path]:
    for link in (base / "d", base / "d" / "e"):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(other)
        yield link
        link.unlink()


def test_as_3_nothing_is_written_through_a_link(base: Path, other: Path, blobs: LocalBlobs) -> None:
    source = base.parent / "source"
    fill(source, "d/e/b.txt")
    manifest = collect(base=source, blobs=blobs)
    for link in linked(base, other):
        with pytest.raises(Conflict, match="is a link here"):
            restore(manifest, base=base, blobs=blobs)
        with pytest.raises(Conflict, match="is a link here"):
            download(manifest, base, blobs, overwrite=True)
        assert os.listdir(other) == []
        assert link.is_symlink()


def test_as_3_a_link_in_a_file_s_place_is_replaced_and_its_target_left_alone(
    base: Path, other: Path, blobs: LocalBlobs
) -> None:
    fill(base, "a")
    manifest = collect(base=base, blobs=blobs)
    (other / "target").write_text("mine")
    (base / "a").unlink()
    (base / "a").symlink_to(other / "target")
    restore(manifest, base=base, blobs=blobs)
    assert (other / "target").read_text() == "mine"
    assert not (base / "a").is_symlink()


def test_as_3_files_and_directories_do_not_replace_each_other(
    base: Path, other: Path, blobs: LocalBlobs
) -> None:
    fill(base, "a", "d/b")
    manifest = collect(base=base, blobs=blobs)
    (other / "a").mkdir()
    with pytest.raises(Conflict, match="a is a directory here"):
        restore(manifest, base=other, blobs=blobs)
    (other / "a").rmdir()
    fill(other, "e")
    with pytest.raises(Conflict, match="e is a file here"):
        restore(manifest, base=other, blobs=blobs, to="e")


def test_a_damaged_or_missing_blob_leaves_what_was_there(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "a")
    manifest = collect("a", base=base, blobs=blobs)
    (base / "a").write_text("mine")
    path = blobs.path(manifest.entries[0].blob)
    path.write_bytes(b"other")
    with pytest.raises(CofluxError, match="is damaged"):
        restore(manifest, base=base, blobs=blobs)
    path.unlink()
    with pytest.raises(NotFound, match=manifest.entries[0].blob):
        restore(manifest, base=base, blobs=blobs)
    assert tree(base) == {"a": "mine"}


# --- downloading --------------------------------------------------------------------------------


def test_as_3_downloads_never_overwrite_unasked(base: Path, other: Path, blobs: LocalBlobs) -> None:
    fill(base, "d/a", "d/b/c")
    manifest = collect("d", base=base, blobs=blobs)
    target = other / "new" / "place"
    assert download(manifest, target, blobs) == [target / "a", target / "b" / "c"]
    (target / "a").unlink()
    (target / "b" / "c").write_text("mine")
    with pytest.raises(Conflict, match="exists already"):
        download(manifest, target, blobs)
    assert tree(target) == {"b/c": "mine"}
    download(manifest, target, blobs, overwrite=True)
    assert tree(target) == {"a": "content of d/a", "b/c": "content of d/b/c"}


def test_as_3_a_dangling_link_counts_as_something_that_is_there(
    base: Path, other: Path, blobs: LocalBlobs
) -> None:
    fill(base, "a")
    manifest = collect(base=base, blobs=blobs)
    (other / "a").symlink_to("nowhere")
    with pytest.raises(Conflict, match="exists already"):
        download(manifest, other, blobs)


# --- identity -----------------------------------------------------------------------------------


def test_as_4_equal_content_and_entries_give_one_identity(base: Path, blobs: LocalBlobs) -> None:
    fill(base, "d/a", "d/b")
    manifest = collect("d", base=base, blobs=blobs)
    again = msgspec.structs.replace(manifest, entries=manifest.entries[::-1])
    assert digest(manifest) == digest(collect("d", base=base, blobs=blobs)) == digest(again)
    (base / "d" / "a").chmod(0o600)
    changed = collect("d", base=base, blobs=blobs)
    others = [
        manifest,
        changed,
        collect(base=base, blobs=blobs),
        collect("d/a", base=base, blobs=blobs),
    ]
    assert len({digest(each) for each in others}) == 4
