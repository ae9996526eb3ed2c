"""yapapi's own proxies: HTTP requests in turn to two machines, plain TCP to a third at a chosen address."""
import asyncio
import socket
from datetime import datetime, timedelta, timezone

import aiohttp

from yapapi import Golem
from yapapi.contrib.service.http_proxy import HttpProxyService, LocalHttpProxy
from yapapi.contrib.service.socket_proxy import SocketProxy, SocketProxyService
from yapapi.payload import vm
from yapapi.services import ServiceState

from support import IMAGE_HASH, Facts, deadline, image_server

ECHO, WEB = 7, 80


async def payload():
    return await vm.repo(image_hash=IMAGE_HASH, image_url=Web.image_url, capabilities=[vm.VM_CAPS_VPN])


class Web(HttpProxyService):
    image_url: str

    @staticmethod
    async def get_payload():
        return await payload()


class Raw(SocketProxyService):
    remote_ports = [ECHO, WEB]

    @staticmethod
    async def get_payload():
        return await payload()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


async def ask_the_web(cluster):
    port = free_port()
    proxy = LocalHttpProxy(cluster, port)
    await proxy.run()
    bodies = set()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in range(4):
            async with session.get("/") as answer:
                print(f"http: {answer.status}", flush=True)
                bodies.add(await answer.text())
        async with session.get("/nothing/here?really=1") as answer:
            print(f"http: {answer.status}", flush=True)
    print(f"pages: {len(bodies)}", flush=True)
    await proxy.stop()


async def talk(cluster):
    ports = [free_port(), free_port()]
    proxy = SocketProxy(ports=ports, address="127.0.0.1")
    await proxy.run(cluster)
    await asyncio.sleep(0.2)  # the proxy says when it starts, not when it listens
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
    for number in range(3):
        writer.write(b"line %d\n" % number)
        print(f"echo: {(await asyncio.wait_for(reader.readline(), 10)).decode().strip()}", flush=True)
    writer.close()
    # The machine closes this one: the proxy must see a plain end.
    reader, writer = await asyncio.open_connection("127.0.0.1", ports[1])
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    print(f"raw http: {answer.split()[1].decode()}", flush=True)
    writer.close()
    await proxy.stop()


async def main():
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        network = await golem.create_network("192.168.0.1/24")
        async with network:
            expiration = datetime.now(timezone.utc) + timedelta(minutes=15)
            web = await golem.run_service(
                Web, network=network, instance_params=[{"remote_port": WEB}] * 2, expiration=expiration
            )
            raw = await golem.run_service(
                Raw, network=network, network_addresses=["192.168.0.77"], expiration=expiration
            )
            instances = [*web.instances, *raw.instances]
            check = deadline()
            while any(i.state != ServiceState.running for i in instances):
                check([i.state for i in instances])
                await asyncio.sleep(0.1)
            print(f"addresses: {' '.join(i.network_node.ip for i in instances)}", flush=True)
            # What the proxies' tasks stumble over goes here.
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: print(f"trouble: {context.get('exception') or context['message']}", flush=True)
            )
            await ask_the_web(web)
            await talk(raw)
            web.stop()
            raw.stop()
            while any(i.state != ServiceState.terminated for i in instances):
                check([i.state for i in instances])
                await asyncio.sleep(0.1)
    print("done", flush=True)


with image_server() as Web.image_url:
    asyncio.run(main())
