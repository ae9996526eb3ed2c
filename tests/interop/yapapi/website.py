"""A web server started on two machines, its page read through yapapi's local HTTP proxy."""
import asyncio
import shlex
import socket
from datetime import datetime, timedelta, timezone

import aiohttp

from yapapi import Golem
from yapapi.contrib.service.http_proxy import HttpProxyService, LocalHttpProxy
from yapapi.payload import vm
from yapapi.services import ServiceState

from support import IMAGE_HASH, Facts, deadline, image_server

PAGES, LOGS = "/usr/share/nginx/html", "/var/log/nginx"


class Website(HttpProxyService):
    image_url: str

    @staticmethod
    async def get_payload():
        return await vm.repo(image_hash=IMAGE_HASH, image_url=Website.image_url, capabilities=[vm.VM_CAPS_VPN])

    async def start(self):
        async for script in super().start():
            yield script
        script = self._ctx.new_script(timeout=timedelta(minutes=1))
        script.run("/docker-entrypoint.sh")
        script.run("/bin/chmod", "a+x", "/")
        page = shlex.quote(f"<h1>Written on {self.provider_name}</h1>")
        script.run("/bin/sh", "-c", f"echo {page} > {PAGES}/index.html")
        script.run("/bin/rm", f"{LOGS}/access.log", f"{LOGS}/error.log")
        script.run("/usr/sbin/nginx")
        yield script

    async def shutdown(self):
        script = self._ctx.new_script()
        access = script.run("/bin/cat", f"{LOGS}/access.log")
        script.run("/bin/cat", f"{LOGS}/error.log")
        yield script
        for line in (await access).stdout.splitlines():
            print(f"logged: {line.split(chr(34))[1]}", flush=True)


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


async def visit(cluster):
    port = free_port()
    proxy = LocalHttpProxy(cluster, port)
    await proxy.run()
    pages = set()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in range(4):
            async with session.get("/") as answer:
                print(f"http: {answer.status} {answer.content_type} {answer.headers['Server']}", flush=True)
                pages.add((await answer.text()).strip())
    written = {f"<h1>Written on {instance.provider_name}</h1>" for instance in cluster.instances}
    print(f"pages as written: {pages == written}, {len(pages)}", flush=True)
    await proxy.stop()


async def main():
    async with Golem(budget=1.0, event_consumer=Facts()) as golem:
        network = await golem.create_network("192.168.0.1/24")
        async with network:
            cluster = await golem.run_service(
                Website,
                network=network,
                num_instances=2,
                expiration=datetime.now(timezone.utc) + timedelta(minutes=15),
            )
            check = deadline()
            while any(i.state != ServiceState.running for i in cluster.instances):
                check([i.state for i in cluster.instances])
                await asyncio.sleep(0.1)
            await visit(cluster)
            cluster.stop()
            while any(i.state != ServiceState.terminated for i in cluster.instances):
                check([i.state for i in cluster.instances])
                await asyncio.sleep(0.1)
    print("done", flush=True)


with image_server() as Website.image_url:
    asyncio.run(main())
