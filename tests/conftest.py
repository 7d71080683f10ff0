"""What all tests share: one thread each, one browser, and two processes that divide the work."""

import gc
import os
from collections.abc import Iterator

# Before torch is imported: on networks this small a second thread only waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from playwright.sync_api import Browser, sync_playwright
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.browser.chromium import ARGS, executable

# The longest: they begin, and keep one process busy while the other does the rest.
BROWSER = ("tests/browser/", "tests/backend/sharing/test_browser.py")


class OneBrowser(LoadScopeScheduling):
    """Tests of a browser go to one process; of the others, each file to one."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith(BROWSER) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneBrowser:
    return OneBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(BROWSER))


def pytest_collection_finish() -> None:
    """Modules and tests live to the end: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable(), args=ARGS)
        yield found
        found.close()
