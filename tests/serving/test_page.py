"""The page at /, in a real browser: every kind of task can be asked, with mouse, keyboard and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from made_server import opened

from browser import PHONE, complaints, resize
from served import served
from taskloom.inference.predictor import Model
from taskloom.serving.app import make_app
from taskloom.serving.settings import Settings


@pytest.fixture(scope="module")
def site(served_run: Path) -> Iterator[str]:
    """The address of a server in a thread of this process; it asks for no key."""
    with served(make_app(opened(served_run))) as address:
        yield f"http://{address}/"


@pytest.fixture
def page(browser: Any, site: str) -> Any:
    """The browser on the page, its tasks loaded; at the end the console has no complaint."""
    browser.get(site)
    until(browser, lambda: "6 tasks" in text(browser, "#model-line"))
    yield browser
    assert complaints(browser) == []


def until(browser: Any, holds: Any) -> None:
    """Wait until something holds on the page."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 30, poll_frequency=0.05).until(lambda _: holds())


def one(browser: Any, selector: str) -> Any:
    """Return the first element of a CSS selector."""
    return browser.find_element("css selector", selector)


def every(browser: Any, selector: str) -> list[Any]:
    """Return all elements of a CSS selector."""
    return list(browser.find_elements("css selector", selector))


def text(browser: Any, selector: str) -> str:
    """Return the visible text of an element."""
    return str(one(browser, selector).text)


def texts(browser: Any, selector: str) -> list[str]:
    """Return the visible texts of elements."""
    return [element.text for element in every(browser, selector)]


def shares(browser: Any, selector: str = ".result") -> list[float]:
    """Return the numbers beside the bars."""
    return [float(value.removesuffix(" %")) for value in texts(browser, f"{selector} .value")]


def press(browser: Any, *keys: str) -> None:
    """Press keys wherever the focus is."""
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def test_texts_and_labels_become_bars(page: Any) -> None:
    """Lines are texts, commas and Enter make labels, and each text gets a bar a label, best first, adding up to one."""
    from selenium.webdriver.common.keys import Keys

    one(page, "#texts").send_keys("a bee sang\n\nthe big red car\n")
    one(page, "#label-input").send_keys("music, cars,food", Keys.ENTER)
    assert texts(page, "#chip-list li") == ["music\n×", "cars\n×", "food\n×"]
    one(page, "#classify-form .main").click()
    until(page, lambda: text(page, "#status").startswith("2 texts, 3 labels"))
    assert texts(page, ".result > p") == ["a bee sang", "the big red car"]
    for result in every(page, ".result"):
        found = [float(value.text.removesuffix(" %")) for value in result.find_elements("css selector", ".value")]
        assert found == sorted(found, reverse=True)
        assert sum(found) == pytest.approx(100, abs=0.2)
    widths = page.execute_script(
        "return [...document.querySelectorAll('.bar')].map((bar) => parseFloat(bar.style.width))"
    )
    assert widths == pytest.approx(shares(page), abs=0.06)


def test_labels_by_keyboard_alone(page: Any) -> None:
    """Tab reaches the fields in order, Backspace takes a label back, Ctrl+Enter classifies; no mouse is needed."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    one(page, "#tab-labels").send_keys(Keys.TAB, "a bee")
    assert one(page, "#texts").get_attribute("value") == "a bee"
    press(page, Keys.TAB, Keys.TAB, "music,cars,foo,", Keys.BACKSPACE)
    assert texts(page, "#chip-list li") == ["music\n×", "cars\n×"]
    ActionChains(page).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    until(page, lambda: len(every(page, ".bars li")) == 2)


def test_tabs_and_task_search_by_keyboard(page: Any) -> None:
    """Arrows move between tabs; in the search arrows and Enter choose a task, whose fields follow its kind."""
    from selenium.webdriver.common.keys import Keys

    one(page, "#tab-labels").send_keys(Keys.ARROW_RIGHT, Keys.TAB, "best of the")
    until(page, lambda: len(every(page, "[role=option]")) == 1)
    press(page, Keys.ARROW_DOWN)
    chosen = one(page, "#task-input").get_attribute("aria-activedescendant")
    assert one(page, f"#{chosen}").get_attribute("aria-selected") == "true"
    press(page, Keys.ENTER, Keys.TAB, "saw", Keys.TAB, "a", Keys.ENTER, "the bee", Keys.TAB, Keys.ENTER)
    until(page, lambda: text(page, "#status").startswith("Answered"))
    assert sorted(texts(page, ".bars .name")) == ["a", "the bee"]
    assert sum(shares(page)) == pytest.approx(100, abs=0.2)


ASKED = {
    "made/nli": ({"text": "a bee", "pair": "it sang"}, 3),
    "made/topics": ({"text": "a big car"}, 4),
    "made/similarity": ({"text": "a bee", "pair": "it sang"}, 1),
    "made/entities": ({"tokens": "a bee sang"}, 0),
}


@pytest.mark.parametrize("task", ASKED)
def test_every_kind_has_its_fields_and_answer(page: Any, task: str) -> None:
    """A task is opened by its address, asked, and shows a bar a label, a score in its range, or a tag a word."""
    fields, bars = ASKED[task]
    page.get(f"{page.current_url.split('#')[0]}#tasks/{task}")
    page.refresh()
    until(page, lambda: one(page, "#predict-form").is_displayed())
    for name, value in fields.items():
        one(page, f"#field-{name}").send_keys(value)
    one(page, "#predict-form .main").click()
    until(page, lambda: text(page, "#status").startswith("Answered"))
    assert len(every(page, ".bars li")) == bars
    if task == "made/similarity":
        assert 1 <= shares(page)[0] <= 5
    if task == "made/entities":
        assert [tag.split("\n")[0] for tag in texts(page, ".tags li")] == ["a", "bee", "sang"]


def test_what_the_model_was_trained_on(page: Any) -> None:
    """The list can be narrowed by any word, and a task in it leads to its fields."""
    one(page, "#tab-model").click()
    assert "Trained on 6 tasks at once" in text(page, "#model-about")
    assert len(every(page, "#task-cards li")) == 6
    one(page, "#filter").send_keys("music")
    assert texts(page, "#task-cards button") == ["made/topics"]
    one(page, "#task-cards button").click()
    assert one(page, "#field-text").is_displayed()


def test_what_is_missing_is_told(page: Any) -> None:
    """Without a text, without labels, with a template without a gap: one sentence each, and the page goes on."""
    from selenium.webdriver.common.keys import Keys

    button = one(page, "#classify-form .main")
    button.click()
    assert text(page, "#alert") == "There is no text yet."
    one(page, "#texts").send_keys("a bee")
    button.click()
    assert text(page, "#alert") == "There is no label yet."
    one(page, "#label-input").send_keys("music")
    one(page, "summary").click()
    one(page, "#template").send_keys(Keys.CONTROL, "a")
    one(page, "#template").send_keys("no gap")
    button.click()
    until(page, lambda: "must have one {}" in text(page, "#alert"))
    assert any("422" in line for line in complaints(page))  # the browser's own note of a refused request


def test_a_text_is_never_markup(page: Any) -> None:
    """Texts and labels with tags in them are shown as they are."""
    nasty = "<img src=x onerror=document.title='gone'>"
    one(page, "#texts").send_keys(nasty)
    one(page, "#label-input").send_keys("<b>bold</b>")
    one(page, "#classify-form .main").click()
    until(page, lambda: len(every(page, ".result")) == 1)
    assert text(page, ".result > p") == nasty
    assert text(page, ".bars .name") == "<b>bold</b>"
    assert page.title == "taskloom"


BUSY = "window.fetch = async () => new Response('', { status: 429, headers: { 'Retry-After': '60' } });"
HANGS = """window.fetch = (path, { signal }) => new Promise((_, stop) =>
  signal.addEventListener("abort", () => stop(signal.reason)));"""
SOON = "setTimeout(arguments[0], 200);"


def test_stop_ends_waiting_for_a_busy_server(page: Any) -> None:
    """A server that says to come again in a minute does not hold the page for that minute."""
    page.execute_script(BUSY)
    one(page, "#texts").send_keys("a bee")
    one(page, "#label-input").send_keys("music,")
    one(page, "#classify-form .main").click()
    until(page, lambda: "busy" in text(page, "#status"))
    one(page, "#classify-form .stop").click()
    page.execute_async_script(SOON)
    assert text(page, "#status") == "Stopped."
    assert not one(page, "#classify-form .stop").is_displayed()


def test_a_run_that_was_replaced_says_nothing(page: Any) -> None:
    """Asked again before the answer is there, the page tells of the new run alone."""
    page.execute_script(HANGS)
    one(page, "#texts").send_keys("a bee")
    one(page, "#label-input").send_keys("music,")
    for _ in range(2):
        one(page, "#classify-form .main").click()
        page.execute_async_script(SOON)
        assert text(page, "#status") == "Working …"
        assert one(page, "#classify-form .stop").is_displayed()
    one(page, "#classify-form .stop").click()
    until(page, lambda: text(page, "#status") == "Stopped.")


@pytest.mark.parametrize("tab", ["labels", "tasks", "model"])
def test_fits_a_phone(page: Any, tab: str) -> None:
    """At 390 pixels nothing sticks out to the side, and what can be pressed is 24 pixels high or more."""
    resize(page, PHONE)
    one(page, f"#tab-{tab}").click()
    if tab == "labels":
        long = "x" * 120  # for the tokenizer one unknown word
        one(page, "#texts").send_keys(long)
        one(page, "#label-input").send_keys(f"{long},b")
        one(page, "#classify-form .main").click()
        until(page, lambda: len(every(page, ".result")) == 1)
    if tab == "tasks":
        one(page, "#task-input").send_keys("made/nli")
        until(page, lambda: len(every(page, "[role=option]")) > 0)
        one(page, "[role=option]").click()
    width = page.execute_script("return document.documentElement.scrollWidth")
    assert width <= PHONE[0]
    pressed = [control for control in every(page, "button, input, textarea") if control.is_displayed()]
    low = [one for one in pressed if one.size["height"] < 24 and one.get_attribute("type") != "checkbox"]
    assert [one.get_attribute("outerHTML") for one in low] == []


def test_every_control_has_a_name(page: Any) -> None:
    """What can be reached has a name for those who do not see it, in every tab."""
    for tab in ("labels", "tasks", "model"):
        one(page, f"#tab-{tab}").click()
        controls = [element for element in every(page, "button, input, textarea, a") if element.is_displayed()]
        assert [element.get_attribute("outerHTML") for element in controls if not element.accessible_name] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_the_ground(page: Any, scheme: str) -> None:
    """In light and dark, ink and soft ink reach the contrast of 4.5 to 1 that WCAG AA asks for."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colors = page.execute_script(
        "const style = getComputedStyle(document.documentElement);"
        "return ['ink', 'soft', 'accent', 'paper', 'card'].map((name) => style.getPropertyValue('--' + name).trim())"
    )
    ink, soft, accent, paper, card = map(luminance, colors)
    for ground in (paper, card):
        assert all(contrast(color, ground) >= 4.5 for color in (ink, soft, accent))
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def luminance(color: str) -> float:
    """Return the relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: float, other: float) -> float:
    """Return the contrast ratio of two luminances."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_key_is_asked_for_on_the_page(browser: Any, served_model: Model) -> None:
    """With a key set the page asks for it; a wrong one asks again, the right one opens the model."""
    with served(make_app(served_model, Settings(api_key="sesame"))) as address:
        browser.get(f"http://{address}/")
        until(browser, lambda: one(browser, "#key").is_displayed())
        one(browser, "#key").send_keys("wrong")
        one(browser, "#key-form button").click()
        until(browser, lambda: "key is needed" in text(browser, "#alert"))
        until(browser, lambda: one(browser, "#key").is_displayed())
        one(browser, "#key").clear()
        one(browser, "#key").send_keys("sesame")
        one(browser, "#key-form button").click()
        until(browser, lambda: "6 tasks" in text(browser, "#model-line"))
        assert not one(browser, "#key-form").is_displayed()
