"""The tutorial's simple service for two hours, in yapapi's words: statistics every ten seconds, a plot every ten minutes.

In virtual time only. Prints how many of each came, and `done`.
"""
import asyncio
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from yapapi import Golem
from yapapi.payload import vm
from yapapi.services import Service, ServiceState

from support import Facts

CTL = "/golem/run/simulate_observations_ctl.py"
SERVICE = "/golem/run/simple_service.py"
HOURS = 2
statistics, plots = [], []


class SimpleService(Service):
    @staticmethod
    async def get_payload():
        return await vm.repo(
            image_hash="8b11df59f84358d47fc6776d0bb7290b0054c15ded2d6f54cf634488", min_mem_gib=0.5, min_storage_gib=2.0
        )

    async def start(self):
        async for script in super().start():
            yield script
        script = self._ctx.new_script(timeout=timedelta(minutes=1))
        script.run(CTL, "--start")
        yield script

    async def run(self):
        polls = 0
        while True:
            await asyncio.sleep(10)
            polls += 1
            script = self._ctx.new_script()
            answer = script.run(SERVICE, "--stats")
            plot = script.run(SERVICE, "--plot", "dist") if polls % 60 == 0 else None
            yield script
            statistics.append((await answer).stdout)
            if plot:
                remote = (await plot).stdout.strip().strip('"')
                local = Path(folder) / f"{len(plots)}.png"
                script = self._ctx.new_script(timeout=timedelta(minutes=1))
                script.download_file(remote, str(local))
                yield script
                plots.append(local.read_bytes().startswith(b"\x89PNG"))

    async def shutdown(self):
        script = self._ctx.new_script(timeout=timedelta(minutes=1))
        script.run(CTL, "--stop")
        yield script


async def main():
    async with Golem(budget=10.0, event_consumer=Facts()) as golem:
        began = datetime.now(timezone.utc)
        cluster = await golem.run_service(SimpleService, num_instances=1, expiration=began + timedelta(hours=HOURS, minutes=30))
        while datetime.now(timezone.utc) < began + timedelta(hours=HOURS):
            await asyncio.sleep(5)
        print(f"running: {sum(i.state == ServiceState.running for i in cluster.instances)}", flush=True)
        cluster.stop()
        while any(i.state != ServiceState.terminated for i in cluster.instances):
            await asyncio.sleep(0.5)
    print(f"statistics: {len(statistics)}, whole: {all('{' in line for line in statistics)}", flush=True)
    print(f"plots: {len(plots)}, whole: {all(plots)}", flush=True)
    print("done", flush=True)


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main())
