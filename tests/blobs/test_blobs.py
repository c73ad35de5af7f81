"""AS-5: bytes by their hash, whole or not at all, wherever they are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from blob_server import BlobServer, serving

from coflux.blobs import BlobChain, Blobs, HttpBlobs, LocalBlobs, is_key
from coflux.errors import CofluxError, Forbidden, NotFound, Refused, Unavailable

DATA = b"some bytes"
SHA = sha256(DATA).hexdigest()
BAD_KEYS = [
    "",
    "x",
    "../../etc/passwd",
    SHA.upper(),
    SHA[:-1],
    SHA + "0",
    "/" * 64,
    f"{SHA[:-1]}\n",
]


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")


@pytest.fixture
def server() -> Iterator[BlobServer]:
    with serving() as server:
        yield server


@pytest.fixture
def http(server: BlobServer) -> Iterator[HttpBlobs]:
    blobs = HttpBlobs(server.url, "secret")
    yield blobs
    blobs.close()


@pytest.fixture(params=["local", "http", "chain"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "chain":
        return BlobChain([LocalBlobs(tmp_path / "first"), LocalBlobs(tmp_path / "second")])
    store: Blobs = request.getfixturevalue(request.param)
    return store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- every store --------------------------------------------------------------------------------


def test_bytes_come_back_by_their_hash(blobs: Blobs, tmp_path: Path) -> None:
    for data in (DATA, b"", bytes(300_000)):
        sha = blobs.put_bytes(data)
        assert sha == sha256(data).hexdigest()
        assert blobs.put_bytes(data) == sha
        assert blobs.exists(sha)
        assert blobs.read(sha) == data
        with blobs.open(sha) as reader:
            assert reader.size == len(data)
            assert b"".join(reader) == data
        blobs.fetch_to(sha, tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == data


def test_files_are_stored_by_their_hash(blobs: Blobs, tmp_path: Path) -> None:
    for data in (DATA, b"", os.urandom(3_000_000)):
        (tmp_path / "file").write_bytes(data)
        assert blobs.put_file(tmp_path / "file") == (sha256(data).hexdigest(), len(data))
        assert blobs.read(sha256(data).hexdigest()) == data


def test_a_missing_blob_is_not_found_and_named(blobs: Blobs, tmp_path: Path) -> None:
    assert not blobs.exists(SHA)
    for read in (blobs.read, blobs.open):
        with pytest.raises(NotFound, match=f"blob {SHA} is missing"):
            read(SHA)
    with pytest.raises(NotFound):
        blobs.fetch_to(SHA, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_malformed_key_is_not_found(blobs: Blobs, key: str) -> None:
    assert not is_key(key)
    assert not blobs.exists(key)
    with pytest.raises(NotFound):
        blobs.read(key)


def test_a_malformed_key_is_refused_before_any_request(server: BlobServer, http: HttpBlobs) -> None:
    for key in BAD_KEYS:
        http.exists(key)
        with pytest.raises(NotFound):
            http.open(key)
    assert server.requests == []


def read_by(blobs: Blobs, size: int) -> None:
    with blobs.open(SHA) as reader:
        while reader.read(size):
            pass


# --- folders ------------------------------------------------------------------------------------


def test_the_layout_of_the_folder(local: LocalBlobs) -> None:
    local.put_bytes(DATA)
    assert files(local.folder) == [f"{SHA[:2]}/{SHA}"]
    assert local.path(SHA) == local.folder / SHA[:2] / SHA
    assert local.size(SHA) == len(DATA)


def test_a_blob_altered_on_disk_is_refused_as_damaged(local: LocalBlobs, tmp_path: Path) -> None:
    local.put_bytes(DATA)
    local.path(SHA).write_bytes(b"same bytes")
    for size in (3, 100, -1):
        with pytest.raises(CofluxError, match=f"blob {SHA} is damaged"):
            read_by(local, size)
    with pytest.raises(CofluxError, match="is damaged"):
        local.fetch_to(SHA, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert files(tmp_path) == [f"blobs/{SHA[:2]}/{SHA}"]


def test_storing_again_mends_a_damaged_blob(local: LocalBlobs) -> None:
    local.put_bytes(DATA)
    for damage in (b"same bytes", b"", b"longer than it was"):
        local.path(SHA).write_bytes(damage)
        local.put_bytes(DATA)
        assert local.read(SHA) == DATA


def test_storing_again_counts_as_a_write(local: LocalBlobs) -> None:
    local.put_bytes(DATA)
    os.utime(local.path(SHA), (1, 1))
    local.put_bytes(DATA)
    assert local.path(SHA).stat().st_mtime > 1


def test_many_threads_may_store_the_same_blob(local: LocalBlobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(local.put_bytes, [DATA] * 50)) == {SHA}
    assert files(local.folder) == [f"{SHA[:2]}/{SHA}"]


def test_a_copy_that_fails_leaves_nothing(local: LocalBlobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        local.put_file(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        local.put_file(tmp_path)
    assert files(tmp_path) == []


KILLED = """
import sys
from pathlib import Path
from coflux.blobs import LocalBlobs
print("started", flush=True)
LocalBlobs(sys.argv[1]).put_file(Path(sys.argv[2]))
"""


def test_a_process_killed_while_storing_leaves_no_blob(local: LocalBlobs, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", KILLED, str(local.folder), str(pipe)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, open(pipe, "wb") as half:
        half.write(bytes(1_000_000))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert all(path.startswith("tmp/") for path in files(local.folder))


def test_large_files_pass_with_flat_memory(local: LocalBlobs, tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    piece = os.urandom(1024 * 1024)
    with open(tmp_path / "large", "wb") as file:
        for _ in range(size // len(piece)):
            file.write(piece)
    tracemalloc.start()
    try:
        sha, stored = local.put_file(tmp_path / "large")
        local.fetch_to(sha, tmp_path / "copy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stored == size == (tmp_path / "copy").stat().st_size
    assert peak < 8 * 1024 * 1024


# --- HTTP ---------------------------------------------------------------------------------------


def test_connections_are_kept(server: BlobServer, http: HttpBlobs) -> None:
    for number in range(10):
        http.read(http.put_bytes(b"%d" % number))
    assert (len(server.requests), server.connections) == (20, 1)


def test_a_connection_closed_meanwhile_is_replaced(server: BlobServer, http: HttpBlobs) -> None:
    server.hangs_up = True
    for number in range(5):
        assert http.read(http.put_bytes(b"%d" % number)) == b"%d" % number


def test_large_blobs_are_sent_once(server: BlobServer, http: HttpBlobs, tmp_path: Path) -> None:
    data = bytes(1_000_000)
    (tmp_path / "file").write_bytes(data)
    http.put_bytes(data)
    http.put_file(tmp_path / "file")
    http.put_bytes(data)
    assert [request.partition(" ")[0] for request in server.requests] == [
        "HEAD",
        "PUT",
        "HEAD",
        "HEAD",
    ]


def test_many_threads_share_the_connections(server: BlobServer, http: HttpBlobs) -> None:
    def there_and_back(number: int) -> bytes:
        return http.read(http.put_bytes(b"%d" % number))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(there_and_back, range(100))) == [b"%d" % n for n in range(100)]
    assert server.connections <= 8


def test_a_body_cut_half_way_is_an_error(server: BlobServer, http: HttpBlobs) -> None:
    http.put_bytes(DATA)
    server.cuts = True
    with pytest.raises(CofluxError):
        http.read(SHA)
    with pytest.raises(CofluxError), http.open(SHA) as reader:
        list(reader)


def test_a_reader_left_early_does_not_disturb_the_next(server: BlobServer, http: HttpBlobs) -> None:
    large = http.put_bytes(os.urandom(5_000_000))
    with http.open(large) as reader:
        reader.read(10)
    assert http.read(http.put_bytes(DATA)) == DATA


def test_a_damaged_answer_is_refused(server: BlobServer, http: HttpBlobs) -> None:
    server.blobs[SHA] = b"same bytes"
    with pytest.raises(CofluxError, match="is damaged"):
        http.read(SHA)


def test_refusals_carry_the_server_s_words(server: BlobServer) -> None:
    with pytest.raises(Forbidden, match="who are you"):
        HttpBlobs(server.url, "wrong").put_bytes(DATA)
    with pytest.raises(Forbidden):
        HttpBlobs(server.url).exists(SHA)


def test_a_server_out_of_reach_is_unavailable(server: BlobServer) -> None:
    with serving() as gone:
        url = gone.url
    blobs = HttpBlobs(url, "secret")
    for act in (lambda: blobs.put_bytes(DATA), lambda: blobs.read(SHA), lambda: blobs.exists(SHA)):
        with pytest.raises(Unavailable, match="out of reach"):
            act()


def test_addresses_are_checked_at_once() -> None:
    for url in ("ftp://x", "localhost:80", ""):
        with pytest.raises(ValueError, match="not an HTTP address"):
            HttpBlobs(url)


def test_connections_do_not_cross_a_fork(server: BlobServer, http: HttpBlobs) -> None:
    http.put_bytes(DATA)
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads; agents fork all the same.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0 if http.read(SHA) == DATA else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert server.connections == 2
    assert http.read(SHA) == DATA
    assert server.connections == 2


# --- chains -------------------------------------------------------------------------------------


def test_a_chain_writes_to_the_first_and_reads_in_order(tmp_path: Path) -> None:
    first, second = LocalBlobs(tmp_path / "1"), LocalBlobs(tmp_path / "2")
    chain = BlobChain([first, second])
    chain.put_bytes(DATA)
    assert (first.exists(SHA), second.exists(SHA)) == (True, False)
    other = second.put_bytes(b"other")
    assert chain.exists(other)
    assert chain.read(other) == b"other"


def test_a_chain_passes_over_a_damaged_blob(tmp_path: Path) -> None:
    first, second = LocalBlobs(tmp_path / "1"), LocalBlobs(tmp_path / "2")
    chain = BlobChain([first, second])
    first.put_bytes(DATA)
    first.path(SHA).write_bytes(b"same bytes")
    with pytest.raises(CofluxError, match="is damaged"):
        chain.read(SHA)
    second.put_bytes(DATA)
    assert chain.read(SHA) == DATA
    chain.fetch_to(SHA, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == DATA


def test_a_chain_says_what_was_out_of_reach(tmp_path: Path) -> None:
    with serving() as gone:
        url = gone.url
    chain = BlobChain([LocalBlobs(tmp_path), HttpBlobs(url, "secret")])
    with pytest.raises(Refused, match="out of reach"):
        chain.read(SHA)
    with pytest.raises(ValueError, match="at least one"):
        BlobChain([])
