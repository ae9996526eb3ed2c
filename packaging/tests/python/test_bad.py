"""Each of these fails, and says why."""
import json
import os
import time
import urllib.request

import pytest


@pytest.mark.virtual_time
def test_that_is_wrong():
    time.sleep(7200)
    print("words of the test")
    assert "what is" == "what should be"


def allocate():
    body = {"totalAmount": "1", "makeDeposit": False, "timeout": "2026-01-02T00:00:00Z", "paymentPlatform": "erc20-holesky-tglm"}
    request = urllib.request.Request(
        os.environ["YAGNA_API_URL"] + "/payment-api/v1/allocations",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


@pytest.mark.virtual_time
def test_that_leaves_an_allocation_open(yagna):
    allocate()


@pytest.mark.virtual_time(open_is_fine=True)
def test_that_may_leave_it_open(yagna):
    allocate()


@pytest.mark.virtual_time(busy="3s")
def test_that_waits_where_nobody_sees_it():
    import threading

    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@pytest.mark.virtual_time(busy="10ms")
def test_that_is_ended_before_it_begins():
    pass


@pytest.mark.virtual_time
def test_that_ends_its_process():
    os._exit(0)


@pytest.mark.virtual_time(scenario="no-such-file.yaml")
def test_without_its_network():
    pass
