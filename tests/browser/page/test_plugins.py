"""An estimator of one's own joins the form; a broken file is listed and harms nothing."""

from person import (
    becomes,
    chart,
    enter,
    fill,
    legend,
    points,
    press_run,
    run_row,
    sees,
    setting,
    small,
)
from playwright.sync_api import Page, expect
from served import ServedLab

OWN = '''"""The exact gradient, made a little longer."""

from dataclasses import dataclass
from typing import Annotated, Any

from estimators.core.bounds import Gt, Unit
from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Claim, Cost, Estimate, Estimator


@dataclass(frozen=True)
class StretchedGradient(Estimator[Any, Any]):
    """The exact gradient times a factor."""

    stretch: Annotated[float, Gt(0.0), Unit("times")] = 1.5
    """How much longer the estimate is than the exact gradient."""

    def claim(self, objective, /):
        return Claim.BIASED

    def cost(self, objective, /):
        return Cost(forwards=1, vjps=1)

    def estimate(self, objective, params, state, rng, /):
        loss, grads = value_and_grad(objective, params)
        return Estimate({k: self.stretch * g for k, g in grads.items()}, loss)
'''


def test_a_file_in_the_folder_becomes_an_estimator(page: Page, lab: ServedLab) -> None:
    folder = lab.home / "plugins"
    (folder / "stretched.py").write_text(OWN)
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    enter(page, lab.start_url, "/new")
    setting(page, "Driver")  # its group has the button
    page.get_by_role("button", name="Refresh").click()
    failure = page.locator("details.failure")
    expect(failure).to_contain_text("broken.py", timeout=30_000)
    expect(page.get_by_role("status").filter(has_text="broken.py failed to load.")).to_be_visible()
    expect(page.get_by_text(f"Folder: {folder}")).to_be_visible()
    failure.locator("summary").click()
    expect(failure).to_contain_text("No module named 'nothing_of_that_name'")
    (folder / "broken.py").unlink()

    small(page, "my own", 60)
    fill(page, Driver="Stretched gradient")
    expect(setting(page, "Stretch")).to_have_value("1.5")
    expect(page.get_by_text("times", exact=True)).to_be_visible()
    press_run(page)
    becomes(run_row(page, "my own"), "finished")
    points(page, "norm-ratio", "stretched_gradient")
    assert "stretched_gradient" in legend(page, "norm-ratio")
    chart(page, "norm-ratio")
    sees(
        page,
        """() => document.querySelector("[data-chart=norm-ratio]").data.some((one) =>
           one.name === "stretched_gradient" && Math.abs(one.y[0] - 1.5) < 1e-3)""",
    )
