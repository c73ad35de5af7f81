"""Which code ran: identities, caches that depend on code, original code again, stubs (CO, SU-7)."""

from __future__ import annotations

from typing import Any

import pytest

from .stack import Stack, until

pytestmark = pytest.mark.slow

TAX = """
    RATE = {rate}


    def taxed(price: int) -> int:
        return price * RATE
    """
SHOP = """
    from tax import taxed

    import coflux as cf


    @cf.task(cache=cf.Cache(code=True))
    def total(price: int) -> int:
        return taxed(price)


    @cf.task(cache=True)
    def lasting(price: int) -> int:
        return taxed(price)


    @cf.workflow()
    def order(price: int) -> list[int]:
        return [total(price), lasting(price)]
    """


@pytest.fixture
def shop(fresh: Stack) -> Stack:
    """A server without agents, and code in two files."""
    fresh.write("tax.py", TAX.format(rate=2))
    fresh.write("shop.py", SHOP)
    fresh.start_server()
    return fresh


def change(stack: Stack, rate: int) -> None:
    """Change a function that targets call, and wait until the agent has the new code."""
    before = stack.agents[-1].said().count("registered")
    stack.write("tax.py", TAX.format(rate=rate))
    until(lambda: stack.agents[-1].said().count("registered") > before, "it is loaded again")


def test_a_cache_with_code_depends_on_all_project_code_that_is_called_CA_2_CO_5(
    shop: Stack,
) -> None:
    shop.start_agent("shop.py", "--dev")
    assert shop.run("shop/order", 10) == [20, 20]
    again = shop.submit("shop/order", 10)
    assert shop.value(again) == [20, 20]
    assert [shop.execution(f"{again}:{n}")["status"] for n in (2, 3)] == ["cached", "cached"]
    change(shop, 3)
    changed = shop.submit("shop/order", 10)
    assert shop.value(changed) == [30, 20]
    miss, hit = (shop.execution(f"{changed}:{n}")["cache"] for n in (2, 3))
    assert miss["outcome"] == "miss"
    assert "code" in miss["detail"]
    assert hit["outcome"] == "hit"
    assert "older code" in hit["detail"]


def test_results_of_older_code_are_marked_and_original_code_waits_for_who_has_it_RR_3(
    shop: Stack,
) -> None:
    shop.start_agent("shop.py", "--dev")
    run = shop.submit("shop/order", 10)
    shop.value(run)
    first = shop.execution(f"{run}:2")
    assert first["older_code"] is False
    change(shop, 3)
    assert shop.execution(f"{run}:2")["older_code"] is True
    assert shop.execution(f"{run}:2")["code"] == first["code"]
    assert "older code" in shop.cli("runs", "inspect", run).out

    current = shop.cli("runs", "rerun", f"{run}:2", "--json").json
    assert current["result"]["value"] == 30
    assert shop.client().inspect(run)["mixed_code"] == ["shop/total"]

    original: dict[str, Any] = shop.cli(
        "runs", "rerun", f"{run}:2:1", "--original", "--no-wait", "--json"
    ).json
    reason = shop.until_status(original["execution"], "queued")["reason"]
    assert (reason["code"], reason["data"]["missing"]) == ("agent", "code")
    assert first["code"][:8] in reason["text"]
    shop.agents[-1].stop()
    shop.write("tax.py", TAX.format(rate=2))
    shop.start_agent("shop.py")
    assert shop.value(original["execution"]) == 20


def test_a_stub_runs_the_real_target_elsewhere_with_its_own_options_SU_7(fresh: Stack) -> None:
    fresh.write(
        "real.py",
        """
        import coflux as cf


        @cf.task()
        def double(number: int) -> int:
            return 2 * number


        @cf.workflow()
        def counted(number: int) -> int:
            return number + 1
        """,
    )
    fresh.write(
        "front.py",
        """
        import coflux as cf


        @cf.stub("real", cache=True)
        def double(number: int) -> int:
            return -1


        @cf.stub("real", type="workflow")
        def counted(number: int) -> int:
            return -2


        @cf.workflow()
        def both(number: int) -> list[int]:
            return [double(number), counted(number)]


        if __name__ == "__main__":
            print(both(1))
        """,
    )
    fresh.start_server()
    fresh.start_agent("front.py", "--register")
    run = fresh.submit("front/both", 4)
    until(lambda: len(fresh.client().inspect(run)["steps"]) > 1, "the stub is called")
    # A stub is not hosted, so the real one is waited for.
    reason = fresh.until_status(f"{run}:2:1", "queued")["reason"]
    assert (reason["code"], reason["data"]["target"]) == ("agent", "real/double")
    fresh.start_agent("real.py")
    assert fresh.value(run) == [8, 5]
    steps = {step["step"]: step for step in fresh.client().inspect(run)["steps"]}
    assert steps[f"{run}:2"]["target"] == "real/double"
    assert "cache" in steps[f"{run}:2"]["options"]
    assert fresh.execution(f"{run}:3")["status"] == "spawned"
    # Outside of executions its body runs.
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "front.py"], cwd=fresh.work, env=fresh.environment, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[-1, -2]\n"
