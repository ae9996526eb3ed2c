"""golem-core puts two machines into a network; their services are reached through the daemon's websocket."""
import asyncio
import os

import aiohttp

from golem.managers import SingleNetworkManager, WorkContext, WorkResult
from golem.node import GolemNode

from support import payload, workers

ECHO, WEB = 7, 80


async def receive(socket, enough):
    received = b""
    while not enough(received):
        message = await socket.receive(timeout=20)
        if message.type != aiohttp.WSMsgType.BINARY:
            break
        received += message.data
    return received


async def main():
    golem = GolemNode()
    network = SingleNetworkManager(golem, "192.168.9.0/24")
    arrived = []
    both = asyncio.Event()

    async def join(context: WorkContext):
        provider = await context.get_provider_id()
        batch = await context.create_batch()
        batch.deploy({"net": [await network.get_deploy_args(provider)]})
        batch.start()
        await batch()

    async def work(context: WorkContext):
        uri = await network.get_provider_uri(await context.get_provider_id(), "ws")
        address, _, _ = uri.rpartition("/")
        arrived.append(address.rpartition("/")[2])
        if len(arrived) == 2:
            both.set()
        await both.wait()  # so that each work has a machine of its own
        sent = bytes(range(256)) * 300
        headers = {"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.ws_connect(f"{address}/{ECHO}") as socket:
                await socket.send_bytes(sent)
                echoed = await receive(socket, lambda data: len(data) >= len(sent))
            async with session.ws_connect(f"{address}/{WEB}") as socket:
                await socket.send_bytes(b"GET / HTTP/1.0\r\n\r\n")
                page = await receive(socket, lambda data: False)
        return WorkResult(result=(echoed == sent, page.split(b" ", 2)[1].decode()))

    package = payload(capabilities=["vpn"])
    async with workers(golem, package, size=2, network=network, on_start=join, budget=1.0) as works:
        for answer in await works.do_work_list([work, work]):
            if answer.exception:
                raise answer.exception
            print(f"echo: {answer.result[0]}", flush=True)
            print(f"http: {answer.result[1]}", flush=True)
    print(f"addresses: {' '.join(sorted(arrived))}", flush=True)
    print("done", flush=True)


asyncio.run(main())
