"""Everything that waits in a Python program of the usual kinds, with nothing but the standard library."""
import asyncio
import concurrent.futures
import datetime
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request

began = time.monotonic()
start = datetime.datetime.now(datetime.timezone.utc)


def say(what):
    passed = datetime.datetime.now(datetime.timezone.utc) - start
    assert abs(passed.total_seconds() - (time.monotonic() - began)) < 0.01
    print(f"{what}: {time.monotonic() - began:.3f}", flush=True)


def nap(seconds):
    time.sleep(seconds)
    return seconds


say("began")
time.sleep(3600)
say("slept")
thread = threading.Thread(target=nap, args=(50,))
thread.start()
thread.join(20)
say(f"joined {not thread.is_alive()}")
thread.join()
say(f"joined {not thread.is_alive()}")
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    list(pool.map(nap, [10, 20, 30, 20]))
say("pool")


async def tasks():
    loop = asyncio.get_running_loop()
    await asyncio.gather(asyncio.sleep(60), loop.run_in_executor(None, nap, 90), asyncio.to_thread(nap, 30))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(100)")
    await process.wait()


asyncio.run(tasks())
say("tasks")
orders = queue.Queue()
threading.Timer(5, orders.put, ["order"]).start()
assert orders.get(timeout=60) == "order"
try:
    orders.get(timeout=7)
except queue.Empty:
    say("queue")
# A program that keeps no time: nothing moves while it works.
subprocess.run(["sh", "-c", "sleep 0.05"], check=True)
say("shell")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
try:
    child.wait(timeout=10)
except subprocess.TimeoutExpired:
    child.kill()
    child.wait()
say("child")
key = {"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}"}
poll = f"{os.environ['YAGNA_API_URL']}/market-api/v1/agreementEvents?timeout=40"
with urllib.request.urlopen(urllib.request.Request(poll, headers=key)) as answer:
    assert answer.read() == b"[]"
say("long poll")
until = time.time() + 2
while time.time() < until:
    pass
say("watched the clock")
print("done", flush=True)
