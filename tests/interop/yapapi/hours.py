"""A service for hours, on whoever is there: it begins again when its provider leaves. In virtual time only."""
import asyncio
from datetime import datetime, timedelta, timezone

from yapapi import Golem
from yapapi.payload import vm
from yapapi.services import Service, ServiceState

from support import IMAGE_HASH, Facts

began = datetime.now(timezone.utc)


def say(what):
    hours = (datetime.now(timezone.utc) - began).total_seconds() / 3600
    print(f"{what} after {hours:.1f} h", flush=True)


class Patient(Service):
    @staticmethod
    async def get_payload():
        return await vm.repo(image_hash=IMAGE_HASH)

    async def run(self):
        say(f"on {self.provider_name}")
        while True:
            script = self._ctx.new_script()
            script.run("/bin/sh", "-c", "echo alive")
            yield script
            await asyncio.sleep(300)

    async def shutdown(self):
        return
        yield


async def main():
    async with Golem(budget=5.0, event_consumer=Facts()) as golem:
        golem.add_event_consumer(lambda event: say("left"), ["AgreementTerminated"])
        for starts in (1, 2):
            cluster = await golem.run_service(Patient, num_instances=1, expiration=began + timedelta(hours=6))
            while not cluster.instances or any(i.state != ServiceState.running for i in cluster.instances):
                await asyncio.sleep(1)
            until = datetime.now(timezone.utc) + (timedelta(hours=3) if starts == 1 else timedelta(minutes=10))
            while datetime.now(timezone.utc) < until and all(i.state == ServiceState.running for i in cluster.instances):
                await asyncio.sleep(10)
            cluster.stop()
    print(f"starts: {starts}", flush=True)
    print("done", flush=True)


asyncio.run(main())
