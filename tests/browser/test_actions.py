"""What a person can do from the page: submit, run again, cancel, set results, manage environments
and tokens; and what a token without the right is not offered.
"""

from __future__ import annotations

import re
from pathlib import Path

from e2e.stack import Stack, until
from playwright.sync_api import expect

from .conftest import OpenPage


def test_a_run_is_submitted_from_a_form_made_from_the_signature(
    open_page: OpenPage, stack: Stack
) -> None:
    page = open_page("workflows")
    page.get_by_role("link", name="report").first.click()
    expect(page.locator(".signature")).to_contain_text("city: str = 'Oslo',")
    page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("city").fill("Tromsø")
    dialog.get_by_label("days").fill("two")
    dialog.get_by_label("mode").select_option("slow")
    dialog.get_by_role("button", name="Run in default").click()
    expect(dialog.locator(".field-error")).to_have_text("A whole number, such as 7.")
    dialog.get_by_label("days").fill("2")
    page.keyboard.press("Control+Enter")
    expect(page).to_have_url(re.compile(r"runs/R\w+"))
    run = page.url.rpartition("/")[2].partition("?")[0]
    assert stack.value(run) == {"total": 12.5, "city": "Tromsø", "mode": "slow"}


def test_a_field_left_alone_keeps_its_default(open_page: OpenPage, stack: Stack) -> None:
    page = open_page("workflows/flow/report?submit=1")
    page.get_by_role("button", name="Run in default").click()
    expect(page).to_have_url(re.compile(r"runs/R\w+"))
    run = page.url.rpartition("/")[2].partition("?")[0]
    assert stack.value(run)["city"] == "Oslo"


def test_the_server_s_refusal_is_shown_and_nothing_typed_is_lost(open_page: OpenPage) -> None:
    page = open_page("workflows/flow/failing?submit=1", allow="400")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Run in default").click()
    expect(dialog.locator(".field-error")).to_have_text("This one has no default.")
    dialog.get_by_label("x", exact=False).first.fill("5")
    dialog.get_by_text("Where and when").click()
    dialog.get_by_label("Delay in seconds").fill("soon")
    dialog.get_by_role("button", name="Run in default").click()
    expect(dialog.get_by_role("alert")).to_contain_text("number of seconds")
    expect(dialog.get_by_label("x", exact=False).first).to_have_value("5")


def test_a_run_is_run_again_with_its_arguments(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    page = open_page(f"runs/{done}")
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("city")).to_have_value("Bergen")
    dialog.get_by_text("The same in Python and in a shell").click()
    expect(dialog).to_contain_text("coflux submit flow/report city=Bergen days=3 mode=fast")
    dialog.get_by_role("button", name="Run in default").click()
    expect(page).not_to_have_url(re.compile(done))
    run = page.url.rpartition("/")[2].partition("?")[0]
    assert stack.value(run)["city"] == "Bergen"


def test_a_step_is_run_again_after_saying_what_that_means(
    open_page: OpenPage, stack: Stack
) -> None:
    run = stack.submit("flow/failing", 8)
    stack.outcome(run)
    page = open_page(f"runs/{run}?step=2")
    page.get_by_role("complementary").get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("never takes a cached result")
    expect(dialog).to_contain_text("Original: the very code of attempt 2")
    dialog.get_by_role("button", name="Run in default").click()
    expect(page).to_have_url(re.compile("step=2.*attempt=3"))
    expect(page.locator('.attempt[aria-current="true"]')).to_contain_text("#3")


def test_a_step_is_run_again_in_a_child_environment_and_seen_from_there(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    assert stack.cli("env", "create", "dev", "--base", "default").code == 0
    page = open_page(f"runs/{done}?step=2")
    page.get_by_role("complementary").get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Environment").select_option("dev")
    dialog.get_by_role("button", name="Run in dev").click()
    expect(page).to_have_url(re.compile("env=dev"))
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("Why it is not running")
    expect(panel.locator(".why")).to_contain_text("agent")
    expect(page.locator(".run-facts")).to_contain_text("seen from dev")
    stack.client().request("POST", f"/cancel/{done}", body={"environment": "dev"})
    expect(panel).to_contain_text("cancelled")


def test_a_run_is_cancelled_after_being_asked_once(
    open_page: OpenPage, gate: tuple[str, Path]
) -> None:
    run, _ = gate
    page = open_page(f"runs/{run}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("cannot be taken back")
    dialog.get_by_role("button", name="Keep as it is").click()
    expect(page.locator(".run-facts")).to_contain_text("running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    expect(page.locator(".run-facts")).to_contain_text("cancelled")
    expect(page.locator('[data-node="2"]')).to_contain_text("held, step 2, cancelled")


def test_a_result_is_set_by_hand_with_a_reason(
    open_page: OpenPage, gate: tuple[str, Path], stack: Stack
) -> None:
    run, _ = gate
    page = open_page(f"runs/{run}?step=2")
    panel = page.get_by_role("complementary")
    panel.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Set the result…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Value, as JSON").fill("let go")
    dialog.get_by_label("Why").fill("the file will not come")
    dialog.get_by_role("button", name="Set the result").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not valid JSON")
    dialog.get_by_label("Value, as JSON").fill('"let go"')
    dialog.get_by_role("button", name="Set the result").click()
    expect(panel).to_contain_text("the file will not come")
    assert stack.value(run) == "let go"


def test_environments_are_created_changed_paused_and_archived(open_page: OpenPage) -> None:
    page = open_page("environments")
    page.get_by_role("button", name="New environment").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("staging")
    dialog.get_by_label("Based on").select_option("default")
    dialog.get_by_role("button", name="Create").click()
    row = page.get_by_role("row", name=re.compile("staging"))
    expect(row).to_contain_text("default")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    page.get_by_role("button", name="Undo").click()
    expect(row).to_contain_text("active")
    row.get_by_role("button", name="Actions for staging").click()
    page.get_by_role("menuitem", name="Rename or change the base…").click()
    page.get_by_role("dialog").get_by_label("Name").fill("trial")
    page.get_by_role("dialog").get_by_role("button", name="Change", exact=True).click()
    row = page.get_by_role("row", name=re.compile("trial"))
    row.get_by_role("button", name="Actions for trial").click()
    page.get_by_role("menuitem", name="Archive…").click()
    expect(page.get_by_role("dialog")).to_contain_text("This cannot be taken back.")
    page.get_by_role("dialog").get_by_role("button", name="Archive it for good").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name=re.compile("Show 1 archived")).click()
    expect(row).to_contain_text("archived")


def test_a_base_that_would_close_a_circle_is_not_offered(open_page: OpenPage, stack: Stack) -> None:
    assert stack.cli("env", "create", "upper").code == 0
    assert stack.cli("env", "create", "lower", "--base", "upper").code == 0
    page = open_page("environments")
    page.get_by_role("button", name="Actions for upper").click()
    page.get_by_role("menuitem", name="Rename or change the base…").click()
    options = page.get_by_role("dialog").get_by_label("Based on").locator("option")
    names = [name.strip() for name in options.all_inner_texts()]
    assert "default" in names
    assert not {"upper", "lower"} & set(names)


def test_tokens_are_shown_once_and_revoked(open_page: OpenPage, stack: Stack) -> None:
    page = open_page("tokens")
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name=re.compile("^Name")).fill("reader")
    dialog.get_by_role("radio", name=re.compile("read")).check()
    dialog.get_by_label("Tags").fill("finance")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("write key:value")
    dialog.get_by_label("Tags").fill("team:finance")
    dialog.get_by_role("button", name="Create").click()
    token = page.get_by_role("dialog").locator("code.token").inner_text()
    assert token.startswith("cft_")
    page.get_by_role("button", name="I have it").click()
    row = page.get_by_role("row", name=re.compile("reader"))
    expect(row).to_contain_text("read")
    expect(row).to_contain_text("team: finance")
    expect(page.locator("body")).not_to_contain_text(token)
    reader = open_page("", token=token)
    expect(reader.get_by_role("heading", name="All environments")).to_be_visible()
    row.get_by_role("button", name="Revoke…").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
    expect(row).to_have_count(0)


def test_a_run_is_pinned_with_a_way_back_and_found_among_the_pinned_DM_2(
    open_page: OpenPage, stack: Stack
) -> None:
    run, other = (stack.submit("flow/report", city) for city in ("Moss", "Voss"))
    stack.value(run)
    stack.value(other)
    page = open_page(f"runs/{run}")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin", exact=True)).to_be_visible()
    expect(page.locator(".run-facts")).to_contain_text("pinned")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()
    assert stack.client().inspect(run)["pinned"] is None
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin", exact=True)).to_be_visible()
    page.goto(f"{stack.url}/runs")
    row = page.locator("tr", has_text=run)
    expect(row.get_by_role("img", name="Pinned by")).to_be_visible()
    expect(page.locator("tr", has_text=other)).to_have_count(1)
    page.get_by_role("button", name="pinned", exact=True).click()
    expect(page).to_have_url(re.compile("status=pinned"))
    expect(page.locator("tr", has_text=other)).to_have_count(0)
    expect(row).to_have_count(1)
    stack.client().unpin(run)  # by somebody else
    expect(row).to_have_count(0)
    expect(page.get_by_text("No run is pinned")).to_be_visible()


def test_a_reader_is_offered_nothing_that_would_be_refused(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    made = stack.cli("tokens", "create", "--name", "viewer", "--right", "read", "--json").json
    page = open_page(f"runs/{done}?step=2", token=made["token"])
    expect(page.get_by_role("button", name="Run again")).to_be_disabled()
    pin = page.get_by_role("button", name="Pin", exact=True)
    expect(pin).to_be_disabled()
    expect(pin).to_have_attribute("title", "This needs the run right")
    page.get_by_role("complementary").get_by_role("button", name="Actions").click()
    expect(page.get_by_role("menuitem", name="Run again…")).to_be_disabled()
    page.goto(f"{stack.url}/tokens")
    expect(page.get_by_text("Tokens are for administrators")).to_be_visible()
    page.goto(f"{stack.url}/environments")
    expect(page.get_by_role("button", name="New environment")).to_be_disabled()


def test_a_hook_is_made_tried_switched_off_and_deleted(
    open_page: OpenPage, stack: Stack, tmp_path: Path
) -> None:
    tell = tmp_path / "tell me.sh"
    tell.write_text(f"#!/bin/sh\ncat >> '{tmp_path}/told'\n")
    tell.chmod(0o700)
    page = open_page("hooks", allow="400")
    page.get_by_role("button", name="New hook").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("has spaces")
    dialog.get_by_label("command on the server").check()
    dialog.get_by_role("textbox", name=re.compile("^Command")).fill(f'"{tell}" loudly')
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("no name of a hook")
    dialog.get_by_label("Name", exact=True).fill("callers")
    dialog.get_by_role("button", name="Create").click()
    row = page.get_by_role("row").filter(has_text="callers")
    expect(row).to_contain_text("active")
    row.get_by_role("button", name="More of callers").click()
    page.get_by_role("menuitem", name="Tell it now").click()
    until(lambda: (tmp_path / "told").exists(), "the hook was told")
    row.get_by_role("button", name="More of callers").click()
    page.get_by_role("menuitem", name="Disable").click()
    expect(row).to_contain_text("paused")
    page.get_by_role("button", name="Undo").last.click()
    expect(row).to_contain_text("active")
    row.get_by_role("button", name="Deliveries").click()
    expect(page.get_by_role("dialog")).to_contain_text("Nothing yet.")
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    row.get_by_role("button", name="More of callers").click()
    page.get_by_role("menuitem", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    expect(row).to_have_count(0)


def test_a_repository_is_archived_and_that_is_undone(open_page: OpenPage, stack: Stack) -> None:
    stack.cli("env", "create", "shelf")
    (stack.work / "shelved.py").write_text(
        "import coflux as cf\n\n@cf.workflow()\ndef dusty(n: int = 1):\n    return n\n"
    )
    stack.cli("register", "shelved.py", "--environment", "shelf")
    page = open_page("workflows?env=shelf")
    card = page.get_by_role("link", name="dusty")
    expect(card).to_be_visible()
    page.get_by_role("button", name="Actions of shelved").click()
    page.get_by_role("menuitem", name="Archive").click()
    expect(card).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(card).to_be_visible()


def test_a_retry_need_not_wait_for_its_time(
    open_page: OpenPage, stack: Stack, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run = stack.submit("flow/late", str(gate))

    def has_failed_once() -> bool:
        steps = stack.client().inspect(run)["steps"]
        return len(steps) == 2 and len(steps[1]["executions"]) == 2

    until(has_failed_once, "the first attempt has failed")
    page = open_page(f"runs/{run}?step=2")
    panel = page.get_by_role("complementary")
    expect(panel).to_contain_text("back-off")
    gate.touch()
    panel.get_by_role("button", name="Retry now").click()
    assert stack.value(run) == "there"


def test_a_double_click_starts_one_run(open_page: OpenPage, stack: Stack) -> None:
    page = open_page("workflows/flow/sweep?submit=1")
    page.get_by_role("dialog").get_by_label("count").fill("2")
    before = len(stack.client().request("GET", "/runs", query={"target": "flow/sweep"}))
    page.get_by_role("button", name="Run in default").dblclick()
    expect(page).to_have_url(re.compile(r"runs/R\w+"))
    stack.value(page.url.rpartition("/")[2].partition("?")[0])
    assert len(stack.client().request("GET", "/runs", query={"target": "flow/sweep"})) == before + 1


def test_a_run_is_saved_as_one_file_that_needs_no_server(
    open_page: OpenPage, done: str, tmp_path: Path
) -> None:
    page = open_page(f"runs/{done}")
    page.get_by_role("button", name="More").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Save as one HTML file").click()
    file = tmp_path / "run.html"
    download.value.save_as(file)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator(".node")).to_have_count(6)
    page.locator('[data-node="2"]').click()
    expect(page.get_by_role("complementary").locator(".argument")).to_contain_text("Bergen")
    page.get_by_role("tab", name="Logs").first.click()
    expect(page.locator(".log-line").filter(has_text="loaded 42 rows")).to_have_count(1)
    page.get_by_role("tab", name="Assets").click()
    expect(page.locator(".image-preview img")).to_be_visible()
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_ids_are_copied(open_page: OpenPage, done: str) -> None:
    page = open_page(f"runs/{done}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy run id").first.click()
    copied = "() => navigator.clipboard.readText()"
    assert until(lambda: page.evaluate(copied) == done, "the id is in the clipboard")


def test_a_schedule_is_made_paused_changed_and_ended(open_page: OpenPage, stack: Stack) -> None:
    page = open_page("schedules", allow="400")
    page.get_by_role("button", name="New schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("nightly")
    dialog.get_by_label("Workflow").select_option("flow/report")
    dialog.get_by_label("When").fill("61 6 * * *")
    dialog.get_by_label("city").fill("Narvik")
    dialog.get_by_label("Time zone").fill("Europe/Oslo")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="every hour").click()
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("nightly"))
    expect(row).to_contain_text("0 * * * *")
    expect(row).to_contain_text("in ")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    row.get_by_role("button", name="Actions for nightly").click()
    page.get_by_role("menuitem", name="Change…").click()
    expect(page.get_by_role("dialog")).to_contain_text("city='Narvik'")
    page.get_by_role("dialog").get_by_label("When").fill("30 5 * * 1")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(row).to_contain_text("30 5 * * 1")
    row.get_by_role("button", name="Actions for nightly").click()
    page.get_by_role("menuitem", name="What came of it…").click()
    # One may have come: the test may run over a full hour.
    came = re.compile(r"No instant has come yet\.|Came to")
    expect(page.get_by_role("dialog")).to_contain_text(came)
    page.keyboard.press("Escape")
    row.get_by_role("button", name="Actions for nightly").click()
    page.get_by_role("menuitem", name="End it…").click()
    page.get_by_role("dialog").get_by_role("button", name="End it").click()
    expect(row).to_have_count(0)


def test_limits_of_an_environment_are_set_and_given_back(open_page: OpenPage, stack: Stack) -> None:
    page = open_page("environments")
    page.get_by_role("button", name="Actions for default").click()
    page.get_by_role("menuitem", name="Limits…").click()
    dialog = page.get_by_role("dialog")
    field = dialog.locator("label", has=page.get_by_text("run_steps", exact=True))
    field.get_by_role("textbox").fill("90000")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    (default,) = [
        e for e in stack.client().request("GET", "/environments") if e["name"] == "default"
    ]
    path = f"/environments/{default['id']}/settings"

    def run_steps() -> object:
        settings = {s["name"]: s for s in stack.client().request("GET", path)}
        return settings["run_steps"]["value"]

    assert run_steps() == 90_000
    stack.client().request("PATCH", path, body={"values": {"run_steps": None}})


def test_a_named_slot_is_defined_and_removed(open_page: OpenPage) -> None:
    page = open_page("queue")
    page.get_by_role("button", name="Define one…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("warehouse")
    dialog.get_by_label("Units at a time").fill("3")
    dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("warehouse"))
    expect(row).to_contain_text("0 of 3")
    row.get_by_role("button", name="Change…").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove the definition").click()
    expect(row).to_have_count(0)
