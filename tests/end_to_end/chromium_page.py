"""A page open in a headless Chromium, steered through the pipes of its DevTools protocol: no driver, no port."""

import base64
import contextlib
import json
import os
import select
import shutil
import struct
import subprocess
import time
import zlib

import numpy

TIMEOUT_SECS = 60


class Page:
    """Values of JavaScript expressions, pictures, and what the browser complained about or fetched."""

    def __init__(self, process, requests, answers):
        self._process, self._requests, self._answers = process, requests, answers
        self._buffer = b""
        self._last_id = 0
        self._session = None
        self.complaints = []  # console messages, exceptions, log entries
        self.fetched = []  # addresses that the page made the browser ask for

    def open(self, path):
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._loaded = False
        error = self._call("Page.navigate", {"url": path.as_uri()}).get("errorText")
        assert not error, f"{path}: {error}"
        deadline = time.monotonic() + TIMEOUT_SECS
        while not self._loaded:
            self._read_message(deadline)

    def evaluate(self, expression):
        answer = self._call("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, x, y, width, height):
        """The part of the page as an array [height, width, 3] of red, green and blue, and as PNG."""
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        parameters = {"clip": clip, "captureBeyondViewport": True}
        png = base64.b64decode(self._call("Page.captureScreenshot", parameters)["data"])
        return decode_png(png), png

    def _call(self, method, parameters=None):
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": parameters or {}}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_SECS
        while True:
            answer = self._read_message(deadline)
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _read_message(self, deadline):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"Chromium said nothing for {TIMEOUT_SECS} s"
            part = os.read(self._answers, 1 << 20)
            assert part, f"Chromium ended with {self._process.poll()}"
            self._buffer += part
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, event, parameters):
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.complaints.append(parameters)
        elif event == "Network.requestWillBeSent":
            self.fetched.append(parameters["request"]["url"])


def decode_png(png):
    """Eight bits each of red, green, blue and maybe alpha, as Chromium writes them; alpha is left out."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, compressed = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        content = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", content)
        compressed += content if kind == b"IDAT" else b""
        at += length + 12
    assert depth == 8 and color in (2, 6) and not interlaced, (depth, color, interlaced)
    size = 3 if color == 2 else 4
    lines = numpy.frombuffer(zlib.decompress(compressed), numpy.uint8).reshape(height, 1 + width * size)
    image = numpy.zeros((height + 1, width + 1, size), int)  # a line above and a pixel before of zeros
    for y in range(height):
        undo_filter(lines[y, 0], lines[y, 1:].reshape(width, size).astype(int), image[y], image[y + 1])
    return image[1:, 1:, :3].astype(numpy.uint8)


def undo_filter(kind, line, above, into):
    """Adds to each pixel what its neighbours predict: those to the left, above, and left above."""
    if kind == 0:
        into[1:] = line
    elif kind == 1:
        into[1:] = numpy.cumsum(line, axis=0) % 256
    elif kind == 2:
        into[1:] = (line + above[1:]) % 256
    else:
        for x in range(len(line)):
            left, up, corner = into[x], above[x + 1], above[x]
            into[x + 1] = (line[x] + ((left + up) // 2 if kind == 3 else paeth(left, up, corner))) % 256


def paeth(left, up, corner):
    """Of the three the one closest to left + up - corner, for each colour."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    closest = numpy.where(to_up <= to_corner, up, corner)
    return numpy.where((to_left <= to_up) & (to_left <= to_corner), left, closest)


@contextlib.contextmanager
def chromium_page(path, profile, width=920, height=1200):
    """Opens the file `path`; `profile` is an empty folder for what Chromium keeps."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no chromium on the PATH; scripts/install --tests installs it"
    requests_out, requests_in = os.pipe()
    answers_out, answers_in = os.pipe()
    # DevTools speaks on descriptors 3 and 4; these four may be any. Root, as in a container, has no sandbox.
    command = [
        "bash", "-c", f'exec "$@" 3<&{requests_out} 4>&{answers_in}', "chromium", program,
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", "--hide-scrollbars", "--remote-debugging-pipe",
        f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, pass_fds=(requests_out, answers_in), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(profile)},
    )  # fmt: skip
    os.close(requests_out)
    os.close(answers_in)
    try:
        page = Page(process, requests_in, answers_out)
        page.open(path)
        yield page
    finally:
        os.close(requests_in)  # ends Chromium
        os.close(answers_out)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
