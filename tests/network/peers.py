"""Small programs that talk over a link, for the tests of the link itself. Each prints JSON.

    python peers.py echo ADDRESS PORT                        answers UDP and TCP until it is killed
    python peers.py ping ADDRESS PORT COUNT INTERVAL SIZE    UDP: [number, when sent, round trip] of each answer
    python peers.py send ADDRESS PORT BYTES                  over TCP and back: seconds, and whether it came back whole

Times are seconds, those of `ping` from its first datagram on.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time

LINGER_S = 0.4  # without an answer, then `ping` expects no more
CONNECT_S = 3.0


def echo(address: str, port: int) -> None:
    """Send everything back."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, port))
    door = socket.create_server((address, port))
    threading.Thread(target=echo_streams, args=(door,), daemon=True).start()
    print(json.dumps("ready"), flush=True)
    while True:
        data, sender = datagrams.recvfrom(2048)
        datagrams.sendto(data, sender)


def echo_streams(door: socket.socket) -> None:
    while True:
        stream, _ = door.accept()
        with stream:
            while data := stream.recv(65536):
                stream.sendall(data)


def ping(address: str, port: int, count: int, interval: float, size: int) -> list[tuple[int, float, float]]:
    """Datagrams at a steady pace; the answers in the order in which they came."""
    answers: list[tuple[int, float, float]] = []
    sent: list[float] = []
    begin = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:

        def pace() -> None:
            for number in range(count):
                time.sleep(max(0.0, begin + number * interval - time.monotonic()))
                sent.append(time.monotonic())
                wire.send(number.to_bytes(4, "big").ljust(size, b"."))

        wire.connect((address, port))
        wire.settimeout(LINGER_S)
        sender = threading.Thread(target=pace)
        sender.start()
        try:
            while data := wire.recv(2048):
                number = int.from_bytes(data[:4], "big")
                answers.append((number, sent[number] - begin, time.monotonic() - sent[number]))
        except TimeoutError:
            sender.join()
    return answers


def send(address: str, port: int, size: int) -> dict[str, float | bool]:
    """A random blob there and back."""
    blob, back = os.urandom(size), bytearray()
    begin = time.monotonic()
    with socket.create_connection((address, port), timeout=CONNECT_S) as stream:
        writer = threading.Thread(target=stream.sendall, args=(blob,))
        writer.start()
        while len(back) < size and (data := stream.recv(65536)):
            back += data
        writer.join()
    return {"seconds": time.monotonic() - begin, "whole": bytes(back) == blob}


if __name__ == "__main__":
    what, address, port, rest = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    if what == "echo":
        echo(address, port)
    elif what == "ping":
        print(json.dumps(ping(address, port, int(rest[0]), float(rest[1]), int(rest[2]))))
    else:
        print(json.dumps(send(address, port, int(rest[0]))))
