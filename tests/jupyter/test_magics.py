"""`%coflux` in a real kernel of a real Jupyter server."""

from __future__ import annotations

import re

import pytest
from kernel import Kernel, Ran
from lab import Jupyter, until

pytestmark = pytest.mark.slow

FLOW = """
FACTOR = 5
def scaled(x):
    return x * FACTOR

@cf.task()
def part(x):
    return scaled(x), os.getpid()

@cf.workflow()
def flow(count: int = 3):
    "Adds up parts."
    return [part.submit(n).result() for n in range(count)]
"""


def run_id(ran: Ran) -> str:
    found = re.search(r"R\w{6,}", ran.text)
    assert found is not None, ran
    return found[0]


def test_a_workflow_of_cells_runs_in_other_processes(kernel: Kernel) -> None:
    """Promise 1, CO-3."""
    kernel.run(FLOW)
    ran = kernel.run("%coflux run flow 2")
    assert "flow/flow" in ran.text
    result = eval(kernel.run("_.result()").text)
    assert [value for value, _ in result] == [0, 5]
    mine = int(kernel.run("os.getpid()").text)
    assert mine not in [pid for _, pid in result]


def test_running_returns_at_once_and_the_run_can_be_awaited(kernel: Kernel) -> None:
    kernel.run("@cf.workflow\ndef slow(seconds):\n    time.sleep(seconds)\n    return 'rested'")
    kernel.run("%coflux run slow 0")
    ran = kernel.run("%coflux run slow 3")
    assert ran.seconds < 2.5
    assert kernel.run("await _").text == "'rested'"


def test_interrupting_stops_the_waiting_and_not_the_run(kernel: Kernel) -> None:
    kernel.run("@cf.workflow\ndef slow(seconds):\n    time.sleep(seconds)\n    return 'rested'")
    id = run_id(kernel.run("waited = %coflux run slow 5\nwaited"))
    cell = kernel.send("print('waiting')\nwaited.result()")
    kernel.until_said(cell, "waiting")
    kernel.interrupt()
    ran = kernel.wait(cell)
    assert f"run {id} goes on" in ran.error
    assert "Traceback" not in ran.error
    assert kernel.run("waited.result()").text == "'rested'"


def test_a_redefined_function_counts_from_the_next_run_on(kernel: Kernel) -> None:
    """CO-3: also when only something that the target calls has changed."""
    kernel.run(FLOW)
    assert "[(0," in kernel.run("r = %coflux run flow 1\nr.result()").text
    kernel.run("def scaled(x):\n    return 'changed'")
    assert "'changed'" in kernel.run("r = %coflux run flow 1\nr.result()").text
    kernel.run("scaled = lambda x: FACTOR\nFACTOR = 7")
    assert "[(7," in kernel.run("r = %coflux run flow 1\nr.result()").text


def test_a_workflow_may_be_defined_and_run_in_one_cell(kernel: Kernel) -> None:
    ran = kernel.run(
        "@cf.workflow\ndef here():\n    return 'there'\nr = %coflux run here\nr.result()"
    )
    assert ran.text == "'there'"


def test_submit_starts_a_run_as_the_magic_does(kernel: Kernel) -> None:
    """SU-6."""
    kernel.run("@cf.workflow\ndef doubled(x):\n    return 2 * x")
    assert kernel.run("doubled.submit(21).result()").text == "42"
    assert kernel.run("doubled(4)").text == "8"


def test_arguments_are_python_expressions(kernel: Kernel) -> None:
    kernel.run("@cf.workflow\ndef show(*items, **named):\n    return items, named\nn = [1, 2]")
    ran = kernel.run('r = %coflux run show n[0] -2 {"a b": (1, 2)} key="x y"\nr.result()')
    assert ran.text == "((1, -2, {'a b': (1, 2)}), {'key': 'x y'})"
    ran = kernel.run("r = %coflux run show 1 + 1, *n\nr.result()")
    assert ran.text == "((2, 1, 2), {})"
    assert "separate arguments" in kernel.attempt("%coflux run show 1 +").error


def test_workflows_of_cells_are_registered(kernel: Kernel, jupyter: Jupyter) -> None:
    """CO-1, CO-3: registered again after each cell that changed one, and no others."""
    kernel.run("@cf.workflow\ndef fresh(x: int = 1):\n    return x")
    found = until(lambda: _targets(jupyter).get("fresh"), "fresh is registered")
    assert found["parameters"][0]["name"] == "x"
    revision = jupyter.coflux("/manifests")["flow"]["revision"]
    kernel.run("1 + 1")
    kernel.run("@cf.task\ndef only_a_task():\n    return 1")
    kernel.run("%coflux register")
    assert jupyter.coflux("/manifests")["flow"]["revision"] == revision
    kernel.run("del fresh")
    until(lambda: "fresh" not in _targets(jupyter), "fresh is no longer registered")


def _targets(jupyter: Jupyter) -> dict[str, dict[str, list[dict[str, str]]]]:
    manifest = jupyter.coflux("/manifests").get("flow", {"targets": []})
    return {each["name"]: each for each in manifest["targets"]}


def test_what_cannot_be_sent_is_named(kernel: Kernel) -> None:
    kernel.run("import threading\nlock = threading.Lock()")
    ran = kernel.run("@cf.workflow\ndef locked():\n    return lock")
    assert "locked cannot be sent to other processes: it mentions 'lock'" in ran.stderr
    error = kernel.attempt("%coflux run locked").error
    assert error.startswith("NotSerialisable: ")
    assert "lock" in error
    kernel.run("del locked")


def test_errors_of_magics_are_one_line(kernel: Kernel) -> None:
    kernel.run(FLOW)
    error = kernel.attempt("%coflux run flwo").error
    assert error == "NotFound: there is no target 'flwo' in this notebook; did you mean flow?"
    assert kernel.attempt("%coflux rerun").error == "InvalidRequest: Missing argument 'RUN:STEP'."
    assert "No such command" in kernel.attempt("%coflux nonsense").error
    assert kernel.attempt("%coflux run flow 1 2 3").error.startswith("InvalidRequest: flow():")
    assert kernel.attempt("%coflux show Rnothere").error.startswith("NotFound: ")


def test_a_failed_run_shows_the_users_frames_and_none_of_ours(kernel: Kernel) -> None:
    """ER-2."""
    kernel.run("def divide(x):\n    return 1 / x")
    kernel.run("@cf.workflow\ndef broken(x):\n    return divide(x)")
    error = kernel.attempt("r = %coflux run broken 0\nr.result()").error
    assert error.endswith("ZeroDivisionError: division by zero")
    assert "return divide(x)" in error
    assert "return 1 / x" in error
    assert "Cell In[" in error
    assert "site-packages" not in error
    assert "client.py" not in error


def test_outputs_of_runs_end_as_still_pictures(kernel: Kernel) -> None:
    kernel.late.updates.clear()
    kernel.run("@cf.workflow\ndef slow(seconds):\n    time.sleep(seconds)\n    return 'rested'")
    ran = kernel.run("%coflux run slow 1")
    assert "application/vnd.jupyter.widget-view+json" in ran.outputs[-1]
    still = kernel.until_update(f"{run_id(ran)}: flow/slow succeeded")
    assert set(still) == {
        "text/plain", "text/html", "image/svg+xml", "application/vnd.coflux.run+json",
    }  # fmt: skip
    assert "<svg" in still["image/svg+xml"]
    assert "succeeded" in still["text/html"]


def test_a_rerun_says_how_it_ended_once_it_has(kernel: Kernel) -> None:
    kernel.late.updates.clear()
    kernel.run("@cf.workflow\ndef late(seconds):\n    time.sleep(seconds)\n    return 'rested'")
    kernel.run("r = %coflux run late 1\nr.result()")
    ran = kernel.run("%coflux rerun {r.id}:1")
    assert ran.text.startswith("execution R")
    assert not ran.text.endswith("'rested'")
    ended = kernel.until_update("'rested'")
    assert ended["text/plain"].endswith("✓ value 'rested'")
    assert "rested" in ended["text/html"]
    # What has ended is said at once, and the execution itself is the cell's value.
    assert kernel.run("e = _\ne").text.endswith("✓ value 'rested'")
    assert kernel.run("e.result()").text == "'rested'"


def test_lists_and_details_have_tables(kernel: Kernel) -> None:
    kernel.run(FLOW)
    id = run_id(kernel.run("r = %coflux run flow 1\nr.result()\nr"))
    assert id in kernel.run("%coflux runs").text
    assert "agent" in kernel.run("%coflux status").text
    assert "→  default" in kernel.run("%coflux env list").text
    step = kernel.run("%coflux show {r.id}:2")
    assert f"Step {id}:2: flow/part (task)" in step.text
    assert "x = 0" in step.text
    assert "<table>" in step.outputs[-1]["text/html"]


def test_logs_are_printed_with_their_steps(kernel: Kernel) -> None:
    kernel.run("@cf.workflow\ndef talking():\n    print('one')\n    print('two')")
    kernel.run("r = %coflux run talking\nr.result()")
    ran = kernel.run("%coflux logs -f {r.id}")
    assert re.findall(r":1:1 (\w+)", ran.stdout) == ["one", "two"]


def test_a_run_can_be_cancelled(kernel: Kernel) -> None:
    kernel.run("@cf.workflow\ndef slow(seconds):\n    time.sleep(seconds)\n    return 'rested'")
    kernel.run("r = %coflux run slow 60")
    assert "Cancelled R" in kernel.run("%coflux cancel {r.id}").stdout
    assert "ExecutionCancelled" in kernel.attempt("r.result()").error


def test_help_and_completion(kernel: Kernel) -> None:
    kernel.run(FLOW)
    listed = kernel.run("%coflux --help").stdout
    for command in (
        "connect", "status", "agent", "register", "runs", "env", "run", "show", "logs", "cancel",
        "rerun", "debug", "load", "form", "export", "inputs", "respond", "dismiss",
    ):  # fmt: skip
        assert f"  {command} " in listed
    assert "--idempotency-key" in kernel.run("%coflux run --help").stdout
    assert "rerun" in kernel.complete("%coflux r")
    assert kernel.complete("%coflux env u") == ["use"]
    assert "flow" in kernel.complete("%coflux run fl")
    assert kernel.complete("%coflux rerun --e") == ["--environment"]
    kernel.run("wanted_name = 1")
    kernel.run("@cf.workflow\ndef flow(wanted_city, days=1):\n    return wanted_city")
    assert kernel.complete("%coflux run flow wanted_") == ["wanted_city=", "wanted_name"]
    assert kernel.complete("%coflux run flow days=[1,wanted_") == ["days=[1,wanted_name"]
    assert kernel.complete("%coflux run flow wanted_n") == ["wanted_name"]


def test_nothing_else_is_offered_among_commands_and_options(kernel: Kernel) -> None:
    assert "if" not in kernel.complete("%coflux ")
    assert kernel.complete("%coflux runs --") == ["--target", "--limit", "--help"]
    assert kernel.complete("x = 1\nfound = %coflux env l") == ["list"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run flow 1/0", "InvalidRequest: 1 / 0 has no value: ZeroDivisionError: division by zero"),
        ("run flow nowhere", "nowhere has no value: NameError: name 'nowhere' is not defined"),
        ("run flow *3", "3 cannot be unpacked: 'int' object is not iterable"),
        ("show {nowhere.id}", "{nowhere.id} has no value here"),
        ("nosuch", "No such command 'nosuch'. `%coflux --help` lists them."),
        ('connect --repository "a b"', "the repository's name"),
        ("export nowhere/made.py", "No such file or directory: 'nowhere/made.py'"),
        ("respond nowhere 1", "nowhere has no value"),
    ],
)
def test_mistakes_are_told_in_one_line(kernel: Kernel, line: str, said: str) -> None:
    error = kernel.attempt(f"%coflux {line}").error
    assert said in error
    assert "\n" not in error.strip()


def test_a_group_of_commands_alone_shows_what_there_is(kernel: Kernel) -> None:
    ran = kernel.run("%coflux agent")
    assert "start  Let this kernel" in ran.stdout


def test_loading_again_leaves_one_hook(kernel: Kernel) -> None:
    ran = kernel.run(
        "%reload_ext coflux\n"
        "len([f for f in get_ipython().events.callbacks['post_run_cell']"
        " if 'coflux' in str(f).lower()])"
    )
    assert ran.text == "1"
    kernel.run("%coflux connect")


def test_an_asset_shows_its_files_and_what_is_in_them(kernel: Kernel) -> None:
    kernel.run("import pathlib")
    kernel.run(
        "@cf.workflow\ndef keep(name, content):\n"
        "    pathlib.Path(name).write_bytes(content)\n    return cf.persist_asset(name)"
    )

    def shown(name: str, content: bytes) -> str:
        ran = kernel.run(f"kept = %coflux run keep {name!r} {content!r}\nkept.result()")
        return str(ran.outputs[-1]["text/html"])

    table = shown("rain.csv", b"city,rain\n" + b"<Oslo>,1\n" * 12)
    assert "<th>rain</th>" in table
    assert table.count("<td>&lt;Oslo&gt;</td>") == 10
    assert "… and 2 more rows" in table
    assert "<pre>first\nsecond</pre>" in shown("note.txt", b"first\nsecond\n")
    drawing = shown("plot.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "src='data:image/svg+xml;base64,PHN2Zy" in drawing
    assert "<pre" not in shown("data.bin", b"\x00\x01")
    large = shown("large.txt", b"x" * 100_000)
    assert "100.0 kB" in large
    assert "<pre" not in large
