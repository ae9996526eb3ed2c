"""Twelve yapapi tasks on at most four machines; one command fails and its task is tried elsewhere."""
import asyncio
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm
from yapapi.rest.activity import CommandExecutionError

from support import IMAGE_HASH, Facts, image_server

failed_once = []


async def worker(context: WorkContext, tasks):
    script = context.new_script(timeout=timedelta(seconds=30))
    script.run("/bin/sh", "-c", "echo ready > /golem/work/state")
    yield script
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        script.run("/bin/sh", "-c", "cat /golem/work/state")
        square = script.run("/bin/sh", "-c", f"echo {task.data * task.data}; echo warned >&2")
        if task.data == 5 and not failed_once:
            failed_once.append(context.provider_name)
            script.run("/bin/sh", "-c", "exit 7")
        try:
            yield script
        except CommandExecutionError as error:
            print(f"command failed: {'code 7' in str(error)}", flush=True)
            task.reject_result(retry=True)
            continue
        result = await square
        assert result.stderr == "warned\n", result
        task.accept_result(result=int(result.stdout))


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url, min_cpu_threads=2)
    results = {}
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        tasks = [Task(data=number) for number in range(12)]
        async for done in golem.execute_tasks(
            worker, tasks, payload=package, max_workers=4, timeout=timedelta(minutes=10)
        ):
            results[done.data] = done.result
    print(f"results: {[results[number] for number in sorted(results)]}", flush=True)
    print("done", flush=True)


asyncio.run(main())
