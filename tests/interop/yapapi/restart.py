"""A yapapi service whose first start fails: the same instance starts again, on another agreement."""
import asyncio
from datetime import datetime, timedelta, timezone

from yapapi import Golem
from yapapi.payload import vm
from yapapi.services import Service, ServiceState

from support import IMAGE_HASH, Facts, deadline, image_server


class Fragile(Service):
    image_url: str
    starts = 0
    resets = 0

    @staticmethod
    async def get_payload():
        return await vm.repo(image_hash=IMAGE_HASH, image_url=Fragile.image_url)

    async def reset(self):
        Fragile.resets += 1

    async def start(self):
        async for script in super().start():
            yield script
        Fragile.starts += 1
        script = self._ctx.new_script()
        script.run("/bin/sh", "-c", "exit 3" if Fragile.starts == 1 else "true")
        yield script

    async def run(self):
        script = self._ctx.new_script()
        answer = script.run("/bin/sh", "-c", "echo alive")
        yield script
        print(f"running: {(await answer).stdout.strip()}", flush=True)
        await asyncio.sleep(3600)


async def main():
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        cluster = await golem.run_service(
            Fragile, num_instances=1, expiration=datetime.now(timezone.utc) + timedelta(minutes=15)
        )
        check = deadline()
        while [i.state for i in cluster.instances] != [ServiceState.running]:
            check([i.state for i in cluster.instances])
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)  # for the answer of `run`
        cluster.stop()
        while [i.state for i in cluster.instances] != [ServiceState.terminated]:
            check([i.state for i in cluster.instances])
            await asyncio.sleep(0.1)
    print(f"starts: {Fragile.starts}, resets: {Fragile.resets}", flush=True)
    print("done", flush=True)


with image_server() as Fragile.image_url:
    asyncio.run(main())
