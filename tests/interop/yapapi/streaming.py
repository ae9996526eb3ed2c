"""yapapi with `stream_output=True`: output arrives as events, while the command runs."""
import asyncio
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm

from support import IMAGE_HASH, Facts, image_server


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        script.run("/bin/sh", "-c", "echo one; echo to stderr >&2")
        script.run("/bin/sh", "-c", "echo two")
        yield script
        task.accept_result(result="streamed")


def chunk(event):
    print(f"{type(event).__name__}: {event.output.strip()}", flush=True)


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    async with Golem(budget=1.0, event_consumer=Facts(), stream_output=True) as golem:
        golem.add_event_consumer(chunk, ["CommandStdOut", "CommandStdErr"])
        golem.add_event_consumer(lambda event: print("started", flush=True), ["CommandStarted"])
        async for done in golem.execute_tasks(
            worker, [Task(data=1)], payload=package, max_workers=1, timeout=timedelta(minutes=10)
        ):
            print(f"result: {done.result}", flush=True)
    print("done", flush=True)


asyncio.run(main())
