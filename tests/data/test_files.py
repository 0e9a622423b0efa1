import hashlib
import http.server
import threading
from dataclasses import replace

import pytest

from spikemark.data import files
from spikemark.data.card import DATASETS, File
from spikemark.data.files import data_table, fetch, verify
from spikemark.data.loading import load_dataset
from spikemark.errors import DataError


@pytest.fixture
def served(tiny, only_card):
    """The tiny set's files behind a local web server; gives the folder that it serves."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tiny))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    card = DATASETS["tiny"]
    url = f"http://127.0.0.1:{server.server_port}"
    card = replace(card, files=tuple(replace(file, url=f"{url}/{file.path}") for file in card.files))
    only_card(card)
    yield tiny
    server.shutdown()
    server.server_close()


def test_table_of_the_shipped_sets(monkeypatch):
    monkeypatch.delenv("SPIKEMARK_DATA", raising=False)
    rows = {row["name"]: row for row in data_table()}
    assert list(rows) == list(DATASETS)
    assert rows["digits"]["present"] == "needs no files"
    assert rows["mnist"]["shape"] == "1 x 28 x 28"
    assert rows["mnist"]["test"] == 10_000


def test_presence_and_verify(tiny):
    assert data_table(tiny)[0]["present"] == "yes"
    assert verify("tiny", tiny) == []
    (tiny / "Tiny/raw/train-images.gz").unlink()
    (tiny / "Tiny/raw/train-labels.gz").write_bytes(b"other")
    assert data_table(tiny)[0]["present"] == "3 of 4 files"
    missing, damaged = verify("tiny", tiny)
    assert missing == "Tiny/raw/train-images.gz is missing"
    assert "train-labels.gz is damaged: its SHA-256 is" in damaged
    assert data_table()[0]["present"] == "no"


def test_fetch_completes_a_folder_and_load_uses_the_cache(served, tmp_path):
    target = tmp_path / "new"
    assert len(fetch("tiny", target)) == 4
    assert fetch("tiny", target) == []
    assert verify("tiny", target) == []
    # Without a folder the same files come into the cache, once.
    first = load_dataset("tiny")
    assert {path.name for path in (files.cache_folder() / "Tiny/raw").iterdir()} == {
        path.name for path in (served / "Tiny/raw").iterdir()
    }
    for path in (served / "Tiny/raw").iterdir():
        path.unlink()
    assert load_dataset("tiny").test.inputs.equal(first.test.inputs)


def test_wrong_download_is_refused_and_leaves_nothing(served, tmp_path):
    (served / "Tiny/raw/t10k-images.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"t10k-images.gz gave another file than SHA-256"):
        fetch("tiny", tmp_path / "new")
    assert not (tmp_path / "new/Tiny/raw/t10k-images.gz").exists()
    assert len(list((tmp_path / "new/Tiny/raw").iterdir())) == 2


def test_fetch_refuses_a_damaged_file_that_is_there(served):
    (served / "Tiny/raw/t10k-images.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"t10k-images.gz is damaged"):
        fetch("tiny", served)


def test_manifest_files_count(tiny, only_card):
    content = b"payload"
    lines = f"{hashlib.sha256(content).hexdigest()}  sub/a.bin\n{'0' * 64}  sub/b.bin\n".encode()
    folder = tiny / "Set" / "sub"
    folder.mkdir(parents=True)
    (tiny / "Set/SHA256SUMS").write_bytes(lines)
    (folder / "a.bin").write_bytes(content)
    (folder / "b.bin").write_bytes(content)
    card = replace(DATASETS["tiny"], files=(File("Set/SHA256SUMS", hashlib.sha256(lines).hexdigest()),))
    only_card(card)
    assert data_table(tiny)[0]["present"] == "yes"
    (problem,) = verify("tiny", tiny)
    assert "b.bin is damaged" in problem
    (tiny / "Set/SHA256SUMS").write_bytes(b"torn")
    (problem,) = verify("tiny", tiny)
    assert "SHA256SUMS is damaged" in problem
