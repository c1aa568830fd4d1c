"""report.html in a real browser: seen, sorted, filtered, printed, and deaf to what labels would have it do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from browser import PHONE, complaints, print_to_pdf, resize
from made_run import HOSTILE, made_run, made_transfer
from taskloom.errors import DataError
from taskloom.reporting.material import gather
from taskloom.reporting.page import page

MANY = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 40 tasks with transfer results."""
    folder = tmp_path_factory.mktemp("report") / "run"
    report, trained = made_run(folder, MANY)
    made_transfer(folder)
    (folder / "report.html").write_text(page(gather(folder, report, trained, cache=None)), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def opened(browser: Any, made: Path) -> Any:
    """A browser that shows the page."""
    browser.get(made.as_uri())
    return browser


def column(driver: Any, number: int) -> list[str]:
    """Return the shown cells of a column of the table of tasks."""
    script = "return [...document.querySelectorAll('table.tasks tbody tr')].filter(r => !r.hidden)"
    return list(driver.execute_script(f"{script}.map(r => r.cells[{number}].textContent.trim())"))


def press(driver: Any, selector: str, key: str) -> None:
    """Put the focus on an element and press a key there, as somebody without a mouse would."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver.find_element(By.CSS_SELECTOR, selector).send_keys(getattr(Keys, key, key))


def test_page_needs_nothing_and_complains_of_nothing(opened: Any, made: Path) -> None:
    """The page loads no other resource, its policy forbids it to, and the console stays empty."""
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert complaints(opened) == []
    text = made.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "src=" not in text.replace("style-src=", "").replace("script-src=", "")
    assert "http" not in text.replace("http-equiv", "")


def test_names_and_labels_are_shown_and_never_run(opened: Any) -> None:
    """Markup in ids, labels, questions and reasons is text: no element of it exists, and the title is the run's."""
    assert opened.title == "made: taskloom report"
    assert opened.execute_script("return document.querySelectorAll('i, b + script, it, fear').length") == 0
    assert opened.execute_script("return document.scripts.length") == 1
    shown = opened.execute_script("return document.body.textContent")
    assert HOSTILE in shown
    assert "made/1-<i>&" in shown
    assert "Is <it> so?" in shown


def test_foreign_script_is_refused_by_the_policy(opened: Any) -> None:
    """Even markup that slipped through could not run: the policy knows the page's own script alone."""
    opened.execute_script(
        "const s = document.createElement('script'); s.textContent = 'document.title = \"stolen\"';"
        "document.body.append(s); document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"alert(1)\">')"
    )
    assert opened.title == "made: taskloom report"
    assert any("Content Security Policy" in line for line in complaints(opened))


def test_every_section_is_there(opened: Any) -> None:
    """Scores, tasks, training, transfer, map, calibration, mistakes and each task have a place that the head links."""
    linked = opened.execute_script("return [...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert linked == ["families", "tasks", "training", "transfer", "map", "calibration", "mistakes", "each"]
    assert opened.execute_script("return [...arguments[0]].every(id => document.getElementById(id))", linked)
    assert opened.execute_script("return document.querySelectorAll('.spot').length") == MANY
    assert opened.execute_script("return document.querySelectorAll('details.task').length") == MANY


def test_table_sorts_by_press_and_by_key(opened: Any) -> None:
    """A press sorts up, a second one down, numbers as numbers; undefined scores stand last both ways."""
    button = "table.tasks thead th:nth-child(6) button"
    press(opened, button, "ENTER")
    up = column(opened, 5)
    numbers = [float(value.split()[0]) for value in up if value != "–"]
    assert numbers == sorted(numbers) and up[-1] == "–"
    head = "return document.querySelector('table.tasks thead th:nth-child(6)').getAttribute('aria-sort')"
    assert opened.execute_script(head) == "ascending"
    press(opened, button, "SPACE")
    down = column(opened, 5)
    assert [value for value in down if value != "–"] == [value for value in reversed(up) if value != "–"] or (
        [float(value.split()[0]) for value in down if value != "–"] == sorted(numbers, reverse=True)
    )
    assert down[-1] == "–"
    assert opened.execute_script(head) == "descending"
    opened.execute_script("document.querySelector('table.tasks thead th button').click()")
    assert column(opened, 0) == sorted(column(opened, 0))
    assert opened.execute_script("return document.querySelectorAll('[aria-sort]').length") == 1


def test_table_filters_by_name_family_kind_and_weakness(opened: Any) -> None:
    """Each filter narrows the table and the parts below alike, and the count is told."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    press(opened, "input[name=name]", "made/1")
    names = column(opened, 0)
    assert names and all("made/1" in name for name in names)
    assert opened.execute_script(
        "return [...document.querySelectorAll('details.task')].filter(d => !d.hidden).length"
    ) == len(names)
    output = opened.find_element(By.CSS_SELECTOR, ".filter output")
    assert output.text == f"{len(names)} of {MANY} tasks"
    opened.find_element(By.NAME, "name").clear()
    Select(opened.find_element(By.NAME, "family")).select_by_visible_text("nli")
    assert set(column(opened, 1)) == {"nli"}
    Select(opened.find_element(By.NAME, "kind")).select_by_visible_text("regression")
    assert set(column(opened, 2)) == {"regression"}
    Select(opened.find_element(By.NAME, "family")).select_by_index(0)
    Select(opened.find_element(By.NAME, "kind")).select_by_index(0)
    assert len(column(opened, 0)) == MANY
    press(opened, "input[name=weak]", "SPACE")
    assert 0 < len(column(opened, 0)) < MANY


def test_a_link_opens_the_task_it_leads_to(opened: Any) -> None:
    """Enter on a name in the table unfolds the part of that task, a second time too."""
    from selenium.webdriver.support.ui import WebDriverWait

    link = "table.tasks tbody tr:nth-child(5) a"
    target = opened.execute_script(f"return document.querySelector('{link}').hash")
    state = f"return document.querySelector('{target}').open"
    assert not opened.execute_script(state)
    for _ in range(2):
        press(opened, link, "ENTER")
        WebDriverWait(opened, 30).until(lambda page: page.execute_script(state))  # the page hears of it after the key
        opened.execute_script(f"document.querySelector('{target}').open = false")


def test_map_names_tasks_under_the_pointer_and_the_focus(opened: Any) -> None:
    """A mark that gets the focus or the pointer shows its task's name, and hides it afterwards."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    opened.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
    opened.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})  # a window that nobody looks at
    spot = opened.find_elements(By.CSS_SELECTOR, ".spot")[3]
    name = spot.get_attribute("aria-label")
    opened.execute_script("arguments[0].focus()", spot)
    tip = opened.find_element(By.CSS_SELECTOR, ".tip")
    assert tip.text == name and name.startswith("made/")
    opened.execute_script("arguments[0].blur()", spot)
    assert not tip.is_displayed()
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", spot)
    ActionChains(opened).move_to_element(spot.find_element(By.CSS_SELECTOR, ".mark")).perform()
    assert tip.is_displayed()


def test_page_is_whole_without_scripts(browser: Any, made: Path) -> None:
    """With scripts off every task stands in the table and can be unfolded; no control that does nothing is shown."""
    from selenium.webdriver.common.by import By

    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(made.as_uri())
        assert len(browser.find_elements(By.CSS_SELECTOR, "table.tasks tbody tr")) == MANY
        assert not browser.find_element(By.CSS_SELECTOR, ".filter").is_displayed()
        assert browser.find_elements(By.CSS_SELECTOR, "th button") == []
        part = browser.find_element(By.CSS_SELECTOR, "details.task")
        press(browser, "details.task summary", "ENTER")
        assert part.find_element(By.CSS_SELECTOR, "dl").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_page_fits_a_phone(browser: Any, made: Path) -> None:
    """On 390 pixels nothing but a table in its own scrolling region is wider than the page."""
    resize(browser, PHONE)
    browser.get(made.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    browser.execute_script("document.querySelectorAll('details').forEach(part => (part.open = true))")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]


def test_paper_has_the_table_and_what_is_open(opened: Any) -> None:
    """Printed are all columns but two and the open parts; controls and folded parts are not."""
    opened.execute_script("document.querySelector('details.task').open = true")
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length > 0).length"
        assert opened.execute_script(shown, "details.task") == 1
        assert opened.execute_script(shown, ".filter, nav, th button, .buttons") == 0
        assert opened.execute_script(shown, "table.tasks tbody tr") == MANY
        assert opened.execute_script(shown, "table.tasks thead th") == 9
    finally:
        opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert print_to_pdf(opened).startswith(b"%PDF")


def test_hundreds_of_tasks_stay_small(tmp_path: Path) -> None:
    """A run of 420 tasks gives a page below three megabytes."""
    report, trained = made_run(tmp_path / "run", 420)
    text = page(gather(tmp_path / "run", report, trained, cache=None))
    assert len(text.encode()) < 3e6
    assert text.count('<details class="task"') == 420


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    """Without predictions, log, model and transfer results the page still has its table, and no empty parts."""
    folder = tmp_path / "run"
    report, trained = made_run(folder)
    for path in (*folder.rglob("*.parquet"), folder / "log.jsonl", *(folder / "model").iterdir()):
        path.unlink()
    text = page(gather(folder, report, trained, cache=None))
    assert "made/<wbr>3" in text
    assert "The run has no log of steps" in text
    for anchor in ("transfer", "map", "calibration", "mistakes", "untrained"):
        assert f'id="{anchor}"' not in text


def test_transfer_at_one_number_of_shots_is_a_table_alone(tmp_path: Path) -> None:
    """Zero-shot results have no curve over shots: they stand in the table, without an empty chart or legend."""
    folder = tmp_path / "run"
    report, trained = made_run(folder)
    line = {"model": "<m>", "task": "held", "shots": 0, "seed": 0, "method": "zero-shot", "score": 0.4}
    (tmp_path / "other.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    text = page(gather(folder, report, trained, transfer=tmp_path / "other.jsonl"))
    part = text.partition('id="transfer"')[2].partition("</section>")[0]
    assert "&lt;m&gt;" in part and "0.400" in part
    assert "<svg" not in part and "legend" not in part


def test_broken_transfer_results_are_told(tmp_path: Path) -> None:
    """A file of something else is an error with its line, not a page without the part."""
    report, trained = made_run(tmp_path / "run")
    (tmp_path / "run" / "transfer.jsonl").write_text('{"model":\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        gather(tmp_path / "run", report, trained, cache=None)
