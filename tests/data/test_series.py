import io
import wave

import numpy as np
import pytest

from spikemark.data.card import DATASETS
from spikemark.data.series import log_mel
from spikemark.errors import DataError

FSDD = DATASETS["fsdd"]


def wav(sound, rate=8000, width=2, channels=1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())
    return buffer.getvalue()


def tone(hertz, seconds, volume=10_000):
    return volume * np.sin(2 * np.pi * hertz * np.arange(int(8000 * seconds)) / 8000)


def test_a_tone_lights_its_band_while_it_sounds():
    bands = log_mel(wav(tone(1000, 0.5)), "x.wav", FSDD)
    assert bands.shape == (50, 32)
    assert bands.dtype == np.float32
    assert bands.max() == pytest.approx(1)
    # 1,000 Hz is 1,000 mel; the bands' centres lie 2,146 / 33 = 65 mel apart, so it is the fifteenth.
    assert (bands[:23].argmax(1) == 14).all()
    assert (bands[26:] == 0).all()
    assert bands[10, 0] < 0.4
    assert bands[10, 31] < 0.4


def test_loudness_does_not_matter_and_long_recordings_are_cut():
    quiet, loud = (log_mel(wav(tone(700, 2.0, volume)), "x.wav", FSDD) for volume in (1_000, 20_000))
    np.testing.assert_allclose(quiet, loud, atol=0.02)
    assert quiet.shape == (50, 32)


def test_silence_is_no_error():
    assert np.isfinite(log_mel(wav(np.zeros(800)), "x.wav", FSDD)).all()


def test_other_files_are_refused():
    with pytest.raises(DataError, match=r"x.wav: not a wav file"):
        log_mel(b"nonsense", "x.wav", FSDD)
    with pytest.raises(DataError, match=r"x.wav: 16000 Hz, 2 bytes, 1 channels; expected 8000 Hz"):
        log_mel(wav(tone(700, 0.1), rate=16_000), "x.wav", FSDD)
