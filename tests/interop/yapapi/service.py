"""A yapapi service with two instances: both start, answer twice, and are stopped. Ends with `done`."""
import asyncio
from datetime import datetime, timedelta, timezone

from yapapi import Golem
from yapapi.payload import vm
from yapapi.services import Service, ServiceState

from support import IMAGE_HASH, image_server


class DateService(Service):
    image_url: str
    answers = 0

    @staticmethod
    async def get_payload():
        return await vm.repo(
            image_hash=IMAGE_HASH, image_url=DateService.image_url, min_mem_gib=0.5, min_storage_gib=2.0
        )

    async def start(self):
        async for script in super().start():
            yield script
        script = self._ctx.new_script()
        script.run("/bin/sh", "-c", "echo started > /golem/output/state")
        yield script
        print(f"started on {self.provider_name}", flush=True)

    async def run(self):
        for _ in range(2):
            script = self._ctx.new_script()
            state = script.run("/bin/sh", "-c", "cat /golem/output/state")
            yield script
            assert (await state).stdout.strip() == "started", await state
            self.answers += 1
        await asyncio.sleep(3600)

    async def shutdown(self):
        script = self._ctx.new_script()
        script.run("/bin/sh", "-c", "echo bye")
        yield script
        print(f"stopped after {self.answers} answers", flush=True)


async def main():
    async with Golem(budget=1.0) as golem:
        cluster = await golem.run_service(
            DateService, num_instances=2, expiration=datetime.now(timezone.utc) + timedelta(minutes=15)
        )
        deadline = datetime.now() + timedelta(seconds=90)
        while len(cluster.instances) < 2 or any(i.answers < 2 for i in cluster.instances):
            assert datetime.now() < deadline, [(i.state, i.provider_name) for i in cluster.instances]
            await asyncio.sleep(0.2)
        cluster.stop()
        while any(i.state != ServiceState.terminated for i in cluster.instances):
            assert datetime.now() < deadline, [i.state for i in cluster.instances]
            await asyncio.sleep(0.2)
    print("done", flush=True)


with image_server() as DateService.image_url:
    asyncio.run(main())
