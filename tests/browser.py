"""A headless Chromium for the page of ``history --html``."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def required() -> None:
    """Skip the test where there is no Chromium; CI must have one."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        if os.environ.get("UNDROP_CI"):
            pytest.fail("there is no chromium with its chromedriver")
        pytest.skip("there is no chromium with its chromedriver (Debian: chromium-driver)")


@contextmanager
def opened(folder: Path, *, scripts: bool = True) -> Iterator[webdriver.Chrome]:
    """A browser whose profile is a new one in ``folder``."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    try:
        if not scripts:
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        yield driver
    finally:
        driver.quit()


def look(driver: webdriver.Chrome, width: int, height: int, scheme: str = "light") -> None:
    """Show pages in that many CSS pixels, and in the light or the dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the browser's console says: errors, and what the page's policy kept from running."""
    entries = driver.get_log("browser")  # type: ignore[no-untyped-call]  # it has no types
    return [entry["message"] for entry in entries]
