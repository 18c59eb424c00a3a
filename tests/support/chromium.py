"""Chromium for tests of the page, and axe-core in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypedDict, cast

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.peers import program
from tests.support.web import PASSWORD

_WCAG: Mapping[str, object] = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
_ARGUMENTS = ("--no-sandbox", "--disable-gpu")
# Results of rules that hold would be collected for every element and copied out of the browser.
_RUN = """rules => axe.run({runOnly: rules, resultTypes: ["violations"]}).then(
    results => results.violations.map(
        rule => ({id: rule.id, elements: rule.nodes.map(node => [node.target.join(" "), node.html])})))"""


class _Violation(TypedDict):
    id: str
    elements: list[tuple[str, str]]


@contextmanager
def open_chromium(*, is_whole: bool = False) -> Iterator[Browser]:
    """Yield Debian's Chromium, which is closed in the end.

    `is_whole` selects the browser that people use. The same without its own windows takes two thirds of the time.
    """
    name = "chromium" if is_whole else "chromium-headless-shell"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(name), args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """Return the violated rules of WCAG 2.2 A and AA, each with its element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    results = cast("list[_Violation]", page.evaluate(_RUN, _WCAG))
    return [f"{rule['id']}: {target} {html[:120]}" for rule in results for target, html in rule["elements"]]


def watch(page: Page, complaints: list[str]) -> None:
    """Collect errors of a page."""
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))


def log_in(page: Page, name: str = "op", password: str = PASSWORD) -> None:
    """Log in on the page of a login, and wait for the operations page."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Operations")).to_be_visible()
