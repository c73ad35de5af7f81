"""A container engine of the tests' own: `dockerd` in a folder that goes with it.

Belongs here: starting and ending it, and an image whose files are this machine's, mounted. Does not
belong here: pools, or what is expected of them.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import coflux
from coflux.server.launchers.http import Api

from .stack import until

API = "/v1.41"
IMAGE = "coflux-nothing:1"
#: The folder that Coflux is imported from.
PACKAGE = Path(coflux.__file__).parent.parent
_END_S = 30


def is_possible() -> bool:
    """Whether an engine can be started here: it needs `dockerd`, and to be root."""
    return shutil.which("dockerd") is not None and os.geteuid() == 0


class Engine:
    """A running engine with one image, in which there is nothing; to be closed."""

    def __init__(self) -> None:
        # Not pytest's folder: the addresses of Unix sockets are short.
        self.folder = Path(tempfile.mkdtemp(prefix="cfd-"))
        self.address = f"unix://{self.folder}/engine.sock"
        # Not that of the machine's own engine.
        settings = self.folder / "settings.json"
        settings.write_text("{}")
        self._log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "dockerd", "--host", self.address, "--pidfile", str(self.folder / "pid"),
                "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
                "--storage-driver", "vfs", "--bridge", "none", "--iptables=false",
                "--ip6tables=false", "--config-file", str(settings),
            ],
            stdout=self._log, stderr=self._log, cwd=self.folder,
        )  # fmt: skip
        self._api = Api(self.address)
        try:
            until(self._answers, "the engine answers")
            self._make_image()
        except BaseException:
            self.close()
            raise

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the engine ended: {self.said()}")
        try:
            self._api.call("GET", f"{API}/version")
        except OSError:
            return False
        return True

    def said(self) -> str:
        """The last of what it has printed."""
        return (self.folder / "log").read_text("utf-8", "replace")[-4000:]

    def _make_image(self) -> None:
        nothing = io.BytesIO()
        with tarfile.open(fileobj=nothing, mode="w") as tar:
            tmp = tarfile.TarInfo("tmp")
            tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(tmp)
        path = self.folder / "image.tar"
        path.write_bytes(nothing.getvalue())
        name, _, tag = IMAGE.partition(":")
        subprocess.run(
            ["docker", "--host", self.address, "import", str(path), f"{name}:{tag}"],
            check=True, stdout=subprocess.DEVNULL, timeout=_END_S,
        )  # fmt: skip

    def containers(self) -> list[dict[str, Any]]:
        """All containers, running or not."""
        found: list[dict[str, Any]] = self._api.call(
            "GET", f"{API}/containers/json", query={"all": "1"}
        )
        return found

    def close(self) -> None:
        """End it with all its containers."""
        try:
            if self._process.poll() is None:
                for container in self.containers():
                    path = f"{API}/containers/{container['Id']}"
                    self._api.call("DELETE", path, query={"force": "1"})
        finally:
            self._process.terminate()
            self._process.wait(_END_S)
            self._log.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def volumes(work: Path) -> str:
    """What makes the empty image one with Python, Coflux and the files in `work`, read-only."""
    needed = ("/usr", "/lib", "/lib64", sys.base_prefix, sys.prefix, str(PACKAGE), str(work))
    there = [path for path in dict.fromkeys(needed) if Path(path).exists()]
    return ",".join(f"{path}:{path}:ro" for path in there if not path.startswith("/usr/"))
