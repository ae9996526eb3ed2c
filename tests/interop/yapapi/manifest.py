"""yapapi with a computation manifest, signed or by a partner's node descriptor, for machines with internet."""
import asyncio
import json
from datetime import timedelta

from yapapi import Golem, Task, WorkContext
from yapapi.payload import vm
from yapapi.payload.manifest import (
    CompManifest,
    CompManifestNet,
    CompManifestNetInet,
    CompManifestNetInetOut,
    CompManifestScript,
    Manifest,
    ManifestPayload,
)

from support import IMAGE_HASH, Facts


async def worker(context: WorkContext, tasks):
    async for task in tasks:
        script = context.new_script(timeout=timedelta(seconds=30))
        answer = script.run("/bin/sh", "-c", f"echo {task.data}")
        yield script
        task.accept_result(result=(await answer).stdout.strip())


async def main():
    outbound = CompManifestNetInetOut(protocols=["https"], urls=["https://example.org"])
    manifest = Manifest(
        version="0.1.0",
        payload=[ManifestPayload(hash=f"sha3:{IMAGE_HASH}", urls=["http://127.0.0.1:9/image.gvmi"])],
        comp_manifest=CompManifest(
            version="0.1.0",
            script=CompManifestScript(commands=["run .*"]),
            net=CompManifestNet(inet=CompManifestNetInet(out=outbound)),
        ),
    )
    text = json.dumps(manifest.dict(by_alias=True)).encode()
    signed = await vm.manifest(
        manifest=text,
        manifest_sig=b"signature",
        manifest_sig_algorithm="sha256",
        manifest_cert=b"certificate",
        capabilities=["inet", "manifest-support"],
    )
    partner = await vm.manifest(
        manifest=text,
        node_descriptor={"nodeDescriptor": {"nodeId": "0x" + "a" * 40, "permissions": ["all"]}},
        capabilities=["inet"],
    )
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        for name, package in [("signed", signed), ("partner", partner)]:
            async for done in golem.execute_tasks(
                worker, [Task(data=name)], payload=package, max_workers=1, timeout=timedelta(minutes=10)
            ):
                print(f"result: {done.result}", flush=True)
    print("done", flush=True)


asyncio.run(main())
