"""What somebody who has installed the wheel may write: all of it passes."""
import asyncio
import json
import os
import sys
import time
import urllib.request

import pytest
from golem_rehearsal import Network, Refused, rehearse


def ask(path):
    request = urllib.request.Request(os.environ["YAGNA_API_URL"] + path, headers={"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.mark.virtual_time(providers=2, seed=5)
def test_two_hours_pass_at_once(yagna):
    began = time.time()
    time.sleep(3600)
    asyncio.run(asyncio.sleep(3600))
    assert 7200 <= time.time() - began < 7201
    assert [provider["name"] for provider in yagna.providers()] == ["provider-1", "provider-2"]
    assert ask("/me")["identity"].startswith("0x")


@pytest.mark.virtual_time
@pytest.mark.parametrize("hours", [1, 30])
def test_long_polls_end_when_their_time_has_come(yagna, hours):
    began = time.monotonic()
    for _ in range(hours):
        assert ask("/payment-api/v1/debitNoteEvents?timeout=3600") == []
    assert round(time.monotonic() - began) == hours * 3600


@pytest.mark.golem_network(providers=3)
def test_a_network_in_real_time(yagna):
    assert os.environ["YAGNA_API_URL"] == yagna.url
    yagna.act("die", provider="provider-2")
    assert [provider["online"] for provider in yagna.providers()] == [True, False, True]
    yagna.add_fault("GET /me", {"refuse": 503}, count=1)
    with pytest.raises(urllib.error.HTTPError):
        ask("/me")
    assert ask("/me")["role"]
    assert yagna.events()
    with pytest.raises(Refused, match="nobody"):
        yagna.act("die", provider="nobody")


@pytest.mark.golem_network(file="network.yaml")
def test_a_network_of_a_file(golem_network):
    assert [provider["name"] for provider in golem_network.providers()] == ["bob"]
    assert "YAGNA_API_URL" not in os.environ
    assert os.access(golem_network.environment["PATH"].split(":")[0] + "/gftp", os.X_OK)


def test_time_that_is_held_moves_at_a_word_and_a_kept_state_is_gone_back_to():
    with Network.start(providers=2, options=["--time", "held"]) as network:
        began = network.now()
        network.save("begin")
        network.act("die", provider="provider-2")
        assert network.advance("2d") > began
        assert [provider["online"] for provider in network.providers()] == [True, False]
        network.load("begin")
        assert network.now() == began
        assert [provider["online"] for provider in network.providers()] == [True, True]
        with pytest.raises(Refused, match="there are: begin"):
            network.load("end")


def test_a_network_that_cannot_be_says_why(tmp_path):
    (tmp_path / "wrong.yaml").write_text("provders: []\n")
    with pytest.raises(Refused, match="providers"):
        Network.start(file=tmp_path / "wrong.yaml")


def test_a_program_in_virtual_time(tmp_path):
    done = rehearse([sys.executable, "-c", "import time; time.sleep(7200); print('awake')"], out=tmp_path / "out", html=True)
    assert done.ok and "awake" in done.output and done.report["virtual_seconds"] >= 7200, done
    assert (tmp_path / "out/report.html").is_file() and (tmp_path / "out/trace.json").is_file()
    assert not rehearse([sys.executable, "-c", "exit(3)"]).ok
