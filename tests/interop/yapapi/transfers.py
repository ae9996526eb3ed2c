"""yapapi moves files, bytes and JSON to a machine and back, through the daemon."""
import asyncio
import hashlib
import json
import random
import tempfile
from datetime import timedelta
from pathlib import Path

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm

from support import IMAGE_HASH, Facts, image_server

# Larger than a message of the service bus, and not a multiple of one.
CONTENT = random.Random(4).randbytes(300_001)
TABLE = {"name": "Ada", "numbers": [1, 2.5, None], "words": "zażółć"}


async def main(folder: Path):
    received = {}

    def keep(name):
        async def store(value):
            received[name] = value

        return store

    async def worker(context: WorkContext, tasks):
        async for task in tasks:
            script = context.new_script(timeout=timedelta(seconds=60))
            script.upload_file(str(folder / "source.bin"), "/golem/work/file.bin")
            script.upload_bytes(b"some bytes", "/golem/work/bytes.bin")
            script.upload_bytes(b"", "/golem/work/empty.bin")
            script.upload_json(TABLE, "/golem/work/table.json")
            size = script.run("/bin/sh", "-c", "wc -c < /golem/work/file.bin")
            script.run("/bin/sh", "-c", "cat /golem/work/bytes.bin /golem/work/bytes.bin > /golem/work/twice.bin")
            script.download_file("/golem/work/file.bin", str(folder / "back.bin"))
            script.download_bytes("/golem/work/twice.bin", keep("twice"))
            script.download_bytes("/golem/work/empty.bin", keep("empty"))
            script.download_json("/golem/work/table.json", keep("table"))
            yield script
            task.accept_result(result=int((await size).stdout))

    (folder / "source.bin").write_bytes(CONTENT)
    with image_server() as url:
        package = await vm.repo(image_hash=IMAGE_HASH, image_url=url)
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        async for done in golem.execute_tasks(
            worker, [Task(data=1)], payload=package, max_workers=1, timeout=timedelta(minutes=10)
        ):
            print(f"size on the machine: {done.result}", flush=True)
    same = hashlib.sha256((folder / "back.bin").read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    print(f"file came back: {same}", flush=True)
    print(f"bytes came back: {received['twice'].decode()}", flush=True)
    print(f"empty came back: {received['empty'] == b''}", flush=True)
    print(f"json came back: {json.dumps(received['table']) == json.dumps(TABLE)}", flush=True)
    print("done", flush=True)


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
