"""Owns earlier answers on their way back to Cohere: content, plan, calls and citations as they were received."""

from typing import Final

import msgspec

from antiphon.llm.v1 import content_pb2
from antiphon_provider_cohere.codec.capabilities import NAME
from antiphon_provider_cohere.codec.scope import Native, Scope, invalid, text_block
from antiphon_wires import json_text

PLAN: Final = "tool_plan"
THINKING: Final = "thinking"
CITATION: Final = "citation"
"""`native_type` of a citation that rests on no text part."""


def encode_answer(message: content_pb2.Message, path: str, scope: Scope) -> Native:
    """The native message of the model."""
    answer = _Answer(scope)
    for index, part in enumerate(message.parts):
        answer.add(part, f"{path}.parts[{index}]")
    return answer.native()


class _Answer:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._content: list[Native] = []
        self._plan: list[str] = []
        self._calls: list[Native] = []
        self._citations: list[Native | msgspec.Raw] = []

    def add(self, part: content_pb2.Part, path: str) -> None:
        losses = self._scope.losses
        kind = part.WhichOneof("kind")
        if kind == "text":
            self._block(text_block(part.text.text), part, path)
            self._cite(part.text, f"{path}.text")
        elif kind == "reasoning":
            self._reason(part, path)
        elif kind == "tool_call":
            self._call(part, path)
        elif kind == "native":
            self._native(part, path)
        elif kind == "refusal":
            losses.emulated(f"{path}.refusal", "its text is sent as an answer")
            self._block(text_block(part.refusal.text), part, path)
        elif kind == "compaction" and part.compaction.summary:
            losses.emulated(f"{path}.compaction", "its summary is sent as text")
            self._block(text_block(part.compaction.summary), part, path)
        elif kind is None:
            raise invalid(f"{path} holds nothing this version knows; set one kind of part", path)
        else:
            losses.history(f"{path}.{kind}", f"Cohere takes no {kind} of an answer back")
        if part.phase:
            losses.history(f"{path}.phase", "Cohere knows no phases")
        self._scope.foreign(part.opaque, path)

    def _block(self, native: Native, part: content_pb2.Part, path: str) -> None:
        self._scope.patch(native, part.provider_json, path)
        self._content.append(native)

    def _reason(self, part: content_pb2.Part, path: str) -> None:
        reasoning = part.reasoning
        if reasoning.label == PLAN:
            self._plan.append(reasoning.text)
            if self._scope.patchable(part.provider_json):
                self._scope.losses.hint(f"{path}.provider_json", "a tool plan is a text, it has no members")
        elif reasoning.text:
            self._block({"type": THINKING, THINKING: reasoning.text}, part, path)
        else:
            self._scope.losses.history(f"{path}.reasoning", "it has no text")

    def _call(self, part: content_pb2.Part, path: str) -> None:
        call = part.tool_call
        if call.kind == content_pb2.ToolCall.KIND_PROVIDER:
            self._scope.losses.history(f"{path}.tool_call", "it is a call of a tool that another provider ran")
            return
        # An empty input is reported as "", but only JSON is taken back.
        arguments = call.input or "{}"
        if call.kind == content_pb2.ToolCall.KIND_CUSTOM:
            self._scope.losses.emulated(f"{path}.tool_call", "its free text is sent as the member `input`")
            arguments = f'{{"input":{json_text.quote(call.input)}}}'
        native = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
        self._scope.patch(native, part.provider_json, path)
        self._calls.append(native)

    def _native(self, part: content_pb2.Part, path: str) -> None:
        native = part.native
        if native.provider not in self._scope.keys:
            self._scope.losses.history(f"{path}.native", f"it is a block of {native.provider or 'no provider'}")
        elif native.native_type == CITATION:
            self._citations.append(json_text.verbatim(native.native_json, f"{path}.native.native_json"))
        else:
            self._block(dict(json_text.caller_object(native.native_json, f"{path}.native.native_json")), part, path)

    def _cite(self, text: content_pb2.TextPart, path: str) -> None:
        for index, citation in enumerate(text.citations):
            where = f"{path}.citations[{index}]"
            if not (own := citation.provider_json.get(NAME, "")):
                self._scope.losses.history(where, "it is a citation of another provider")
                continue
            native = dict(json_text.caller_object(own, f"{where}.provider_json"))
            position = str(len(self._content) - 1).encode()
            if "content_index" in native and bytes(native["content_index"]) != position:
                # Blocks before it were left out or added since.
                native["content_index"] = msgspec.Raw(position)
                self._citations.append(native)
            else:
                self._citations.append(json_text.verbatim(own, f"{where}.provider_json"))

    def native(self) -> Native:
        native: Native = {"role": "assistant"}
        if self._plan:
            native[PLAN] = "".join(self._plan)
        if self._calls:
            native["tool_calls"] = self._calls
        if self._content or not (self._plan or self._calls):
            native["content"] = self._text()
        if self._citations:
            native["citations"] = self._citations
        return native

    def _text(self) -> str | list[Native]:
        if len(self._content) == 1 and self._content[0].keys() == {"type", "text"}:
            text = self._content[0]["text"]
            return text if isinstance(text, str) else self._content
        return self._content or ""
