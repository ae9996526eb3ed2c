"""Payments during a long agreement: yapapi negotiates an interval and accepts the debit notes."""
import asyncio
from datetime import datetime, timedelta, timezone

from yapapi import Golem
from yapapi.payload import vm
from yapapi.props import com
from yapapi.services import Service, ServiceState
from yapapi.strategy import LeastExpensiveLinearPayuMS, PropValueRange

from support import IMAGE_HASH, Facts, deadline, image_server

INTERVAL = 2
notes = []


class Frequent(LeastExpensiveLinearPayuMS):
    """Asks for notes every two seconds: the usual minute is too long for a test."""

    acceptable_prop_value_range_overrides = {
        "golem.com.scheme.payu.debit-note.interval-sec?": PropValueRange(INTERVAL, INTERVAL),
    }


class Long(Service):
    image_url: str

    @staticmethod
    async def get_payload():
        return await vm.repo(image_hash=IMAGE_HASH, image_url=Long.image_url)

    async def run(self):
        script = self._ctx.new_script()
        script.run("/bin/sh", "-c", "echo working")
        yield script
        await asyncio.sleep(3600)


async def main():
    async with Golem(budget=1.0, event_consumer=Facts(), strategy=Frequent()) as golem:
        golem.add_event_consumer(lambda event: notes.append(float(event.amount)), ["DebitNoteAccepted"])
        # Beyond five hours yapapi negotiates payments on the way.
        cluster = await golem.run_service(
            Long, num_instances=1, expiration=datetime.now(timezone.utc) + timedelta(hours=6)
        )
        check = deadline()
        while len(notes) < 3:
            check([notes, [i.state for i in cluster.instances]])
            await asyncio.sleep(0.1)
        alive = [i.state for i in cluster.instances] == [ServiceState.running]
        cluster.stop()
        while any(i.state != ServiceState.terminated for i in cluster.instances):
            check([i.state for i in cluster.instances])
            await asyncio.sleep(0.1)
    print(f"running meanwhile: {alive}", flush=True)
    print(f"amounts grow: {notes == sorted(notes)}", flush=True)
    print("done", flush=True)


with image_server() as Long.image_url:
    asyncio.run(main())
