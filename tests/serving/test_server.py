"""The process: one line when it listens, a free port, a key from the environment, and an end that loses nothing."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from made_server import process

from taskloom import cli
from taskloom.serving.server import is_loopback, open_socket


def ask(address: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return status and answer of one request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Connection": "close"} | headers
    request = urllib.request.Request(address + path, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def hang_up(address: str, body: bytes, **headers: str) -> None:
    """Send a whole request, and close as soon as it stands in the line."""
    host, _, port = address.removeprefix("http://").partition(":")
    told = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST /classify HTTP/1.1\r\n{head}\r\n".encode() + body)
        wait_for_line(address, 1, **headers)
    wait_for_line(address, 0, **headers)


def wait_for_line(address: str, length: int, **headers: str) -> None:
    """Wait until so many requests stand in the line."""
    while ask(address, "/health", **headers)[1]["queued"] != length:
        time.sleep(0.01)


def test_a_process_from_its_first_line_to_sigterm(served_run: Path) -> None:
    """A key from the environment is asked for; a client that hangs up leaves the line; after SIGTERM the requests in
    the line are answered, new ones get 503 meanwhile, and the process exits with 143.
    """
    body = {"texts": ["a bee saw the big red car"] * 256, "labels": list("abcdefghij") * 8}
    key = {"X-API-Key": "sesame"}
    with process(served_run, TASKLOOM_API_KEY="sesame") as (server, address):
        assert ask(address, "/tasks")[0] == 401
        hang_up(address, json.dumps(body).encode(), **key)
        with ThreadPoolExecutor(3) as pool:
            begun = [pool.submit(ask, address, "/classify", body, **key) for _ in range(3)]
            wait_for_line(address, 3, **key)
            server.send_signal(signal.SIGTERM)
            while (told := ask(address, "/health"))[0] == 200:
                pass
            assert told[1]["status"] == "stopping"
            refused = ask(address, "/classify", {"texts": "a", "labels": ["b"]}, **key)
            assert refused == (503, {"error": "The server is stopping."})
            for status, found in (one.result() for one in begun):
                assert (status, len(found["results"])) == (200, 256)
        assert server.wait(30) == 143
        assert server.stderr is not None
        assert "Traceback" not in server.stderr.read()


def test_a_port_in_use_is_told(served_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the address and another way, and the exit code is 2."""
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", str(served_run), "--port", str(port)]) == 2
    assert f"Cannot listen at 127.0.0.1:{port}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback(host: str, alone: bool) -> None:
    """Addresses of this machine alone are known as such."""
    assert is_loopback(host) is alone


def test_open_address_needs_a_key(
    served_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bound elsewhere without a key nothing is served, unless --no-key says so; with a key, or on loopback, it is."""
    served: list[Any] = []
    monkeypatch.setattr("taskloom.serving.server.serve", lambda app, **options: served.append(options["host"]))
    everywhere = ["serve", str(served_run), "--host", "0.0.0.0"]
    assert (cli.main(everywhere), served) == (2, [])
    told = capsys.readouterr().err
    assert all(word in told for word in ("who reaches 0.0.0.0", "TASKLOOM_API_KEY", "--api-key-file", "--no-key"))
    assert cli.main([*everywhere, "--no-key"]) == 0
    assert "Warning: everybody who reaches 0.0.0.0" in capsys.readouterr().err
    assert cli.main(["serve", str(served_run)]) == 0
    monkeypatch.setenv("TASKLOOM_API_KEY", "sesame")
    assert cli.main(everywhere) == 0
    assert served == ["0.0.0.0", "127.0.0.1", "0.0.0.0"]
    assert "Warning" not in capsys.readouterr().err
    assert cli.main([*everywhere, "--no-key"]) == 2
    assert "There is a key, and --no-key is given" in capsys.readouterr().err


def test_key_file(served_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """The key is the file's content without its line end; a file that is missing or empty is a mistake."""
    kept: list[Any] = []
    monkeypatch.setattr("taskloom.serving.server.serve", lambda app, **options: kept.append(app))
    (tmp_path / "key").write_text("sesame\n")
    assert cli.main(["serve", str(served_run), "--api-key-file", str(tmp_path / "key")]) == 0
    assert kept[0].state.service.settings.api_key == "sesame"
    (tmp_path / "key").write_text("\n")
    for name in ("key", "none"):
        assert cli.main(["serve", str(served_run), "--api-key-file", str(tmp_path / name)]) == 2
    assert "is empty" in capsys.readouterr().err


def test_limits_that_make_no_sense(served_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit below one is refused by the name of its option."""
    assert cli.main(["serve", str(served_run), "--max-texts", "0"]) == 2
    assert "--max-texts 0 is too low" in capsys.readouterr().err


def test_missing_extra_is_named(served_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """Without FastAPI the message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)
    assert cli.main(["serve", str(served_run)]) == 2
    assert "pip install 'taskloom[serve]'" in capsys.readouterr().err
