import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antiphon.llm.v1 import error_pb2
from antiphon_contract.errors import CallFailure, Reason
from antiphon_provider_local.engine import Engine
from antiphon_provider_local.private_http import PrivateHttp
from antiphon_provider_local.settings import LocalSettings

TIMEOUT_S = 30


def body(text: str, **more: Any) -> bytes:
    request = {"messages": [{"role": "user", "content": text}], "stream": True, "temperature": 0, "max_tokens": 8}
    return json.dumps(request | more).encode()


def chat(engine: Engine, request: bytes) -> list[dict[str, Any]]:
    chunks: list[bytes] = []
    engine.chat(request, lambda chunk: bool(chunks.append(chunk)))  # type: ignore[func-returns-value]
    return [json.loads(chunk) for chunk in chunks]


def busy_slots(engine: Engine) -> int:
    return sum(slot["is_processing"] for slot in json.loads(engine.query("/slots")))


def wait_until_free(engine: Engine, limit_s: float) -> float:
    started = time.monotonic()
    while busy_slots(engine):
        assert time.monotonic() - started < limit_s, "the slot is still decoding"
    return time.monotonic() - started


def test_it_answers_in_chunks_under_the_given_name(engine: Engine, settings: LocalSettings) -> None:
    chunks = chat(engine, body("Say hello."))
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text.strip()
    assert {chunk["model"] for chunk in chunks} == {settings.model_name}


def test_facts_come_from_the_model(engine: Engine) -> None:
    assert engine.facts.context_tokens == 512
    assert not engine.facts.takes_tools


def test_tokens_are_counted_through_the_chat_template(engine: Engine) -> None:
    short = json.loads(engine.count_tokens(body("hi")))["input_tokens"]
    longer = json.loads(engine.count_tokens(body("hi hi")))["input_tokens"]
    assert longer == short + 1
    assert short > 20, "the template's system message is part of the input"


def test_a_true_answer_stops_decoding_and_frees_the_slot(engine: Engine) -> None:
    chunks: list[bytes] = []

    def stop_at_third(chunk: bytes) -> bool:
        chunks.append(chunk)
        return len(chunks) == 3

    engine.chat(body("Tell a long story.", max_tokens=400, ignore_eos=True), stop_at_third)
    assert len(chunks) == 3
    wait_until_free(engine, limit_s=2)


def test_calls_run_beside_each_other(engine: Engine) -> None:
    both = threading.Barrier(2, timeout=TIMEOUT_S)
    broken: list[bool] = []

    def call() -> None:
        first = threading.Event()

        def on_chunk(_: bytes) -> bool:
            if not first.is_set():
                first.set()
                both.wait()  # passes only if the other call decodes too
            return False

        engine.chat(body("Count.", max_tokens=2), on_chunk)
        broken.append(both.broken)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert broken == [False, False]


@pytest.mark.parametrize(
    "request_",
    [
        b"{no json",
        body("x", response_format={"type": "nonsense"}),
        body("x", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]),
    ],
)
def test_a_request_it_cannot_read_is_the_callers_fault_and_quotes_nothing(engine: Engine, request_: bytes) -> None:
    with pytest.raises(CallFailure) as raised:
        chat(engine, request_)
    assert raised.value.error.reason == Reason.ERROR_REASON_INVALID_REQUEST
    assert raised.value.__cause__ is None
    assert "parse_error" not in raised.value.error.message


@pytest.mark.parametrize("content", [b"GGUF", b"GGUF" + bytes(4000)])
def test_a_damaged_model_is_a_clear_failure(tmp_path: Path, settings: LocalSettings, content: bytes) -> None:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(content)
    with pytest.raises(CallFailure) as raised:
        Engine(replace(settings, model_path=path))
    error: error_pb2.CallError = raised.value.error
    assert error.reason == Reason.ERROR_REASON_PROVIDER_ERROR
    assert "damaged.gguf" in error.message
    assert str(tmp_path) not in error.message


@pytest.mark.parametrize("without_file", [True, False])
def test_only_this_process_reaches_llama_cpps_own_door(
    settings: LocalSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_file: bool
) -> None:
    if without_file and sys.platform != "linux":
        pytest.skip("sockets without a file are a thing of Linux")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    door = PrivateHttp(without_file=without_file)
    monkeypatch.setattr("antiphon_provider_local.engine.PrivateHttp", lambda: door)
    engine = Engine(settings)
    assert [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()] == ([] if without_file else [0])
    monkeypatch.setattr(door, "key", "guessed")
    with pytest.raises(CallFailure):
        engine.query("/slots")
    engine.close()
    assert not list(tmp_path.iterdir())


def test_it_keeps_quiet(settings: LocalSettings, capfd: pytest.CaptureFixture[str]) -> None:
    engine = Engine(settings)
    chat(engine, body("hi", max_tokens=1))
    engine.close()
    assert capfd.readouterr() == ("", "")
