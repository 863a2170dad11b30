"""Downloads from a loopback server that truncates, corrupts, stalls and refuses before it serves what it should."""

import hashlib
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from analysis.datasets import download as module
from analysis.datasets.download import RemoteFile, check_space, download
from analysis.errors import ArgumentError

DATA = bytes(range(256)) * 4000  # 1 MB
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves DATA with ranges; ``server.plan`` says what goes wrong with the next requests, a word each."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        fault = self.server.plan.pop(0) if self.server.plan else "right"
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.server.requests.append((self.path, int(asked[1]) if asked else 0))
        if fault.isdigit():
            return self.answer(int(fault), b"no", {"Retry-After": "7"})
        if fault == "page":
            return self.answer(200, b"<html>please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
        version = self.server.version
        fits = asked and self.headers.get("If-Range", version) == version and fault != "whole"
        start = int(asked[1]) if fits else 0
        body = DATA[start:]
        headers = {"ETag": version} if version else {}
        if fits:
            headers["Content-Range"] = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        if fault == "corrupt":
            body = body[:1000] + b"x" + body[1001:]
        self.answer(206 if fits else 200, body, headers, fault)

    def answer(self, code, body, headers, fault=""):
        self.send_response(code)
        for name, value in {"Content-Type": "application/zip", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault in ("cut", "stall"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            if fault == "stall":
                self.server.released.wait(10)
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.plan, found.requests, found.version, found.released = [], [], '"1"', threading.Event()
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{found.server_port}/file.zip"
        yield found
        found.released.set()
        found.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    """Download from the server; notes how long each wait would have been."""

    def run(checksum=MD5, urls=None, **more):
        run.waits = []
        remote = RemoteFile("file.zip", urls or (server.url,), checksum, len(DATA))
        return download(remote, tmp_path, sleep=run.waits.append, timeout=0.5, **more)

    return run


def left(folder: Path):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_and_is_not_loaded_again(server, get, tmp_path):
    shown = []
    path = get(progress=lambda done, size: shown.append((done, size)))
    assert path.read_bytes() == DATA and left(tmp_path) == ["file.zip"]
    assert shown[-1] == (len(DATA), len(DATA)) and get.waits == []
    get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_what_breaks_off_or_stalls_goes_on_where_it_stopped(server, get, tmp_path, fault):
    server.plan = [fault, fault]
    assert get().read_bytes() == DATA
    assert [start for _, start in server.requests] == [0, len(DATA) // 2, len(DATA) * 3 // 4]
    assert left(tmp_path) == ["file.zip"] and all(wait == 1 for wait in get.waits)


def test_a_corrupted_file_is_thrown_away_and_loaded_again(server, get, tmp_path):
    server.plan = ["corrupt"]
    assert get().read_bytes() == DATA and left(tmp_path) == ["file.zip"]
    assert [start for _, start in server.requests] == [0, 0]


def test_everything_at_once(server, get, tmp_path):
    server.plan = ["503", "cut", "429", "stall", "corrupt"]
    assert get().read_bytes() == DATA and left(tmp_path) == ["file.zip"]
    assert get.waits[0] == 7 and get.waits[2] == 7  # what the server asked for


def test_a_server_that_stays_broken_is_given_up_with_the_reason(server, get, tmp_path):
    server.plan = ["corrupt"] * 50
    with pytest.raises(
        ArgumentError,
        match=r"download: got .6 attempts, md5 \w{8} instead of .*, wanted .*put file\.zip into",
    ) as caught:
        get()
    assert "\n" not in str(caught.value) and left(tmp_path) == [] and len(server.requests) == 6
    assert get.waits == sorted(get.waits) and get.waits[-1] <= 60


@pytest.mark.parametrize("fault", ["403", "404", "page"])
def test_a_refusal_goes_to_the_next_address_at_once(server, get, fault):
    server.plan = [fault]
    other = server.url.replace("file.zip", "mirror.zip")
    assert get(urls=(server.url, other)).read_bytes() == DATA
    assert [path for path, _ in server.requests] == ["/file.zip", "/mirror.zip"] and get.waits == []
    (Path(get()).parent / "file.zip").unlink()
    server.plan = [fault]
    with pytest.raises(ArgumentError, match="HTTP 40|a web page instead of the file"):
        get()


def test_an_interruption_is_resumed_by_the_next_call(server, get, tmp_path):
    def interrupt(done, size):
        if done > len(DATA) // 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt)
    assert left(tmp_path) == ["file.zip.part", "file.zip.part.json"]
    assert get().read_bytes() == DATA
    assert server.requests[1][1] > len(DATA) // 4 and left(tmp_path) == ["file.zip"]


def test_another_version_of_the_file_starts_from_the_beginning(server, get, tmp_path):
    server.plan = ["cut"]
    (tmp_path / "file.zip.part").write_bytes(b"old" * 1000)
    (tmp_path / "file.zip.part.json").write_text(f'{{"url": "{server.url}", "version": "\\"0\\""}}')
    assert get().read_bytes() == DATA
    assert server.requests[0][1] == 3000  # asked for, and answered with the whole of the new one


def test_a_server_without_ranges_works_too(server, get):
    server.plan = ["cut", "whole"]
    assert get().read_bytes() == DATA


def test_without_a_published_checksum_the_first_one_is_kept(server, get, tmp_path):
    assert get(checksum=None).read_bytes() == DATA
    note = tmp_path / "file.zip.sha256"
    assert note.read_text().split() == [hashlib.sha256(DATA).hexdigest(), "file.zip"]
    (tmp_path / "file.zip").write_bytes(b"changed")
    with pytest.raises(ArgumentError, match=r"download: got .*sha256 .*, wanted .*delete .*file\.zip"):
        get(checksum=None)
    (tmp_path / "file.zip").unlink()
    server.plan = ["corrupt"] * 50
    with pytest.raises(ArgumentError, match="sha256"):
        get(checksum=None)
    server.plan = []
    assert get(checksum=None).read_bytes() == DATA


def test_nobody_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 2)
    remote = RemoteFile("file.zip", ("http://127.0.0.1:9/file.zip",), MD5)
    with pytest.raises(ArgumentError, match=r"download: got .*refused") as caught:
        download(remote, tmp_path, sleep=lambda _: None)
    assert "\n" not in str(caught.value)


def test_a_wrong_file_in_its_place_is_said_and_kept(server, get, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"mine")
    with pytest.raises(ArgumentError, match="md5"):
        get()
    assert (tmp_path / "file.zip").read_bytes() == b"mine" and server.requests == []


def test_a_full_disk_is_said_before_and_during(server, get, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ArgumentError, match=r"disk: got .* free., wanted .* GB of free disk space"):
        get()
    assert server.requests == []
    monkeypatch.undo()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "open", full, raising=False)
    with pytest.raises(ArgumentError, match=r"download: got .*No space left on device.*, wanted a disk with room"):
        get()


def test_a_folder_that_cannot_be_made_is_one_line(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArgumentError, match=r"^download: got .*file/data.*, wanted a folder that can be written"):
        download(RemoteFile("file.zip", (server.url,), MD5), tmp_path / "file" / "data")
    assert server.requests == []


def test_space_is_looked_for_where_the_folder_will_be(tmp_path):
    check_space(tmp_path / "not" / "yet", 1000)
    with pytest.raises(ArgumentError, match="^disk: got "):
        check_space(tmp_path / "not" / "yet", 10**18)


def test_nothing_is_loaded_on_import():
    names = "download voicebank preparing registry sources mixing ntcd".split()
    code = "import socket; socket.socket.connect = socket.getaddrinfo = None\n"
    code += "\n".join(f"import analysis.datasets.{name}" for name in names)
    subprocess.run([sys.executable, "-c", code + "\nimport analysis.cli"], check=True, timeout=120)
