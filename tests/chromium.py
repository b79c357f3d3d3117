"""A headless Chromium without any network, driven through its debugging pipe.

It runs in a network namespace of its own, without interfaces, so nothing that a page asks for can
be reached; and what it asks for is told all the same. The protocol is Chrome's
(https://chromedevtools.github.io/devtools-protocol/): JSON, ended by a zero byte, read from
descriptor 3 and written to descriptor 4.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def browser_path() -> str | None:
    """The browser, if one is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Page:
    """A page that is open in a browser.

    Attributes:
        requests: addresses that the browser was asked for, in order.
        complaints: what the console, the policy or the script complained about.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Asks the browser for something and waits for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        content = memoryview(json.dumps(message).encode() + b"\0")
        while content:
            content = content[os.write(self._commands, content) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])

    def open(self, path: Path) -> None:
        """Opens a file, and waits until it is there with all that belongs to it."""
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def evaluate(self, script: str) -> Any:
        """What a script gives in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def look(self, width: int, *, dark: bool = False, printed: bool = False) -> None:
        """Chooses the window's width, the colours and the medium."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        media = "print" if printed else "screen"
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def close(self) -> None:
        """Ends the browser."""
        self._session = None
        with contextlib.suppress(AssertionError):  # it may end before it answers
            self.call("Browser.close")

    def picture(self, path: Path, height: int | None = None) -> None:
        """Writes a PNG of the page, of its first `height` pixels or all of it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {
            "x": 0,
            "y": 0,
            "width": size["width"],
            "height": min(size["height"], height or size["height"]),
            "scale": 1,
        }
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser has ended"
            self._rest += chunk
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(parameters["args"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(parameters["exceptionDetails"]))


@contextlib.contextmanager
def opened() -> Iterator[Page]:
    """A browser with an empty page; needs root for its namespace."""
    browser = browser_path()
    assert browser, f"none of {', '.join(BROWSERS)} is installed (apt-get install chromium)"
    command_read, commands = os.pipe()
    answers, answer_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = (
            "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
            f"--remote-debugging-pipe --user-data-dir={profile}"
        )
        # The shell gives the pipes the numbers that Chromium expects.
        script = f"exec unshare --net {browser} {flags} 3<&{command_read} 4>&{answer_write}"
        process = subprocess.Popen(
            ["bash", "-c", script],
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile},
        )
        os.close(command_read)
        os.close(answer_write)
        try:
            page = Page(commands, answers)
            yield page
            page.close()
            process.wait()
        finally:
            process.kill()
            process.wait()
            os.close(commands)
            os.close(answers)
