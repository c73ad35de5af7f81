"""What notebooks are made of, piece by piece and without a kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coflux.client.views import Attempt, RunView, Step
from coflux.errors import InvalidRequest
from coflux.jupyter import displays, picture
from coflux.jupyter.expressions import Arguments, evaluate, split
from coflux.jupyter.surroundings import repository_for
from coflux.jupyter.tables import Table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("line", "positional", "named"),
    [
        ("", (), {}),
        ("10", (10,), {}),
        ("10 -2", (10, -2), {}),
        ('"a b" [1, 2]', ("a b", [1, 2]), {}),
        ("1 + 1, 3", (2, 3), {}),
        ("x city='New York' days=3", (5,), {"city": "New York", "days": 3}),
        ("*pair **more", (1, 2), {"z": 3}),
        ("f(1, 2) (x, x)", (3, (5, 5)), {}),
        ("{'a': (1, 2)}", ({"a": (1, 2)},), {}),
        ("[n * n for n in range(3)]", ([0, 1, 4],), {}),
    ],
)
def test_arguments_are_cut_as_people_mean_them(
    line: str, positional: tuple[Any, ...], named: dict[str, Any]
) -> None:
    names = {"x": 5, "pair": (1, 2), "more": {"z": 3}, "f": lambda a, b: a + b}
    assert evaluate(line, names) == Arguments(positional, named)


@pytest.mark.parametrize("line", ["1 +", "a + b", "[1, 2", "x=", "1); import os; (2"])
def test_what_is_no_expression_is_refused_and_says_so(line: str) -> None:
    with pytest.raises(InvalidRequest, match="separate arguments"):
        evaluate(line, {"a": 1, "b": 2})


def test_quotes_may_hold_brackets_and_spaces() -> None:
    assert split("""'a [ b' "c \\" d" x""") == ["'a [ b'", '"c \\" d"', "x"]


@pytest.mark.parametrize(
    ("path", "repository"),
    [
        ("My Analysis-2.ipynb", "My_Analysis_2"),
        ("2024 sales.ipynb", "_2024_sales"),
        ("tutorial.ipynb", "tutorial"),
        ("---.ipynb", "notebook"),
    ],
)
def test_a_notebooks_name_becomes_its_repository(path: str, repository: str) -> None:
    assert repository_for(Path(path)) == repository


def run_of(*children: str) -> RunView:
    """A run with an initial step and these statuses below it."""
    first = Step("R1:1", "flow/main", executions=(Attempt("R1:1:1", status="value"),))
    others = tuple(
        Step(
            f"R1:{n}", "flow/part", parent="R1:1:1",
            executions=(Attempt(f"R1:{n}:1", status=status, started_at=0, ended_at=1500),),
        )
        for n, status in enumerate(children, 2)
    )  # fmt: skip
    return RunView("R1", "flow/main", "default", "succeeded", steps=(first, *others))


def test_a_picture_shows_each_step_and_how_it_ended() -> None:
    drawn = picture.draw(run_of("value", "error"))
    assert drawn.count("part</text>") == 2
    assert "✓ done 1.5 s" in drawn
    assert "✗ error" in drawn


def test_a_picture_of_many_steps_counts_equal_ones() -> None:
    drawn = picture.draw(run_of(*["value"] * 5000, "crashed"))
    assert "part × 5001" in drawn
    assert "5000 done, 1 crashed" in drawn
    assert len(drawn) < 5000


def test_what_users_wrote_is_text_in_pages() -> None:
    view = RunView(
        "R1", "flow/<b>", "default", "failed",
        steps=(Step("R1:1", "flow/<script>x", arguments={"a": {"preview": "<img>"}}),),
    )  # fmt: skip
    shown = displays.static(view, "http://127.0.0.1:1")
    for kind in ("text/html", "image/svg+xml"):
        assert "<script" not in shown[kind]
        assert "<b>x" not in shown[kind]
    assert "&lt;img&gt;" in shown["text/html"]


def test_a_run_is_over_when_nothing_of_it_goes_on() -> None:
    assert displays.is_over(run_of("value")) is False
    ended = tuple(Attempt("R1:1:1", status="value", result={"kind": "value"}) for _ in range(1))
    view = RunView("R1", status="succeeded", steps=(Step("R1:1", executions=ended),))
    assert displays.is_over(view) is True


def test_tables_are_text_and_html() -> None:
    table = Table(("name", "count"), [("a<b", 1), ("c", None)])
    assert repr(table) == "name  count\na<b   1\nc"
    assert "a&lt;b" in table._repr_html_()
    assert repr(Table(("x",), [], empty="nothing")) == "nothing"


def test_labs_part_is_named_by_its_content() -> None:
    """Browsers keep what they have under a name: python docs/tools/labextension.py renames it."""
    tool = ROOT / "docs" / "tools" / "labextension.py"
    assert subprocess.run([sys.executable, str(tool), "--check"], timeout=60).returncode == 0


def test_importing_the_package_loads_nothing_of_jupyter() -> None:
    code = (
        "import sys, coflux; coflux.task\n"
        "assert not any(n.startswith(('jupyter', 'IPython', 'ipykernel')) for n in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
