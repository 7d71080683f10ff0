"""A real Chromium before a real lab."""

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from person import WATCH
from playwright.sync_api import Browser, BrowserContext, Page
from served import ServedLab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    """One lab for all tests that do it no harm."""
    served = ServedLab(tmp_path_factory.mktemp("lab"))
    served.start()
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def _tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails leaves no run behind that would keep the next one waiting."""
    yield
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").cancel_all()


@pytest.fixture(scope="session")
def shared_context(browser: Browser, lab: ServedLab) -> Iterator[BrowserContext]:
    """One context for all pages: an idle page in it keeps what the renderer has compiled."""
    made = _context(browser)
    made.new_page().goto(f"{lab.url}/static/keys.js")
    yield made
    made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One for this test alone. It costs more, and is for tests that change a context."""
    made = _context(browser)
    yield made
    made.close()


def _context(browser: Browser) -> BrowserContext:
    made = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    made.add_init_script(WATCH)
    return made


@pytest.fixture
def expected() -> list[str]:
    """Parts of console errors that a test causes on purpose: the browser logs each refusal."""
    return []


@pytest.fixture
def page(request: pytest.FixtureRequest, expected: list[str]) -> Iterator[Page]:
    """A page that must break no policy and log no error but what is expected."""
    alone = "context" in request.fixturenames
    context = request.getfixturevalue("context" if alone else "shared_context")
    made = context.new_page()
    complaints: list[str] = []
    made.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    try:
        assert made.evaluate("window.violations") == []
    finally:
        if not alone:
            _clear(context)
    assert [one for one in complaints if not any(part in one for part in expected)] == []


NO_PLOTS = """
const nothing = new Proxy(() => Promise.resolve(), {
  get: (_, name) => (name === "then" ? undefined : nothing),
});
globalThis.Plotly = nothing;
"""
"""A chart library that draws nothing."""


@pytest.fixture
def no_plots(page: Page) -> None:
    """Charts stay empty: a test that looks at none need not wait for them."""
    answer = {"body": NO_PLOTS, "content_type": "text/javascript"}
    page.route("**/plotly*", lambda route: route.fulfill(**answer))


def _clear(context: BrowserContext) -> None:
    """Close all pages but the idle one, and forget what they have stored."""
    idle, *pages = context.pages
    places = [urlsplit(page.url) for page in pages if page.url.startswith("http")]
    for page in pages:
        page.close()
    context.clear_cookies()
    session = context.new_cdp_session(idle)
    for place in places:
        what = {"origin": f"{place.scheme}://{place.netloc}", "storageTypes": "local_storage"}
        session.send("Storage.clearDataForOrigin", what)
    session.detach()
