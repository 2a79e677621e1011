"""Speech: WAV of every common form, Whisper's features as transformers makes them, OpenAI's routes over a real tiny Whisper."""

import base64
import io
import json
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from starlette.testclient import TestClient

from deployer.engines.ctranslate2_kinds import inference
from deployer.serve.config import Config
from deployer.serve.errors import ApiError
from deployer.serve.journal import Journal
from deployer.serve.mel import log_mel
from deployer.serve.segments import Segment, cut, srt, vtt
from deployer.serve.single import SingleService, build_single_app
from deployer.serve.wav import decode, resample
from deployer.serve.whisper import WhisperModel
from tests.serve.conftest import Start

TINY = Path(__file__).parent / "tiny"


def sound(seconds: float, rate: int = 16000, hertz: float = 440) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray, rate: int = 16000, width: int = 2, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        whole = np.repeat(samples, channels)
        if width == 1:
            file.writeframes((np.round(whole * 127) + 128).astype(np.uint8).tobytes())
        else:
            wide = np.round(whole.astype(np.float64) * (2 ** (8 * width - 1) - 1)).astype("<i4")
            file.writeframes(wide.view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
    return out.getvalue()


def floats(samples: np.ndarray) -> bytes:
    """32-bit floats with an extensible header and a chunk that nobody needs, as recorders write them."""
    raw = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16000, 64000, 4, 32, 22, 32, 0) + struct.pack("<H", 3) + b"\0" * 14
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"data" + struct.pack("<I", 0xFFFFFFFF) + raw
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 6)])
def test_pcm_of_every_width_is_heard_the_same(width: int, channels: int) -> None:
    wanted = sound(0.1)
    assert np.allclose(decode(wav(wanted, width=width, channels=channels)), wanted, atol=0.01 if width == 1 else 1e-4)


def test_floats_are_heard_also_when_the_length_is_not_known() -> None:
    assert np.array_equal(decode(floats(sound(0.1))), sound(0.1))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_another_rate_is_the_same_tone(rate: int) -> None:
    found, wanted = decode(wav(sound(0.5, rate), rate)), sound(0.5)
    assert abs(len(found) - len(wanted)) <= 1
    inner = slice(400, 7000)
    assert np.abs(found[inner] - wanted[inner]).max() < 0.01


def test_what_16_khz_cannot_hold_does_not_come_back_as_something_else() -> None:
    assert np.abs(resample(sound(0.2, 48000, 12000), 48000)[400:2800]).max() < 0.02


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"ID3\x04" + b"\0" * 20, "it is MP3; this server reads WAV only: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav"),
        (b"fLaC" + b"\0" * 20, "it is FLAC"), (b"OggS" + b"\0" * 20, "it is Ogg"), (b"\0\0\0\x20ftypM4A ", "it is MP4 or M4A"),
        (b"\x1aE\xdf\xa3" + b"\0" * 9, "WebM"), (b"hello", "no audio file that is known"), (b"", "no audio file"),
        (b"RIFF\0\0\0\0WAVE", "has no format chunk"), (wav(sound(0.1))[:40], "has no samples"),
        (wav(sound(0.1)).replace(b"\x01\x00\x01\x00\x80\x3e", b"\x07\x00\x01\x00\x80\x3e"), "WAV with mu-law of 16 bits"),
        (floats(np.array([np.nan], np.float32)), "samples that are no numbers"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ApiError, match=says.replace("(", r"\(")) as caught:
        decode(data)
    assert (caught.value.status, caught.value.param) == (400, "file")


def test_features_are_those_of_transformers() -> None:
    seconds = np.arange(16000 * 2) / 16000
    given = (0.5 * np.sin(2 * np.pi * 440 * seconds) + 0.2 * np.sin(2 * np.pi * 3000 * seconds**2)).astype(np.float32)
    found = log_mel(given, 80)
    assert found.shape == (80, 3000)
    for column, wanted in json.loads((TINY / "features.json").read_text()).items():
        assert np.allclose(found[:, int(column)], wanted, atol=2e-3), column


T0 = 1000  # the token of 0.00 s


@pytest.mark.parametrize(
    ("ids", "segments", "end"),
    [
        ([T0, 1, 2, T0 + 100], [(0.0, 2.0, [1, 2])], 10.0),  # ends with one time: the rest is silence
        ([T0, 1, T0 + 50, T0 + 50, 2, T0 + 100, T0 + 100], [(0.0, 1.0, [1]), (1.0, 2.0, [2])], 2.0),
        ([T0, 1, T0 + 50, T0 + 60, 2, 3], [(0.0, 1.0, [1])], 1.0),  # the last one is not complete: heard again
        ([1, 2], [(0.0, 10.0, [1, 2])], 10.0),
        ([], [], 10.0),
    ],
)
def test_times_cut_a_window_into_segments(ids: list[int], segments: Any, end: float) -> None:
    assert cut(ids, T0, 10.0) == (segments, end)


def test_subtitles() -> None:
    said = [Segment(0.0, 1.5, " Hi --> you\n\nthere", (), 0, 0, 0), Segment(3661.02, 3662.0, " b", (), 0, 0, 0)]
    assert srt(said) == "1\n00:00:00,000 --> 00:00:01,500\nHi -> you there\n\n2\n01:01:01,020 --> 01:01:02,000\nb\n\n"
    assert vtt(said).startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHi -> you there\n\n")


def config(**settings: Any) -> Config:
    base: dict[str, Any] = {"model_dir": str(TINY / "whisper"), "model_names": ("tiny",), "port": 0, "kind": "whisper"}
    return Config(**{**base, "intra_threads": 1, "max_model_len": 24, **settings})


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """For the engine a model is multilingual by the size of its vocabulary; this one is small, and is told so."""
    service = SingleService(config())
    service.load(lambda _: None)
    assert isinstance(service.model, WhisperModel)
    service.model.multilingual = True
    with TestClient(build_single_app(service, Journal(False)), raise_server_exceptions=False) as client:
        yield client


def hear(client: TestClient, data: bytes = b"", path: str = "transcriptions", **fields: Any) -> Any:
    files = {"file": ("a.wav", data or wav(sound(1)), "audio/wav")}
    return client.post(f"/v1/audio/{path}", files=files, data=fields)


def test_the_openai_client_gets_every_form(start: Start) -> None:
    """This process has the model as the engine sees it: one that knows English only."""
    server = start(model_dir=str(TINY / "whisper"), kind="whisper", max_model_len=24, compute_type="default")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as api:
        file = ("speech.wav", wav(sound(1.2)))
        plain = api.audio.transcriptions.create(model="tiny", file=file, language="en")
        assert isinstance(plain.text, str)
        verbose = api.audio.transcriptions.create(model="tiny", file=file, response_format="verbose_json", temperature=0)
        assert (verbose.duration, verbose.language) == (1.2, "en")
        assert all(0 <= one.start <= one.end <= 1.2 for one in verbose.segments or [])
        subtitles = str(api.audio.transcriptions.create(model="tiny", file=file, response_format="vtt"))
        assert subtitles.startswith("WEBVTT")
        assert subtitles.count("-->") == len(verbose.segments or [])
        with (
            pytest.warns(DeprecationWarning, match="deprecated"),
            pytest.raises(openai.BadRequestError, match="knows English only"),
        ):
            api.audio.translations.create(model="tiny", file=file)
        with pytest.raises(openai.BadRequestError, match="knows English only"):
            api.audio.transcriptions.create(model="tiny", file=file, language="de")
        with pytest.raises(openai.NotFoundError, match="writes down speech"):
            api.embeddings.create(model="tiny", input="x")
        assert "int8" in (next(iter(api.models.list())).model_extra or {})["compute_type"]


def test_the_question_at_the_start_is_answered() -> None:
    service = SingleService(config())
    service.load(lambda _: None)
    asked = inference("tiny", "whisper")
    with TestClient(build_single_app(service, Journal(False))) as client:
        answer = client.post(asked["path"], json=asked["body"])
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"text", "usage"}


class Recorded(WhisperModel):
    """Notes what it is asked, and hears German."""

    asked: list[list[int]]

    def run(self, payloads: list[Any], key: Any) -> Any:
        if key == "detect":
            return ["<|de|>" for _ in payloads]
        self.__dict__.setdefault("asked", []).extend(prompt for _, prompt in payloads)
        return super().run(payloads, key)


def test_what_the_model_is_told(client: TestClient) -> None:
    """Language, task and times as Whisper was trained to read them; a language that nobody says is found out."""
    service, model = SingleService(config()), Recorded(config())
    model.multilingual = True
    service.start(model, lambda _: None)
    names = ["<|startoftranscript|>", "<|de|>", "<|fr|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    sot, german, french, transcribe, translate, plain = (model.tokenizer.token_to_id(name) for name in names)
    model.asked.clear()
    with TestClient(build_single_app(service, Journal(False))) as api:
        assert hear(api).status_code == 200
        assert hear(api, path="translations").status_code == 200
        assert hear(api, language="fr", response_format="srt").status_code == 200
        assert hear(api, response_format="verbose_json").json()["language"] == "de"
        assert hear(api, language="fr", prompt="ab").status_code == 200
    assert model.asked[0] == [sot, german, transcribe, plain]
    assert model.asked[1] == [sot, german, translate, plain]
    assert model.asked[2] == [sot, french, transcribe]
    assert model.asked[3] == [sot, german, transcribe]
    before = [model.tokenizer.token_to_id("<|startofprev|>"), *model.tokenizer.encode(" ab").ids]
    assert model.asked[4] == [*before, sot, french, transcribe, plain]


def test_a_form_and_json_are_answered_alike(client: TestClient) -> None:
    url = "data:audio/wav;base64," + base64.b64encode(wav(sound(1))).decode()
    body = {"file": url, "language": "en"}
    assert client.post("/v1/audio/transcriptions", json=body).json() == hear(client, language="en").json()


def test_what_is_longer_than_a_window_is_heard_to_its_end(client: TestClient) -> None:
    answer = hear(client, wav(sound(31, 8000), 8000), response_format="verbose_json", language="en").json()
    assert answer["duration"] == 31
    seeks = {one["seek"] for one in answer["segments"]}
    assert max(seeks) > 0
    begins = [one["start"] for one in answer["segments"]]
    assert begins == sorted(begins)
    assert all(one["end"] <= 31 for one in answer["segments"])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"language": "xx"}, "language: 'xx' is no language of this model"),
        ({"response_format": "docx"}, "response_format: one of json, text"),
        ({"temperature": "2"}, "temperature: a number from 0 to 1"), ({"temperature": "warm"}, "temperature: a number"),
        ({"stream": "true"}, "stream: unknown, or not supported"),
        ({"timestamp_granularities[]": "word"}, "times of words are not supported"),
        ({"hotwords": "x"}, "hotwords: unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_named(client: TestClient, fields: dict[str, str], says: str) -> None:
    answer = hear(client, **fields)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"data": {"model": "tiny"}}, 400, "could not be decoded"),
        ({"json": {"file": "AAAA"}}, 400, "in JSON it is a data URL"),
        ({"json": {"file": "data:audio/wav;base64,%%"}}, 400, "its base64 cannot be read"),
        ({"json": {}}, 400, "file: a WAV file is wanted"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "the form cannot be read"),
        ({"content": b"x" * 9_000_000}, 413, "larger than"),
    ],
)
def test_a_body_that_is_none_is_refused(client: TestClient, sent: dict[str, Any], status: int, says: str) -> None:
    answer = client.post("/v1/audio/transcriptions", **sent)
    assert answer.status_code == status
    if says != "could not be decoded":  # a form without a file comes as text
        assert says in answer.json()["error"]["message"]


def test_a_prompt_changes_what_is_heard_and_is_cut_to_its_room(client: TestClient) -> None:
    assert hear(client, prompt="names: Ada", language="en").status_code == 200
    assert hear(client, prompt="word " * 500, language="en").status_code == 200
