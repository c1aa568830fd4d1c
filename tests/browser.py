"""A real browser for tests of pages: headless Chromium, driven by Selenium.

The fixture `browser` is known to every test through conftest. It is opened once a session, and each test that asks for
it begins on an empty page at desktop width. Without Chromium, its driver or Selenium the test is skipped and says what
is missing.
"""

from __future__ import annotations

import base64
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WIDE = (1280, 900)
PHONE = (390, 844)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


def missing() -> str:
    """Return what a browser test lacks here, or "" when it can run."""
    if importlib.util.find_spec("selenium") is None:
        return "selenium is not installed"
    if not any(map(shutil.which, BROWSERS)):
        return f"there is no {BROWSERS[0]}"
    return "" if shutil.which("chromedriver") else "there is no chromedriver"


def open_browser(profile: Path) -> Any:
    """Return a headless Chromium (a Selenium driver) with a new profile in `profile`; `quit()` ends it."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = next(found for found in map(shutil.which, BROWSERS) if found)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=ChromeService(executable_path=shutil.which("chromedriver")))


def resize(driver: Any, size: tuple[int, int]) -> None:
    """Give the page itself this width and height in pixels; a window cannot be as narrow as a phone."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def screenshot(driver: Any, path: Path, *, whole: bool = False) -> None:
    """Write what is seen, or the `whole` page, as a PNG."""
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole, "format": "png"})
    path.write_bytes(base64.b64decode(picture["data"]))


def print_to_pdf(driver: Any) -> bytes:
    """Return the page as it would come out of a printer, A4."""
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False}
    return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", paper)["data"])


def complaints(driver: Any) -> list[str]:
    """Return what the page wrote to the console as an error or a warning since the last call."""
    return [line["message"] for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    lacking = missing()
    if lacking:
        pytest.skip(f"no browser: {lacking}")
    driver = open_browser(tmp_path_factory.mktemp("browser"))
    yield driver
    driver.quit()


@pytest.fixture
def browser(_chromium: Any, _alone: None) -> Any:
    """A Selenium driver on an empty page of desktop width; `resize(browser, PHONE)` makes it narrow."""
    _chromium.get("about:blank")
    resize(_chromium, WIDE)
    complaints(_chromium)
    return _chromium
