"""The page of all assets: the newest of all runs, found by name, with previews."""

from __future__ import annotations

import re

from e2e.stack import Stack
from playwright.sync_api import expect

from .conftest import OpenPage


def test_assets_of_all_runs_are_listed_with_who_made_them_and_previewed(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    page = open_page("assets")
    items = page.locator(".asset-item")
    expect(items.first).to_be_visible()
    run = stack.submit("flow/report", "Alta", 1)
    stack.value(run)
    link = page.get_by_role("link", name=re.compile(run))
    # The newest is at the top and shown, without anybody loading the page again.
    expect(link).to_be_visible()
    expect(items.first).to_contain_text("report")
    expect(items.first).to_contain_text("3 files")
    expect(page.locator(".image-preview img")).to_be_visible()
    page.get_by_role("button", name="table.csv").click()
    expect(page.locator("table.data")).to_contain_text("Alta")
    items.nth(1).click()
    expect(page).to_have_url(re.compile(r"asset=A\w+"))
    expect(link).to_have_count(0)
    items.first.click()
    link.click()
    expect(page).to_have_url(re.compile(rf"runs/{run}\?step="))


def test_an_address_of_an_asset_that_is_not_listed_shows_it_all_the_same(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    (asset,) = stack.client().assets(done)
    page = open_page(f"assets?q=chart.svg&asset={asset['id']}")
    expect(page.locator(".asset-view")).to_contain_text(asset["id"])
    page = open_page("assets?asset=Azzzzzz", allow="404")
    expect(page.get_by_role("alert")).to_contain_text("There is no asset")


def test_a_big_asset_is_shown_whole(open_page: OpenPage, stack: Stack) -> None:
    assert stack.outcome(stack.submit("flow/many_files", 25)).kind == "value"
    page = open_page("assets?q=part-24")
    expect(page.locator(".asset-item")).to_contain_text("25 files")
    expect(page.get_by_role("button", name="part-24.txt")).to_be_visible()


def test_assets_are_found_by_the_names_of_their_files(
    open_page: OpenPage, stack: Stack, done: str
) -> None:
    page = open_page("assets")
    search = page.get_by_role("searchbox", name="Find assets")
    search.fill("NOTES.txt")
    expect(page.locator(".asset-item").first).to_be_visible()
    search.fill("no such name")
    expect(page.get_by_text("No asset fits")).to_be_visible()
    expect(page).to_have_url(re.compile("q=no"))
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".asset-item").first).to_be_visible()
    expect(search).to_have_value("")
