"""A script that takes too long loses its machine; commands that fail do not."""
import asyncio
import os
import tempfile
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm
from yapapi.rest.activity import BatchTimeoutError, CommandExecutionError

from support import IMAGE_HASH, Facts, image_server

attempts = []


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        attempts.append(context.provider_id)
        if len(attempts) == 1:
            script = context.new_script(timeout=timedelta(seconds=2))
            script.run("/bin/sleep", "60")
            try:
                yield script
            except BatchTimeoutError:
                print("timed out", flush=True)
                raise
        for command in (["/bin/sh", "-c", "echo bad >&2; exit 3"], ["/usr/bin/no-such-program"]):
            script = context.new_script(timeout=timedelta(seconds=20))
            script.run(*command)
            try:
                yield script
            except CommandExecutionError as error:
                print(f"failed: {error.message}", flush=True)
        script = context.new_script(timeout=timedelta(seconds=20))
        script.download_file("/golem/output/none", os.path.join(folder, "none"))
        try:
            yield script
        except CommandExecutionError as error:
            print(f"no file: {'No such file' in error.message}", flush=True)
        script = context.new_script(timeout=timedelta(seconds=20))
        answer = script.run("/bin/echo", "still alive")
        yield script
        task.accept_result(result=(await answer).stdout.strip())


async def main():
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    async with Golem(budget=0.5, event_consumer=Facts()) as golem:
        async for done in golem.execute_tasks(
            worker, [Task(data=1)], payload=package, max_workers=1, timeout=timedelta(minutes=10)
        ):
            print(f"result: {done.result}", flush=True)
    print(f"attempts: {len(attempts)}", flush=True)
    print("done", flush=True)


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main())
