"""Chromium without a window, driven through the pipe of its DevTools protocol: devices, keys, the console."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)


class Browser:
    """One tab."""

    def __init__(self, reader: int, writer: int) -> None:
        self._in, self._out = os.fdopen(reader, "rb"), os.fdopen(writer, "wb")
        self._number, self._session, self._buffer = 0, "", b""
        self.said: list[str] = []
        """What the console said, and requests that failed, since the page was opened."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; events that come before it are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._in.fileno(), 1 << 20)
            assert part, "the browser is gone"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        match message.get("method"):
            case "Runtime.consoleAPICalled":
                self.said.append(str([argument.get("value") for argument in message["params"]["args"]]))
            case "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.said.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded":
                self.said.append(message["params"]["entry"]["text"])
        return message

    def open(
        self, path: Path, fragment: str = "", *, width: int = 1400, height: int = 900, media: str = "", **features: str
    ) -> None:
        """A page from disk, loaded.

        Args:
            path: of the page.
            fragment: from "#" on.
            width: of the window, in CSS pixels.
            height: likewise.
            media: "screen" or "print".
            features: of the media, such as ``prefers_color_scheme="dark"``.
        """
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", media=media, features=wanted)
        self.call("Page.navigate", url="about:blank")
        self.said.clear()
        url = path.as_uri() + fragment
        self.call("Page.navigate", url=url)
        # The fragment is the page's own to change.
        while self.run("document.readyState + location.href").partition("#")[0] != f"complete{path.as_uri()}":
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """One key, down and up."""
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)

    def picture(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, ended afterwards."""
    to_browser, to_us = os.pipe(), os.pipe()
    command = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{to_us[1]}'
    flags = [*FLAGS.split(), f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        ["bash", "-c", command, str(CHROMIUM), *flags],
        pass_fds=(to_browser[0], to_us[1]), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser[0])
    os.close(to_us[1])
    try:
        yield Browser(to_us[0], to_browser[1])
    finally:
        process.terminate()
        process.wait(timeout=30)
