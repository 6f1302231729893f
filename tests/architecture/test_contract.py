"""Promises of the wire contract that no single .proto file can state."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from workspace import ROOT

from antiphon.llm.v1 import chat_pb2, error_pb2, models_pb2, options_pb2, response_pb2
from antiphon.router.v1 import health_pb2, router_pb2
from antiphon_contract import metadata

FILES = [chat_pb2, models_pb2, options_pb2, response_pb2, error_pb2, health_pb2, router_pb2]
METHODS = [m for module in FILES for service in module.DESCRIPTOR.services_by_name.values() for m in service.methods]
LLM_METHODS = [m for m in METHODS if m.full_name.startswith("antiphon.llm")]
MESSAGES = [m for module in FILES for m in module.DESCRIPTOR.message_types_by_name.values()]
BUF = str(Path(sys.executable).with_name("buf"))
FROZEN = ROOT / "protos" / "frozen" / "v1.binpb"
# Where 32 bits cannot hold the value: money in pico-units, account limits, any seed.
WIDE = {"Cost.amount_pico", "RateLimit.limit", "RateLimit.remaining", "GenerateParams.seed"}


@pytest.mark.parametrize("method", LLM_METHODS, ids=lambda m: m.full_name)
def test_field_1_of_every_request_is_the_routing_key(method):
    assert method.input_type.fields_by_number[1].type == Field.TYPE_STRING


@pytest.mark.parametrize("method", LLM_METHODS, ids=lambda m: m.full_name)
def test_field_4_of_every_request_with_model_input_is_call_options(method):
    if "prompt" in method.input_type.fields_by_name:
        assert method.input_type.fields_by_number[4].message_type is options_pb2.CallOptions.DESCRIPTOR


def test_the_requests_of_a_turn_share_fields_1_to_4():
    """The kit reads all three as a StreamGenerateRequest."""
    shapes = [
        [(n, f.name, f.type, f.message_type) for n, f in sorted(m.DESCRIPTOR.fields_by_number.items()) if n <= 4]
        for m in (chat_pb2.GenerateRequest, chat_pb2.StreamGenerateRequest, chat_pb2.CountTokensRequest)
    ]
    assert shapes[0] == shapes[1] == shapes[2]


def test_whole_answers_are_start_payload_end_native():
    fields = chat_pb2.GenerateResponse.DESCRIPTOR.fields_by_number
    assert [fields[n].name for n in (1, 3, 4)] == ["start", "end", "native"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.full_name)
def test_numbers_are_portable(message):
    """No unsigned and no float types; 64 bits only where 32 cannot do, because JavaScript reads them as bigint."""
    for field in message.fields:
        assert field.type not in {
            Field.TYPE_UINT32,
            Field.TYPE_UINT64,
            Field.TYPE_FIXED32,
            Field.TYPE_FIXED64,
            Field.TYPE_FLOAT,
        }
        if field.type in {Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64}:
            assert f"{message.name}.{field.name}" in WIDE


def test_no_call_that_can_hold_a_prompt_may_travel_in_a_url():
    for method in METHODS:
        if "prompt" in method.input_type.fields_by_name:
            assert method.GetOptions().idempotency_level != 1, f"{method.full_name} is NO_SIDE_EFFECTS"


def test_a_router_can_tell_frames_by_their_first_bytes():
    """0x08 numbered, 0x12 unnumbered; a failed `end` alone in its frame shows 0x52 behind the frame's length."""
    numbered = chat_pb2.StreamGenerateResponse(first_sequence=300, events=[response_pb2.StreamEvent(text_delta="x")])
    unnumbered = chat_pb2.StreamGenerateResponse(events=[response_pb2.StreamEvent(keepalive=response_pb2.Keepalive())])
    last = chat_pb2.StreamGenerateResponse(
        first_sequence=1, events=[response_pb2.StreamEvent(end=response_pb2.ResponseEnd(response_id="r"))]
    )
    assert numbered.SerializeToString()[0] == 0x08
    assert unnumbered.SerializeToString()[0] == 0x12
    assert last.SerializeToString()[2:5:2] == b"\x12\x52"


def test_names_in_metadata_are_legal_and_binary_ones_end_in_bin():
    names = [value for name, value in vars(metadata).items() if name.isupper() and isinstance(value, str)]
    assert all(re.fullmatch(r"[0-9a-z_.-]+", name) for name in names)
    assert metadata.END.endswith("-bin")
    assert metadata.ROUTER_END.endswith("-bin")


def _buf(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_contract_is_clean_and_keeps_what_was_promised():
    for arguments in (("lint",), ("format", "-d", "--exit-code"), ("breaking", "--against", str(FROZEN))):
        checked = _buf(*arguments, cwd=ROOT)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("llm/v1/usage.proto", "optional int32 input_tokens = 1;", "optional int64 input_tokens = 1;"),
        ("llm/v1/chat.proto", "  rpc CountTokens(", "  rpc CountAllTokens("),
        ("llm/v1/error.proto", "  ERROR_REASON_CONFLICT = 23;", "  ERROR_REASON_CONFLICT = 25;"),
        ("llm/v1/http.proto", "antiphon.dev/go", "example.com/go"),
    ],
    ids=["type", "rpc", "enum", "package"],
)
def test_a_broken_promise_is_seen(tmp_path, file, before, after):
    shutil.copytree(ROOT / "protos" / "antiphon", tmp_path / "protos" / "antiphon")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    proto = tmp_path / "protos" / "antiphon" / file
    text = proto.read_text()
    assert before in text
    proto.write_text(text.replace(before, after))
    assert _buf("breaking", "--against", str(FROZEN), cwd=tmp_path).returncode == 100
