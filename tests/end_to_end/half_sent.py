"""Callers that send most of a large request and then nothing more: HTTP/2 by hand, since no client library would."""

import selectors
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_HEADERS = ACK = {HEADERS: 4, SETTINGS: 1, PING: 1}
INITIAL_WINDOW_SIZE = 4
FRAME_BYTES = 16384
STREAM = 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(text):
    return bytes([len(text)]) + text.encode()


def request_headers(path, authority):
    # HPACK without compression: 0x83 and 0x86 are ":method: POST" and ":scheme: http" of its static table.
    block = b"\x83\x86" + b"\x04" + literal(path) + b"\x01" + literal(authority)
    for name, value in (("content-type", "application/grpc"), ("te", "trailers")):
        block += b"\x00" + literal(name) + literal(value)
    return frame(HEADERS, END_HEADERS[HEADERS], STREAM, block)


class HalfSentRequest:
    """One connection with one call whose message lacks its last byte. Sends as fast as the server lets it."""

    def __init__(self, port, path, message_bytes):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setblocking(False)
        self.unsent = PREFACE + frame(SETTINGS, 0, 0) + request_headers(path, f"127.0.0.1:{port}")
        self.message_left = message_bytes - 1  # the last byte never comes
        self.prefix = struct.pack(">BI", 0, message_bytes)
        self.connection_window = self.stream_window = self.initial_window = 65535
        self.received = b""
        self.ended = False  # by the server

    @property
    def complete(self):
        return not self.unsent and not self.prefix and self.message_left == 0

    def write(self):
        try:
            while not self.ended:
                if not self.unsent and not self._add_data_frame():
                    return
                self.unsent = self.unsent[self.socket.send(self.unsent):]
        except BlockingIOError:
            pass
        except OSError:
            self.ended = True

    def read(self):
        try:
            got = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self.ended = True
        self.received += got
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self.received[3:9])
            self._take(kind, flags, stream, self.received[9 : 9 + length])
            self.received = self.received[9 + length:]

    @property
    def wants_to_write(self):
        window = min(self.connection_window, self.stream_window)
        return bool(self.unsent) or (window > len(self.prefix) and bool(self.prefix or self.message_left))

    def _add_data_frame(self):
        room = min(FRAME_BYTES, self.connection_window, self.stream_window) - len(self.prefix)
        if room <= 0 or not (self.prefix or self.message_left):
            return False
        body = self.prefix + bytes(min(room, self.message_left))
        self.message_left -= len(body) - len(self.prefix)
        self.prefix = b""
        self.connection_window -= len(body)
        self.stream_window -= len(body)
        self.unsent = frame(DATA, 0, STREAM, body)
        return True

    def _take(self, kind, flags, stream, payload):
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big") & 0x7FFFFFFF
            if stream == 0:
                self.connection_window += more
            else:
                self.stream_window += more
        elif kind == SETTINGS and not flags & ACK[SETTINGS]:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i : i + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self.stream_window += value - self.initial_window
                    self.initial_window = value
            self.unsent += frame(SETTINGS, ACK[SETTINGS], 0)
        elif kind == PING and not flags & ACK[PING]:
            self.unsent += frame(PING, ACK[PING], 0, payload)
        elif kind in (GOAWAY, RST_STREAM) or (kind == HEADERS and stream == STREAM):
            self.ended = True  # refused: what the flood is meant to find out


def flood(port, path, connections, message_bytes, stop, watch):
    """Keeps `connections` half-sent requests open until each is complete, or refused, or stop(); calls watch() again
    and again. Returns the requests, with their sockets open."""
    requests = [HalfSentRequest(port, path, message_bytes) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for request in requests:
            selector.register(request.socket, selectors.EVENT_READ, request)
        while not stop() and not all(request.complete or request.ended for request in requests):
            for request in requests:
                if request.ended:
                    if request.socket in selector.get_map():
                        selector.unregister(request.socket)
                    continue
                wish = selectors.EVENT_WRITE if request.wants_to_write else 0
                selector.modify(request.socket, selectors.EVENT_READ | wish, request)
            for key, events in selector.select(timeout=0.05):
                if events & selectors.EVENT_READ:
                    key.data.read()
                if events & selectors.EVENT_WRITE:
                    key.data.write()
            watch()
    return requests


def wait(seconds):
    """A stop() that is true after this time."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end
