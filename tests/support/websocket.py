"""A WebSocket client by hand (RFC 6455), for tests that send what no library would."""
import base64
import hashlib
import os
import socket
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(code, payload=b"", fin=True, mask=b"\x11\x22\x33\x44", reserved=0, length=None):
    """The bytes of a frame; length: what it says of itself, whatever the payload is."""
    size = len(payload) if length is None else length
    head = bytes((fin << 7 | reserved << 4 | code,))
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes((bit | size,))
    elif size < 65536:
        head += bytes((bit | 126,)) + struct.pack(">H", size)
    else:
        head += bytes((bit | 127,)) + struct.pack(">Q", size)
    return head + (mask + bytes(c ^ mask[i % 4] for i, c in enumerate(payload)) if mask else payload)


class WebSocket:
    """Connects; status is that of the answer, 101 where it is open."""

    def __init__(self, port, path, host="127.0.0.1", headers=None, key=None):
        self.key = key or base64.b64encode(os.urandom(16)).decode()
        lines = {"Host": f"{host}:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": self.key} | (headers or {})
        self.socket = socket.create_connection((host, port))
        self.socket.settimeout(60)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n".encode() + b"".join(
            f"{k}: {v}\r\n".encode() for k, v in lines.items() if v is not None) + b"\r\n")
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().decode().strip()):
            name, _, value = line.partition(": ")
            self.headers[name] = value

    def accepted(self):
        """Whether the answer knows the key."""
        digest = hashlib.sha1(f"{self.key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        return self.headers.get("Sec-WebSocket-Accept") == base64.b64encode(digest).decode()

    def send(self, data):
        """Text or bytes as one message."""
        self.socket.sendall(frame(TEXT, data.encode()) if isinstance(data, str) else frame(BINARY, data))

    def read(self):
        """(code, payload) of the next frame; pings are answered. None: the connection has ended."""
        try:
            while True:
                head = self.file.read(2)
                if len(head) < 2:
                    return None
                size = head[1] & 0x7f
                if size > 125:
                    size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
                payload = self.file.read(size)
                if head[0] & 0xf != PING:
                    return head[0] & 0xf, payload
                self.socket.sendall(frame(PONG, payload))
        except OSError:
            return None

    def close(self):
        self.file.close()
        self.socket.close()
