import io
import tarfile

import numpy as np
import pytest

from spikemark.data.binning import bin_events
from spikemark.data.card import DATASETS
from spikemark.data.events import TONES, _recordings, nmnist_events, tone_windows
from spikemark.errors import DataError

NMNIST, NAS = DATASETS["nmnist1k"], DATASETS["nas-tones"]


def nmnist_bytes(events):
    """N-MNIST's format: x, y, then one bit of polarity and 23 of time in microseconds."""
    return b"".join(bytes((x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255)) for x, y, t, p in events)


def test_nmnist_events_fall_into_their_bins():
    pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
    content = nmnist_bytes(
        [(10, 30, 937, 1), (3, 4, 9_999, 0), (3, 4, 10_000, 0), (0, 0, 299_999, 1), (5, 5, 300_000, 1)]
    )
    frames = bin_events(nmnist_events(content, "x.bin", NMNIST), NMNIST.sensor, NMNIST.binning)
    assert frames.shape == (30, 2, 34, 34)
    assert {tuple(place) for place in np.argwhere(frames == 255)} == {
        (0, 1, 30, 10),
        (0, 0, 4, 3),
        (1, 0, 4, 3),
        (29, 1, 0, 0),
    }
    assert frames.sum() == 4 * 255


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are not a whole number of 5-byte events"),
        (b"1234567", "7 bytes are not a whole number"),
        (nmnist_bytes([(1, 1, 5, 0), (34, 2, 6, 0)]), r"event 1: pixel \(34, 2\) lies outside the sensor of 34 x 34"),
        (nmnist_bytes([(1, 1, 50, 0), (1, 2, 49, 0)]), "event 1: time 49 us comes after 50 us"),
    ],
)
def test_bad_nmnist_files(content, message):
    pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
    with pytest.raises(DataError, match="x.bin.*" + message):
        nmnist_events(content, "x.bin", NMNIST)


def aer(events):
    return np.array(events, dtype=[("address", ">u4"), ("time", ">u4")]).tobytes()


def test_tone_events_are_counted_by_window_bin_polarity_and_channel():
    # Out of order on purpose: the recordings are, now and then.
    everywhere = [(0, 20_000 * window) for window in range(25)]
    events = aer([(7, 25_500), (6, 0), (7, 25_100), *everywhere] + [(127, 499_999)] * 40)
    windows = np.stack([bin_events(window, NAS.sensor, NAS.binning) for window in tone_windows(events, "tone", NAS)])
    assert (windows[:, 0, 0, 0] == 1 / 32).all()
    windows[:, 0, 0, 0] = 0
    assert windows.shape == (25, 20, 2, 64)
    assert windows[0, 0, 0, 3] == 1 / 32
    assert windows[1, 5, 1, 3] == 2 / 32
    assert windows[24, 19, 1, 63] == 1  # 40 of 32: full scale
    assert np.count_nonzero(windows) == 3


def test_bad_tone_recordings():
    with pytest.raises(DataError, match="12 bytes are not a whole number of 8-byte events"):
        tone_windows(bytes(12), "tone", NAS)
    with pytest.raises(DataError, match=r"event 1: address 128 lies outside 0..127"):
        tone_windows(aer([(1, 1), (128, 2)]), "tone", NAS)
    with pytest.raises(DataError, match="tone, window 1: holds no events"):
        tone_windows(aer([(1, 1), (2, 2)]), "tone", NAS)


def archive(names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return buffer.getvalue()


def test_archive_of_tones():
    content = archive([f"No noise/{tone}.aedat" for tone in reversed(TONES)])
    assert _recordings(content, "a.tar.xz") == [(tone, b"abc") for tone in TONES]
    with pytest.raises(DataError, match=r"holds the tones \[130\]"):
        _recordings(archive(["x/130.aedat"]), "a.tar.xz")
    with pytest.raises(DataError, match="not a whole archive"):
        _recordings(content[: len(content) // 2], "a.tar.xz")
    with pytest.raises(DataError, match="not a whole archive"):
        _recordings(archive(["x/readme.txt"]), "a.tar.xz")
