"""A reader that takes its time: what it has not read yet keeps no clock from moving. No SDK; in virtual time only."""
import asyncio
import os
import socket
import time
from urllib.parse import urlsplit

daemon = urlsplit(os.environ["YAGNA_API_URL"])
request = f"GET /mock-api/v1/providers HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {os.environ['YAGNA_APPKEY']}\r\n\r\n".encode()
began = time.monotonic()


def say(what, size):
    print(f"{what}: {size > 1_000_000} after {time.monotonic() - began:.0f}", flush=True)


async def streams():
    reader, writer = await asyncio.open_connection(daemon.hostname, daemon.port, limit=1024)
    writer.write(request)
    await writer.drain()
    size = len(await reader.readexactly(100))
    await asyncio.sleep(3600)
    while size <= 1_000_000:
        size += len(await reader.read(65536))
    say("asyncio", size)
    writer.close()


def blocking():
    with socket.create_connection((daemon.hostname, daemon.port)) as connection:
        connection.sendall(request)
        size = len(connection.recv(100))
        time.sleep(3600)
        while size <= 1_000_000:
            size += len(connection.recv(65536))
    say("socket", size)


asyncio.run(streams())
blocking()
print("done", flush=True)
