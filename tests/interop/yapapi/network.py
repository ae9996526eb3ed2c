"""A yapapi network of two instances; their services are reached through the daemon's websocket."""
import asyncio
import os
from datetime import datetime, timedelta, timezone

import aiohttp

from yapapi import Golem
from yapapi.payload import vm
from yapapi.services import Service, ServiceState

from support import IMAGE_HASH, Facts, deadline, image_server

ECHO, WEB = 7, 80


class Node(Service):
    image_url: str

    @staticmethod
    async def get_payload():
        return await vm.repo(image_hash=IMAGE_HASH, image_url=Node.image_url, capabilities=[vm.VM_CAPS_VPN])

    async def run(self):
        await asyncio.sleep(3600)
        yield self._ctx.new_script()


async def receive(socket, enough):
    received = b""
    while not enough(received):
        message = await socket.receive(timeout=20)
        if message.type != aiohttp.WSMsgType.BINARY:
            break
        received += message.data
    return received


async def talk(session, node):
    sent = bytes(range(256)) * 400
    async with session.ws_connect(node.get_websocket_uri(ECHO)) as socket:
        await socket.send_bytes(sent)
        echoed = await receive(socket, lambda data: len(data) >= len(sent))
    print(f"echo: {echoed == sent}", flush=True)
    async with session.ws_connect(node.get_websocket_uri(WEB)) as socket:
        await socket.send_bytes(b"GET / HTTP/1.1\r\nHost: machine\r\nConnection: close\r\n\r\n")
        answer = await receive(socket, lambda data: b"\r\n\r\n" in data)
    print(f"http: {answer.split(b' ', 2)[1].decode()}", flush=True)


async def main():
    headers = {"Authorization": f"Bearer {os.environ['YAGNA_APPKEY']}"}
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        network = await golem.create_network("192.168.7.0/24")
        async with network, aiohttp.ClientSession(headers=headers) as session:
            cluster = await golem.run_service(
                Node,
                network=network,
                num_instances=2,
                expiration=datetime.now(timezone.utc) + timedelta(minutes=15),
            )
            check = deadline()
            while [i.state for i in cluster.instances] != [ServiceState.running] * 2:
                check([i.state for i in cluster.instances])
                await asyncio.sleep(0.1)
            addresses = sorted(i.network_node.ip for i in cluster.instances)
            print(f"addresses: {' '.join(addresses)}", flush=True)
            for instance in cluster.instances:
                await talk(session, instance.network_node)
            cluster.stop()
            while any(i.state != ServiceState.terminated for i in cluster.instances):
                check([i.state for i in cluster.instances])
                await asyncio.sleep(0.1)
    print("done", flush=True)


with image_server() as Node.image_url:
    asyncio.run(main())
