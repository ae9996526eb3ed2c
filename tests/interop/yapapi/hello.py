"""A yapapi task job: three greetings on rented machines. Prints one line a result, then `done`."""
import asyncio
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm

from support import IMAGE_HASH, image_server

NAMES = ["Ada", "Grace", "Barbara"]


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        greeting = script.run("/bin/sh", "-c", f"echo hello {task.data}")
        yield script
        task.accept_result(result=(await greeting).stdout.strip())


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    async with Golem(budget=1.0) as golem:
        tasks = [Task(data=name) for name in NAMES]
        async for done in golem.execute_tasks(worker, tasks, payload=package, max_workers=2, timeout=timedelta(minutes=10)):
            print(f"result: {done.data}: {done.result}", flush=True)
    print("done", flush=True)


asyncio.run(main())
