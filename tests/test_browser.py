"""The browser that tests of pages share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browser import PHONE, complaints, print_to_pdf, resize, screenshot

VIEWPORT = "<meta name=viewport content='width=device-width'>"  # without it a phone shows 980 pixels, made small


def test_browser_shows_prints_and_complains(browser: Any, tmp_path: Path) -> None:
    """A page is shown at the width asked for, its picture and its print are files, and its errors are heard."""
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>Here</title>{VIEWPORT}<p>Text</p>", encoding="utf-8")
    browser.get(page.as_uri())
    assert browser.title == "Here"
    assert complaints(browser) == []
    resize(browser, PHONE)
    assert browser.execute_script("return innerWidth") == PHONE[0]
    screenshot(browser, tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
    assert print_to_pdf(browser).startswith(b"%PDF")
    browser.execute_script("console.error('a fault')")
    assert any("a fault" in line for line in complaints(browser))


def test_each_test_begins_on_an_empty_page(browser: Any) -> None:
    """Nothing of an earlier test is left: no page, no phone width, no complaint."""
    assert browser.current_url == "about:blank"
    assert browser.execute_script("return innerWidth") > PHONE[0]
    assert complaints(browser) == []
