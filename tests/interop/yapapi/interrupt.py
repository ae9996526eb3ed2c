"""Ctrl-C while a command runs: yapapi ends the work, pays for it and leaves nothing behind."""
import asyncio
import os
import signal
from datetime import timedelta

import aiohttp

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm

from support import IMAGE_HASH, Facts, image_server


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(minutes=10))
        script.run("/bin/sh", "-c", "sleep 300")
        asyncio.get_running_loop().call_later(1, os.kill, os.getpid(), signal.SIGINT)
        yield script
        task.accept_result(result="not reached")


async def work():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        names = ["ExecutionInterrupted", "ShutdownFinished"]
        golem.add_event_consumer(lambda event: print(type(event).__name__, flush=True), names)
        async for _ in golem.execute_tasks(
            worker, [Task(data=1)], payload=package, max_workers=1, timeout=timedelta(minutes=20)
        ):
            print("finished?", flush=True)


async def left_behind():
    """What the daemon still holds for this requestor."""
    headers = {"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}"}
    async with aiohttp.ClientSession(os.environ["YAGNA_API_URL"], headers=headers) as session:
        for path in ["market-api/v1/demands", "market-api/v1/agreements?state=Approved", "payment-api/v1/allocations"]:
            async with session.get(f"/{path}") as answer:
                print(f"left: {len(await answer.json())}", flush=True)


loop = asyncio.new_event_loop()
task = loop.create_task(work())
try:
    loop.run_until_complete(task)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    task.cancel()
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
loop.run_until_complete(left_behind())
print("done", flush=True)
