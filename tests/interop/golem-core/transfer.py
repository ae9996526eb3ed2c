"""golem-core moves a file to a machine and back, in one batch with the command that works on it."""
import asyncio
import hashlib
import random
import tempfile
from pathlib import Path

from golem.managers import WorkContext, WorkResult
from golem.node import GolemNode

from support import payload, workers

# Larger than a message of the service bus, and not a multiple of one.
CONTENT = random.Random(5).randbytes(400_003)


async def main(folder: Path):
    (folder / "there").write_bytes(CONTENT)

    async def work(context: WorkContext):
        batch = await context.create_batch()
        batch.send_file(str(folder / "there"), "/golem/input/file")
        batch.run("sha256sum < /golem/input/file; cp /golem/input/file /golem/output/copy; echo warned >&2")
        batch.download_file("/golem/output/copy", str(folder / "back"))
        events = await batch()
        return WorkResult(result=(events[1].stdout.split()[0], events[1].stderr.strip()))

    async with workers(GolemNode(), payload(), size=1, budget=0.1) as works:
        answer = await works.do_work(work)
        if answer.exception:
            raise answer.exception
    digest, warning = answer.result
    print(f"same on the machine: {digest == hashlib.sha256(CONTENT).hexdigest()}", flush=True)
    print(f"beside: {warning}", flush=True)
    print(f"file came back: {(folder / 'back').read_bytes() == CONTENT}", flush=True)
    print("done", flush=True)


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
