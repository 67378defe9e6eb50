"""Downloading from a local server that breaks connections, sends wrong data, and answers late."""
import gzip
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.cli import main
from runner.datasets import download as module
from runner.datasets import open_dataset, public_datasets
from runner.datasets.download import fetch, unpack
from runner.errors import DataError
from tests.datasets.examples import idx_bytes
from tests.datasets.splits import evaluation_split, training_split
from tests.paths import ROOT, SHARED

CONTENT = np.random.default_rng(1).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Files by name on 127.0.0.1.

    cut      name -> after how many bytes the connection breaks, the next of the list at each request
    ranges   whether it knows Range; status  name -> an error to answer with
    asked    (name, Range header) of every request
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        self.status: dict[str, list[int]] = {}
        self.ranges, self.wrong_range = True, False
        self.asked: list[tuple[str, str]] = []
        this = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                this.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, args=(.01,), daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        name, wanted = request.path.lstrip("/"), request.headers.get("Range", "")
        self.asked.append((name, wanted))
        status = self.status.get(name) or []
        if status or name not in self.files:
            request.send_error(status.pop(0) if status else 404)
            return
        content, start = self.files[name], 0
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.end_headers()
                return
            request.send_response(206)
            first = start + 1 if self.wrong_range else start
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        cuts = self.cut.get(name) or []
        body = content[start:]
        request.wfile.write(body[:cuts.pop(0)] if cuts else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE", 0)
    found = Server()
    found.files["a.bin"] = CONTENT
    yield found
    found.http.shutdown()
    found.http.server_close()


def test_a_file_comes_whole(server: Server, tmp_path: Path) -> None:
    steps = []
    fetch([server.address + "a.bin"], tmp_path / "new" / "a.bin", MD5, lambda *step: steps.append(step))
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT
    assert steps[-1] == ("a.bin", 300_000, 300_000) and len(steps) > 2
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_what_is_there_and_right_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert server.asked == []
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1] + b"x")
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut["a.bin"] = [100_000, 50_000]
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["", "bytes=100000-", "bytes=150000-"]


def test_a_stopped_download_is_resumed(server: Server, tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop(name: str, done: int, total: int) -> None:
        if done > 120_000:
            raise Stopped

    with pytest.raises(Stopped):
        fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5, stop)
    assert not (tmp_path / "a.bin").exists()
    have = (tmp_path / "a.bin.part").stat().st_size
    assert 120_000 < have < 300_000
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and server.asked[-1][1] == f"bytes={have}-"


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.cut["a.bin"] = False, [100_000]
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and len(server.asked) == 2


def test_a_part_that_is_all_of_it_or_too_much(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT and len(server.asked) == 1
    (tmp_path / "a.bin").unlink()
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_not_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)         # of another file: once more from the start
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    server.files["a.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=f"a.bin cannot be downloaded:\n.*the md5 is [0-9a-f]*, and {MD5} is published"):
        fetch([server.address + "a.bin"], tmp_path / "b" / "a.bin", MD5)
    assert list((tmp_path / "b").iterdir()) == []


def test_the_next_mirror_is_asked(server: Server, tmp_path: Path) -> None:
    fetch([server.address + "none.bin", server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert [name for name, _ in server.asked] == ["none.bin", "a.bin"], "a 404 is not asked twice"


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.status["a.bin"] = [503, 500]
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert len(server.asked) == 3


def test_when_all_addresses_fail_every_answer_is_listed(server: Server, tmp_path: Path) -> None:
    server.status["a.bin"] = [503] * 9
    with pytest.raises(DataError) as caught:
        fetch([server.address + "a.bin", server.address + "none.bin"], tmp_path / "a.bin", MD5)
    assert "a.bin: the server answers 503 Service Unavailable" in str(caught.value)
    assert "none.bin: the server answers 404 Not Found" in str(caught.value)


def test_the_part_that_arrived_is_kept_for_the_next_time(server: Server, tmp_path: Path) -> None:
    server.cut["a.bin"] = [1000] * 4
    with pytest.raises(DataError, match=r"ended after 4,000 of 300,000 bytes\n4,000 bytes are kept: the same command"):
        fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)
    assert server.asked[-1][1] == "bytes=4000-"


def test_no_server_and_a_wrong_range(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 2)
    with pytest.raises(DataError, match="no connection"):
        fetch(["http://127.0.0.1:9/a.bin"], tmp_path / "a.bin", MD5)
    server.wrong_range = True
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:10])
    with pytest.raises(DataError, match="another part than the one asked for"):
        fetch([server.address + "a.bin"], tmp_path / "a.bin", MD5)


def test_a_silent_server_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    monkeypatch.setattr(module, "TIMEOUT", .2)
    monkeypatch.setattr(module, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(DataError, match="timed out"):
            fetch([f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"], tmp_path / "a.bin", MD5)


# --- archives ------------------------------------------------------------------------------------------------

def tar_of(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_archives_are_unpacked_without_their_outer_folder(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of(**{"set/x.bin": b"1", "set/deep/y.txt": b"2"}))
    unpack(tmp_path / "a.tar.gz", tmp_path / "a")
    assert (tmp_path / "a/x.bin").read_bytes() == b"1" and (tmp_path / "a/deep/y.txt").read_bytes() == b"2"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as packed:
        packed.writestr("x.bin", "1")
        packed.writestr("deep/y.txt", "2")
    unpack(tmp_path / "b.zip", tmp_path / "b")
    assert (tmp_path / "b/x.bin").read_bytes() == b"1" and (tmp_path / "b/deep/y.txt").read_bytes() == b"2"


@pytest.mark.parametrize("name", ["../evil", "/evil", "set/../../evil"])
def test_an_archive_writes_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar.gz").write_bytes(tar_of(**{"set/good": b"1", name: b"2"}))
    with pytest.raises(DataError, match="would write outside of its folder"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in" / "a")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.tar.gz"]


def test_damaged_archives(tmp_path: Path) -> None:
    whole = tar_of(**{"set/x.bin": CONTENT})
    for content in (whole[:-5000], b"nothing"):
        (tmp_path / "a.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar\.gz: the archive is damaged .* download it again"):
            unpack(tmp_path / "a.tar.gz", tmp_path / "a")


# --- the verb ------------------------------------------------------------------------------------------------

@pytest.fixture
def place(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """We are in an empty folder, and the server has small sets called mnist and cifar10."""
    monkeypatch.chdir(tmp_path)
    labels = np.arange(4, dtype=np.uint8)
    for part in ("train", "t10k"):
        server.files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(np.zeros((4, 3, 3), np.uint8)))
        server.files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels))
    batch = np.zeros((2, 3073), np.uint8)
    batch[1] = 1
    server.files["cifar-10-binary.tar.gz"] = tar_of(**{
        f"cifar-10-batches-bin/{name}": batch.tobytes() for name in ("data_batch_1.bin", "test_batch.bin")} | {
            "cifar-10-batches-bin/batches.meta.txt": b"airplane\nautomobile\n"})
    for name, one in list(public_datasets.PUBLIC_DATASETS.items()):
        files = {file: hashlib.md5(server.files[file]).hexdigest() for file in one.files if file in server.files}
        monkeypatch.setitem(public_datasets.PUBLIC_DATASETS, name,
                            public_datasets.PublicDataset(one.about, (server.address,), files, 1, one.texts))
    return server


def test_mnist_is_downloaded_and_opens(place: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "mnist"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "next:    python run.py data data/mnist"
    data = open_dataset("data/mnist")
    assert len(training_split(data)) == len(evaluation_split(data)) == 4
    assert [path.name for path in Path("data").iterdir()] == ["mnist"]
    asked = len(place.asked)
    assert main(["download", "mnist"]) == 0 and "data/mnist already exists" in capsys.readouterr().out
    assert len(place.asked) == asked


def test_cifar_is_unpacked_where_a_cfg_looks_for_it(place: Server) -> None:
    assert main(["download", "cifar10", "--to", "there/c10"]) == 0
    data = open_dataset("there/c10")
    assert data.names == ["airplane", "automobile"] and len(training_split(data)) == 2
    assert [path.name for path in Path("there").iterdir()] == ["c10"]


def test_names_come_along(place: Server) -> None:
    place.files |= {name: content for name, content in place.files.items()}
    assert main(["download", "fashion-mnist"]) == 0
    assert open_dataset("data/fashion-mnist").names[:2] == ["T-shirt/top", "Trouser"]


def test_a_download_that_fails_half_way_leaves_no_folder_and_is_resumed(
        place: Server, capsys: pytest.CaptureFixture[str]) -> None:
    name = "t10k-images-idx3-ubyte.gz"
    place.status[name] = [404]
    assert main(["download", "mnist"]) == 2
    assert f"run.py: {name} cannot be downloaded" in capsys.readouterr().err
    assert not Path("data/mnist").exists()
    before = len(place.asked)
    assert main(["download", "mnist"]) == 0 and len(evaluation_split(open_dataset("data/mnist"))) == 4
    assert [name for name, _ in place.asked[before:]] == [name, "t10k-labels-idx1-ubyte.gz"]


def test_another_source(place: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = public_datasets.PUBLIC_DATASETS["mnist"]
    monkeypatch.setitem(public_datasets.PUBLIC_DATASETS, "mnist",
                        public_datasets.PublicDataset(one.about, ("http://127.0.0.1:9/",), one.files, 1))
    assert main(["download", "mnist", "--from", place.address.rstrip("/")]) == 0
    assert len(training_split(open_dataset("data/mnist"))) == 4


@pytest.mark.parametrize("words, answer", [
    (["minst"], "unknown name 'minst' (did you mean 'mnist'?)"),
    ([], "name a dataset: mnist, fashion-mnist, cifar10, cifar100, coco128; or weights: yolov3-tiny, yolo-fastest")])
def test_mistakes(place: Server, capsys: pytest.CaptureFixture[str], words: list[str], answer: str) -> None:
    assert main(["download", *words]) == 2
    assert answer in capsys.readouterr().err


def test_the_list_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "--list"]) == 0
    out = capsys.readouterr().out
    for name, one in public_datasets.PUBLIC_DATASETS.items():
        assert name in out and one.about in out
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in one.mirrors)
        assert all(len(md5) in (0, 32) for md5 in one.files.values())
    assert len(public_datasets.COCO_NAMES.split(",")) == 80
    for name, weights in public_datasets.PUBLISHED_WEIGHTS.items():
        assert name in out and weights.about in out and weights.licence in out
        assert (ROOT / "cfg" / f"{name}.cfg").exists() and len(weights.sha256) == 64


# --- published weights -----------------------------------------------------------------------------------------

@pytest.fixture
def published(place: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server has the file of yolo-fastest, which is CONTENT."""
    one = public_datasets.PUBLISHED_WEIGHTS["yolo-fastest"]
    place.files[one.file] = CONTENT
    monkeypatch.setitem(public_datasets.PUBLISHED_WEIGHTS, "yolo-fastest",
                        replace(one, mirrors=(place.address,), sha256=hashlib.sha256(CONTENT).hexdigest()))
    return place


def test_weights_are_downloaded_by_name(published: Server, capsys: pytest.CaptureFixture[str]) -> None:
    published.cut["yolo-fastest-1.1.weights"] = [1000]
    assert main(["download", "yolo-fastest"]) == 0
    assert Path("weights/yolo-fastest.weights").read_bytes() == CONTENT
    first, second = capsys.readouterr().out.splitlines()
    assert "public domain" in first
    assert second == "next:    python run.py detect cfg/yolo-fastest.cfg IMAGES --weights weights/yolo-fastest.weights"
    asked = len(published.asked)
    assert main(["download", "yolo-fastest"]) == 0 and len(published.asked) == asked
    assert main(["download", "yolo-fastest", "--to", "there/a.weights", "--from", published.address]) == 0
    assert Path("there/a.weights").read_bytes() == CONTENT


def test_weights_with_another_checksum_are_refused(published: Server, capsys: pytest.CaptureFixture[str]) -> None:
    published.files["yolo-fastest-1.1.weights"] = CONTENT[:-1] + b"x"
    assert main(["download", "yolo-fastest"]) == 2
    assert "the checksum is wrong: the sha256 is " in capsys.readouterr().err
    assert not Path("weights/yolo-fastest.weights").exists()


def test_a_file_of_the_users_is_not_overwritten(published: Server, capsys: pytest.CaptureFixture[str]) -> None:
    Path("weights").mkdir()
    Path("weights/yolo-fastest.weights").write_text("mine")
    assert main(["download", "yolo-fastest"]) == 2
    assert "this is another file, and nothing is overwritten" in capsys.readouterr().err
    assert Path("weights/yolo-fastest.weights").read_text() == "mine"
    assert main(["download", "yolo-fastest", "--to", "weights"]) == 2
    assert "this is a folder" in capsys.readouterr().err


@pytest.mark.skipif(not (SHARED / "data" / "weights").exists(), reason="needs the published weights")
@pytest.mark.parametrize("name, path", [("yolov3-tiny", "yolov3-tiny/yolov3-tiny.weights"),
                                        ("yolo-fastest", "yolo-fastest-1.1/yolo-fastest-1.1.weights")])
def test_the_table_describes_the_published_files(name: str, path: str) -> None:
    one, file = public_datasets.PUBLISHED_WEIGHTS[name], SHARED / "data" / "weights" / path
    assert module.digest(file, "sha256") == one.sha256 and file.stat().st_size == one.size and file.name == one.file
    assert main(["check", str(ROOT / "cfg" / f"{name}.cfg"), "--weights", str(file)]) == 0
