"""A kernel of a Jupyter server, driven as a notebook's page drives it.

Belongs here: sending cells and collecting what comes back. Does not belong here: expectations.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import websocket
from lab import PATIENCE_S, TOKEN, Jupyter

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Ran:
    """What a cell left."""

    stdout: str = ""
    stderr: str = ""
    #: MIME bundles of results and displays, in order.
    outputs: list[dict[str, Any]] = field(default_factory=list)
    #: Replaced outputs, by display id.
    updates: list[dict[str, Any]] = field(default_factory=list)
    #: Traceback without colours, if the cell failed.
    error: str = ""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The last output as text."""
        return str(self.outputs[-1]["text/plain"]) if self.outputs else ""


class Kernel:
    """One kernel; a context manager that shuts it down."""

    def __init__(self, jupyter: Jupyter, notebook: str = "flow.ipynb") -> None:
        self.jupyter = jupyter
        session = jupyter.ask(
            "POST", "api/sessions",
            {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}},
        )  # fmt: skip
        self.id = session["kernel"]["id"]
        self.session = session["id"]
        address = jupyter.url.replace("http", "ws", 1)
        self.socket = websocket.create_connection(
            f"{address}api/kernels/{self.id}/channels",
            header=[f"Authorization: token {TOKEN}"],
            timeout=PATIENCE_S,
        )
        #: Everything heard that belongs to no cell that is waited for.
        self.late = Ran()

    def send(self, code: str, *, silent: bool = False, has_prompt: bool = False) -> str:
        """Send a cell without waiting; its message's id. With a prompt it may ask for input."""
        return self._send(
            "execute_request",
            {
                "code": code, "silent": silent, "store_history": not silent,
                "user_expressions": {}, "allow_stdin": has_prompt, "stop_on_error": False,
            },
        )  # fmt: skip

    def run(self, code: str) -> Ran:
        """Run a cell to its end; fails if the cell does."""
        ran = self.attempt(code)
        assert not ran.error, ran.error
        return ran

    def attempt(self, code: str) -> Ran:
        """Run a cell to its end."""
        return self.wait(self.send(code))

    def wait(self, id: str) -> Ran:
        """Wait for the end of a cell that was sent."""
        ran = Ran()
        began = time.monotonic()
        missing = {"idle", "reply"}
        while missing:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") != id:
                self._hear(message, self.late)
                if message["header"]["msg_type"] == "update_display_data":
                    ran.updates.append(message["content"]["data"])
                continue
            self._hear(message, ran)
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                missing.discard("idle")
            elif kind == "execute_reply":
                missing.discard("reply")
        ran.seconds = time.monotonic() - began
        return ran

    def until_said(self, id: str, text: str) -> None:
        """Wait until a cell that was sent has printed something."""
        said = ""
        while text not in said:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") != id:
                self._hear(message, self.late)
            elif message["header"]["msg_type"] == "stream":
                said += message["content"]["text"]

    def answer(self, *texts: str) -> list[str]:
        """Answer what a running cell asks for, one after the other; gives its prompts."""
        prompts = []
        for text in texts:
            while True:
                message = json.loads(self.socket.recv())
                if message["header"]["msg_type"] == "input_request":
                    break
                self._hear(message, self.late)
            prompts.append(str(message["content"]["prompt"]))
            self._send("input_reply", {"value": text}, "stdin", message["header"])
        return prompts

    def complete(self, line: str) -> list[str]:
        """What the kernel offers at the end of a line."""
        id = self._send("complete_request", {"code": line, "cursor_pos": len(line)})
        while True:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") == id and message["channel"] == "shell":
                return list(message["content"]["matches"])

    def until_update(self, text: str) -> dict[str, Any]:
        """Wait until an output has been replaced by one whose text has `text` in it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for data in self.late.updates:
                if text in str(data.get("text/plain", "")):
                    return data
            self._hear(json.loads(self.socket.recv()), self.late)
        raise AssertionError(f"no output was replaced by one with {text!r}")

    def interrupt(self) -> None:
        """What the Stop button does."""
        self.jupyter.ask("POST", f"api/kernels/{self.id}/interrupt")

    def restart(self) -> None:
        """What the Restart button does."""
        self.jupyter.ask("POST", f"api/kernels/{self.id}/restart")

    def close(self) -> None:
        self.socket.close()
        self.jupyter.ask("DELETE", f"api/sessions/{self.session}")

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(
        self,
        kind: str,
        content: dict[str, Any],
        channel: str = "shell",
        parent: dict[str, Any] | None = None,
    ) -> str:
        id = uuid.uuid4().hex
        header = {
            "msg_id": id, "msg_type": kind, "username": "test", "session": "test",
            "version": "5.3",
        }  # fmt: skip
        self.socket.send(
            json.dumps(
                {
                    "header": header, "parent_header": parent or {}, "metadata": {},
                    "content": content, "channel": channel,
                }
            )
        )  # fmt: skip
        return id

    def _hear(self, message: dict[str, Any], ran: Ran) -> None:
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            plain = _COLOURS.sub("", content["text"])
            if content["name"] == "stdout":
                ran.stdout += plain
            else:
                ran.stderr += plain
        elif kind in ("execute_result", "display_data"):
            ran.outputs.append(content["data"])
        elif kind == "update_display_data":
            ran.updates.append(content["data"])
            self.late.updates.append(content["data"])
        elif kind == "error":
            ran.error = _COLOURS.sub("", "\n".join(content["traceback"]))
