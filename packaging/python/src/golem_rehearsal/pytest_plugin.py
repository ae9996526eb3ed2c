"""The pytest plugin: the fixtures `golem_network` and `yagna`, the marks `virtual_time` and `golem_network`.

A test with the mark `virtual_time` is run by `rehearse exec` in a pytest of its own, unmodified, and its reports are those of that one.
"""
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest

from . import Network, Refused, rehearse

REPORTS = "GOLEM_REHEARSAL_REPORTS"  # where the pytest inside leaves its reports
OF_NETWORK = ("providers", "file", "seed", "options")
OF_TIME = ("scenario", "providers", "seed", "busy", "time", "open_is_fine")


def pytest_addoption(parser):
    group = parser.getgroup("golem-rehearsal")
    group.addoption("--golem-out", metavar="DIR", help="keep the journal, the report and the page of each test in virtual time in a folder of DIR")


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "virtual_time(scenario=None, providers=4, seed=1, busy='2m', open_is_fine=False): the test runs in virtual time, in a process and "
        "on a network of its own; it fails, too, when the network's books are wrong or something is left open",
    )
    config.addinivalue_line("markers", "golem_network(providers=4, file=None, seed=1, options=()): the network of the fixtures golem_network and yagna")
    if os.environ.get(REPORTS):
        config.pluginmanager.register(Inside(config))


class Inside:
    """In the pytest that `rehearse exec` runs: leaves the reports for the one outside."""

    def __init__(self, config):
        self.config = config

    def pytest_runtest_logreport(self, report):
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        with open(os.environ[REPORTS], "a") as file:
            file.write(json.dumps(data) + "\n")


def said(item, name, known):
    """What the mark of this name says."""
    mark = item.get_closest_marker(name)
    if mark is None:
        return {}
    unknown = sorted(set(mark.kwargs) - set(known))
    if mark.args or unknown:
        raise pytest.UsageError(f"{item.nodeid}: the mark {name} takes {', '.join(known)} by name, not {mark.args or unknown}")
    return dict(mark.kwargs)


def beside(item, file):
    """A path that is written in a test is meant from the test's folder."""
    path = Path(item.path).parent / file
    return path if path.exists() else file


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if item.get_closest_marker("virtual_time") is None or os.environ.get(REPORTS):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in in_virtual_time(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    # What the tests before had set up for this one's module has no further use.
    item.session._setupstate.teardown_exact(nextitem)
    return True


def in_virtual_time(item):
    config = item.config
    wanted = said(item, "virtual_time", OF_TIME)
    others = said(item, "golem_network", OF_NETWORK)
    fine = wanted.pop("open_is_fine", False)
    if "file" in others or "options" in others:
        raise pytest.UsageError(f"{item.nodeid}: in virtual time a network is described by virtual_time(scenario=FILE)")
    wanted = {**others, **wanted}
    if wanted.get("scenario"):
        wanted["scenario"] = beside(item, wanted["scenario"])
    keep = config.getoption("--golem-out")
    if keep:
        out = Path(keep).absolute() / re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")
    else:
        out = Path(tempfile.mkdtemp(prefix="golem-rehearsal-"))
    out.mkdir(parents=True, exist_ok=True)
    reports = out / "reports.jsonl"
    reports.write_text("")
    file, _, rest = item.nodeid.partition("::")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", config.rootpath]
    command += ["-c", config.inipath] if config.inipath else []
    command += ["-n0"] if config.pluginmanager.hasplugin("xdist") else []
    command += [f"{config.rootpath / file}::{rest}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    env[REPORTS] = str(reports)
    try:
        rehearsal = rehearse(command, out=out / "run", html=bool(keep), env=env, cwd=str(config.invocation_params.dir), **wanted)
    except (Refused, FileNotFoundError) as refused:
        return [failed(item, f"the rehearsal did not begin: {refused}", "")]
    found = [
        config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
        for line in reports.read_text().splitlines(keepends=True)
        if line.endswith("\n")  # it may have been ended while it wrote
    ]
    if not any(report.when == "teardown" for report in found):
        # It ended on the way: before pytest began, or in the middle of the test, of which there is no report then.
        why = rehearsal.wrong() or ["the process of the test ended before the test did"]
        return [*found, failed(item, "\n".join(why), rehearsal.output)]
    calls = [report for report in found if report.when == "call"]
    for report in found:
        report.duration = 0.0
    for report in calls:
        report.duration = rehearsal.report["wall_seconds"]
        report.user_properties += [("virtual_seconds", rehearsal.report["virtual_seconds"]), ("rehearsal", str(rehearsal.folder))]
    wrong = rehearsal.wrong()
    if fine:
        wrong = [each for each in wrong if each not in rehearsal.report["open"]]
    if wrong and calls and all(report.passed for report in found):
        calls[-1].outcome = "failed"
        told = "\n".join(f"  {each}" for each in wrong)
        calls[-1].longrepr = f"the test passed, but the network says:\n{told}\nthe whole journal: {rehearsal.folder / 'journal.jsonl'}"
    return found


def failed(item, why, output):
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=why,
        when="call",
        sections=[("rehearse exec", output)] if output else [],
    )


@pytest.fixture
def golem_network(request):
    """A simulated network behind a yagna daemon (`golem_rehearsal.Network`) for this test alone, as its mark `golem_network` says.

    In virtual time, and in a pytest under `rehearse exec`, it is the one around it. At the end its books have to be right.
    """
    wanted = said(request.node, "golem_network", OF_NETWORK)
    around = Network.around()
    if around:
        yield around
        return
    if wanted.get("file"):
        wanted["file"] = beside(request.node, wanted["file"])
    with Network.start(**wanted) as network:
        yield network
        network.check()


@pytest.fixture
def yagna(golem_network, monkeypatch):
    """The same, and the variables that SDKs read (`YAGNA_API_URL`, `YAGNA_APPKEY`, …) lead to it; `gftp` is on the PATH."""
    if not Network.around():
        for name, value in golem_network.environment.items():
            monkeypatch.setenv(name, value)
    return golem_network
