"""Rehearse requestors of the Golem Network offline.

`Network` is a simulated network behind a yagna daemon on a port of this computer, in real time; `rehearse` runs a program on one
in virtual time. With pytest the fixtures `golem_network` and `yagna` and the mark `virtual_time` do the same for tests.
"""
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

__all__ = ["Broken", "Network", "Refused", "Rehearsal", "gftp_folder", "program", "rehearse"]


class Refused(Exception):
    """The network refuses what was asked of it; the words say why."""


class Broken(AssertionError):
    """A law of the network was broken: something was paid twice, used without an agreement, …"""


def program(name):
    """The path of `rehearse` or `mock-yagna`: in the folder of the variable GOLEM_PROGRAMS, beside this Python, or on the PATH."""
    folders = [os.environ.get("GOLEM_PROGRAMS"), sysconfig.get_path("scripts"), str(Path(sys.executable).parent)]
    for folder in folders:
        found = folder and shutil.which(name, path=folder)
        if found:
            return found
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError(f"{name} is not beside {sys.executable} and not on the PATH: is golem-rehearsal installed whole?")
    return found


def gftp_folder(into):
    """A folder in `into` with the program `gftp`, which yapapi serves files with; it is to come first on the PATH."""
    folder = Path(into) / "gftp-bin"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "gftp"
    script.write_text("#!/bin/sh\nexec '{}' gftp \"$@\"\n".format(program("rehearse").replace("'", "'\\''")))
    script.chmod(0o755)
    return str(folder)


class Network:
    """A simulated Golem Network behind a yagna daemon.

    >>> with Network.start(providers=8) as network:
    ...     subprocess.run([sys.executable, "requestor.py"], env={**os.environ, **network.environment}, check=True)
    ...     network.check()

    `url` and `app_key` are what clients want to know, `environment` the variables that SDKs read.
    """

    def __init__(self, url, app_key, subnet="public"):
        self.url, self.app_key, self.subnet = url.rstrip("/"), app_key, subnet
        self._process = self._folder = None

    @classmethod
    def start(cls, providers=4, file=None, seed=1, app_key="secret", options=()):
        """Starts one: of so many providers, or as a network `file` (YAML) says. `options` are further ones of `mock-yagna`."""
        command = [program("mock-yagna"), "--listen", "127.0.0.1:0", "--app-key", app_key, "--seed", str(seed)]
        command += ["--scenario", os.fspath(file)] if file else ["--providers", str(providers)]
        folder = tempfile.TemporaryDirectory(prefix="golem-rehearsal-")
        log = Path(folder.name) / "log"
        with log.open("wb") as said:
            process = subprocess.Popen(command + list(options), stdout=subprocess.PIPE, stderr=said, text=True)
        known = {}
        for line in process.stdout:
            name, _, value = line.strip().partition("=")
            known[name.replace("export ", "")] = value
            if "YAGNA_APPKEY" in known:
                break
        if "YAGNA_APPKEY" not in known:
            process.wait()
            raise Refused(log.read_text(errors="replace").strip() or f"mock-yagna ended with {process.returncode}")
        # Nothing that it says later may fill the pipe.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        network = cls(known["YAGNA_API_URL"], app_key)
        network._process, network._folder = process, folder
        return network

    @classmethod
    def around(cls):
        """The one that `rehearse exec` has put around this program, or None."""
        if "GOLEM_SEED" not in os.environ or "YAGNA_API_URL" not in os.environ:
            return None
        return cls(os.environ["YAGNA_API_URL"], os.environ["YAGNA_APPKEY"], os.environ.get("YAGNA_SUBNET", "public"))

    @property
    def environment(self):
        """The variables for clients; of a network that was started here the PATH with its `gftp`, too."""
        known = {
            "YAGNA_API_URL": self.url,
            "YAGNA_APPKEY": self.app_key,
            "YAGNA_SUBNET": self.subnet,
            "YAGNA_PAYMENT_NETWORK": "hoodi",
            "YAGNA_PAYMENT_DRIVER": "erc20",
        }
        if self._folder:
            known["PATH"] = gftp_folder(self._folder.name) + os.pathsep + os.environ.get("PATH", "")
        return known

    def control(self, method, path, body=None):
        """A request to the control API (`/mock-api/v1`, described at `/mock-api/v1/openapi.yaml`); its answer."""
        request = urllib.request.Request(
            f"{self.url}/mock-api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.app_key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                text = json.loads(text)["message"]
            except (ValueError, KeyError, TypeError):
                pass
            raise Refused(f"{method} {path}: {text}") from None
        return json.loads(text) if text else None

    def act(self, name, **how):
        """Interferes: `act("die", provider="bob")`, `act("restart_daemon", down="10s")`."""
        self.control("POST", "/acts", {name: how})

    def add_fault(self, on, do, **how):
        """Adds a fault and tells its name: `add_fault("confirmAgreement", "lose_answer", count=1)`."""
        return self.control("POST", "/faults", {"on": on, "do": do, **how})["name"]

    def lift_faults(self):
        """Lifts every fault."""
        self.control("DELETE", "/faults")

    def providers(self):
        """Every provider, with its behaviour."""
        return self.control("GET", "/providers")

    def matches(self):
        """Which providers match each demand, and why the others do not."""
        return self.control("GET", "/matching")

    def events(self, name=None):
        """What happened, in order: all of it, or the events of one name."""
        found, since = [], 0
        while True:
            page = self.control("GET", f"/journal?since={since}")
            found += [event for event in page if name in (None, event["event"])]
            if not page:
                return found
            since = page[-1]["seq"] + 1

    def summary(self):
        """Money and machines in numbers, what is wrong in the books (`violations`), what is left open (`open`)."""
        return self.control("GET", "/ledger")

    def check(self, open_is_fine=True):
        """Fails with `Broken` if a law was broken, or, if that is asked for, something is left open."""
        summary = self.summary()
        wrong = summary["violations"] + ([] if open_is_fine else summary["open"])
        if wrong:
            raise Broken("\n".join(json.dumps(each) for each in wrong))

    def reset(self):
        """Begins anew."""
        self.control("POST", "/reset")

    def now(self):
        """The network's time, as text."""
        return self.control("GET", "/time")["now"]

    def advance(self, by):
        """Moves time on that is held (`start(options=["--time", "held"])`): `advance("2h")`. Tells the new time."""
        return self.control("POST", "/time", {"advance": by})["now"]

    def save(self, name):
        """Keeps the state of now under a name; not while a command runs."""
        self.control("PUT", f"/snapshots/{urllib.parse.quote(name, safe='')}")

    def load(self, name):
        """Goes back to a state that was kept; requests under way end without an answer."""
        self.control("POST", f"/snapshots/{urllib.parse.quote(name, safe='')}")

    def log(self):
        """What the daemon has told of what happened, for people."""
        return (Path(self._folder.name) / "log").read_text(errors="replace") if self._folder else ""

    def stop(self):
        """Ends a network that was started here."""
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._folder.cleanup()
            self._process = self._folder = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Rehearsal:
    """What came of a program: `ok`, `report` (the JSON of `rehearse exec`), `output` (what it printed), `folder`."""

    def __init__(self, report, output, folder, exit_code):
        self.report, self.output, self.folder, self.exit_code = report, output, Path(folder), exit_code
        self.ok = exit_code == 0

    def events(self, name=None):
        """What happened on the network, in order: all of it, or the events of one name."""
        lines = (json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines())
        return [line for line in lines if line["from"] == "network" and name in (None, line["event"])]

    def wrong(self):
        """What does not hold, in lines."""
        failed = [f"{each['expectation']}: {each['found']}" for each in self.report["expectations"] if not each["ok"]]
        return failed + self.report["violations"] + self.report["open"]

    def __repr__(self):
        return f"<Rehearsal {'passed' if self.ok else 'failed: ' + '; '.join(self.wrong())}>"


def rehearse(command, scenario=None, providers=None, seed=None, out=None, time=None, busy=None, html=False, env=None, cwd=None):
    """Runs `command` (a list) with `rehearse exec`: on the network of a scenario file, or of so many providers, in virtual time.

    `time` is `real` or as `x60`, `busy` how long it may work in real time as `2m`, `out` where journal and report are left.
    Raises `Refused` when it could not begin.
    """
    if out is None:
        out = tempfile.mkdtemp(prefix="golem-rehearsal-")
    words = [program("rehearse"), "exec", "--json", "--out", os.fspath(out)]
    words += [os.fspath(scenario)] if scenario else []
    for option, value in (("--providers", providers), ("--seed", seed), ("--time", time), ("--busy", busy)):
        words += [] if value is None else [option, str(value)]
    words += ["--html"] if html else []
    done = subprocess.run(
        words + ["--"] + [os.fspath(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
    )
    output = done.stderr.decode(errors="replace")
    try:
        report = json.loads(done.stdout)
        report["expectations"]
    except (ValueError, KeyError, TypeError):
        raise Refused(output.strip() or done.stdout.decode(errors="replace")) from None
    return Rehearsal(report, output, out, done.returncode)
