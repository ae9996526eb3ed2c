"""A payload as yapapi's own examples name it, by the hash of its image alone. Prints one line a result, then `done`."""
import asyncio

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script()
        answer = script.run("/bin/sh", "-c", "echo hello")
        yield script
        task.accept_result(result=(await answer).stdout.strip())


async def main():
    package = await vm.repo(image_hash="d646d7b93083d817846c2ae5c62c72ca0507782385a2e29291a3d376")
    async with Golem(budget=1.0) as golem:
        async for done in golem.execute_tasks(worker, [Task(data=None)], payload=package):
            print(f"result: {done.result}", flush=True)
    print("done", flush=True)


asyncio.run(main())
