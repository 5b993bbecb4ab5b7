"""The one door into a new network namespace, run by `unshare --net`. In: pairs `FD:PORT`, each a
listening socket inherited from outside and a loopback port in here. Out: "ready", then bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


async def relay(doors: list[tuple[int, int]]) -> None:
    """Carry every connection of each inherited listener to its port inside, until killed."""
    raise_loopback()
    servers = [await _open(socket.socket(fileno=fd), port) for fd, port in doors]
    print("ready", flush=True)  # noqa: T201 - the line is the handshake with milvus_server.py
    await asyncio.gather(*(server.serve_forever() for server in servers))


def raise_loopback() -> None:
    """Do `ip link set lo up` where no `ip` is installed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        (flags,) = struct.unpack_from("h", request, 16)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


async def _open(listener: socket.socket, port: int) -> asyncio.Server:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:  # Milvus is down: the caller sees a closed connection, as from a dead server
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    return await asyncio.start_server(carry, sock=listener)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    pairs = [argument.split(":") for argument in sys.argv[1:]]
    asyncio.run(relay([(int(fd), int(port)) for fd, port in pairs]))
