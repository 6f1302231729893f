"""Owns what a request must look like before an adapter sees it: the ranges and contradictions the protos document.

Forbids itself: what only one provider or model minds. Every finding is INVALID_REQUEST with the path of the field.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf import duration_pb2

from antiphon.llm.v1 import chat_pb2, content_pb2, options_pb2, params_pb2
from antiphon_contract import metadata
from antiphon_contract.errors import CallFailure, Reason, failure

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_SHORT_CHARS: Final = 64
_MAX_LABELS: Final = 16
_MAX_LABEL_CHARS: Final = 512
_MAX_LIMIT_S: Final = 3600
_MAX_COALESCE_S: Final = 1


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers allowed for a field. `low_open`: the lower end itself is not."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False

    def holds(self, number: float) -> bool:
        """False for NaN and infinities too."""
        above = number > self.low if self.low_open else number >= self.low
        return math.isfinite(number) and above and number <= self.high

    def __str__(self) -> str:
        low = f"{'>' if self.low_open else '>='} {self.low:g}" if self.low > -math.inf else ""
        high = f"<= {self.high:g}" if self.high < math.inf else ""
        return " and ".join(filter(None, (low, high))) or "finite"


RANGES: Final = {
    "max_output_tokens": Range(1),
    "temperature": Range(0),
    "top_p": Range(0, 1, low_open=True),
    "top_k": Range(1),
    "min_p": Range(0, 1),
    "frequency_penalty": Range(),
    "presence_penalty": Range(),
    "repetition_penalty": Range(0, low_open=True),
    "candidate_count": Range(1),
    "top_logprobs": Range(0, 20),
    "max_tool_calls": Range(0),
}
_SHORT: Final = frozenset({"end_user_id", "prompt_cache_key"})


def validate(request: chat_pb2.StreamGenerateRequest, model: str) -> None:
    """Raise CallFailure for the first thing wrong. `model`: the id that counts, from the request or its metadata."""
    check_model(model)
    _prompt(request.prompt)
    if request.HasField("params"):
        check_params(request.params)
    if request.HasField("options"):
        check_options(request.options)
    if request.HasField("stream"):
        check_stream(request.stream)


def check_model(model: str) -> None:
    """Raise CallFailure for an id that no provider can have."""
    if not model:
        raise invalid("model", "no model given; set it to an id that ListModels shows")
    check_model_length(model)


def check_model_length(model: str) -> None:
    """The same where no model needs to be named."""
    if len(model) > metadata.MAX_MODEL_BYTES or len(model.encode()) > metadata.MAX_MODEL_BYTES:
        raise invalid("model", f"longer than {metadata.MAX_MODEL_BYTES} bytes; use an id that ListModels shows")


def check_stream(stream: options_pb2.StreamOptions) -> None:
    """Raise CallFailure for options of a stream that cannot be."""
    if stream.HasField("max_coalesce_delay"):
        delay_s = _seconds(stream.max_coalesce_delay)
        if not 0 <= delay_s <= _MAX_COALESCE_S:
            raise invalid("stream.max_coalesce_delay", f"{delay_s:g} s is out of range; use 0 to {_MAX_COALESCE_S} s")


def invalid(param: str, problem: str) -> CallFailure:
    """The failure for a field of a request; `problem` ends with the remedy."""
    return failure(Reason.ERROR_REASON_INVALID_REQUEST, f"{param}: {problem}", param=param)


def _seconds(duration: duration_pb2.Duration) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def _prompt(prompt: chat_pb2.Prompt) -> None:
    if not prompt.messages:
        raise invalid("prompt.messages", "empty; send at least one message")
    last = len(prompt.messages) - 1
    for index, message in enumerate(prompt.messages):
        _message(message, f"prompt.messages[{index}]", last=index == last)
    if prompt.tools:
        _tools(prompt.tools)
    if prompt.documents:
        check_unique([document.id for document in prompt.documents if document.id], "prompt.documents", "document id")


def _message(message: content_pb2.Message, path: str, *, last: bool) -> None:
    if message.role == content_pb2.ROLE_UNSPECIFIED:
        raise invalid(f"{path}.role", "not set; use ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL")
    is_assistant = message.role == content_pb2.ROLE_ASSISTANT
    # A model's turn may consist of nothing but state to be replayed.
    if not message.parts and not (is_assistant and message.opaque):
        raise invalid(f"{path}.parts", "empty; put the text into a part, or leave the message out")
    if len(message.name) > _MAX_SHORT_CHARS:
        raise invalid(f"{path}.name", f"longer than {_MAX_SHORT_CHARS} characters; shorten it")
    if message.prefill and not (last and is_assistant):
        raise invalid(f"{path}.prefill", "only for a last message of ROLE_ASSISTANT; move the message or unset it")


def _tools(tools: Iterable[params_pb2.Tool]) -> None:
    names = []
    for index, tool in enumerate(tools):
        kind = tool.WhichOneof("kind")
        path = f"prompt.tools[{index}]"
        if kind in ("function", "custom"):
            name = getattr(tool, kind).name
            _named(name, f"{path}.{kind}.name")
            names.append(name)
        elif kind == "mcp":
            _named(tool.mcp.server_label, f"{path}.mcp.server_label")
            if not tool.mcp.server_url.startswith("https://"):
                raise invalid(f"{path}.mcp.server_url", "not an https URL; only https servers can be used")
    check_unique(names, "prompt.tools", "tool name")


def _named(name: str, path: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(path, "not a usable name; use 1 to 64 letters, digits, '_' or '-'")


def check_unique(values: list[str], path: str, what: str) -> None:
    """Raise CallFailure if one of `values` occurs twice."""
    if len(set(values)) != len(values):
        raise invalid(path, f"a {what} occurs twice; give each its own")


def check_params(params: params_pb2.GenerateParams) -> None:
    """Raise CallFailure for what no model would take."""
    for field, value in params.ListFields():
        name = field.name
        if name in RANGES:
            if not RANGES[name].holds(value):
                problem = f"{value:g} is out of range; use a number {RANGES[name]}, or unset it"
                raise invalid(f"params.{name}", problem)
        elif name in _SHORT and len(value) > _MAX_SHORT_CHARS:
            raise invalid(f"params.{name}", f"longer than {_MAX_SHORT_CHARS} characters; use a hash of it")
        elif name == "reasoning":
            _reasoning(value)
        elif name == "output_format" and value.HasField("json_schema"):
            _named(value.json_schema.name, "params.output_format.json_schema.name")
    if params.top_logprobs and params.HasField("logprobs") and not params.logprobs:
        raise invalid("params.top_logprobs", "contradicts logprobs = false; unset one of them")


def _reasoning(reasoning: params_pb2.ReasoningParams) -> None:
    if reasoning.budget_tokens < 0:
        raise invalid("params.reasoning.budget_tokens", "negative; use a number >= 0, or unset it")
    if reasoning.mode != params_pb2.ReasoningParams.MODE_DISABLED:
        return
    if reasoning.effort not in ("", "none"):
        raise invalid("params.reasoning.effort", 'contradicts MODE_DISABLED; use "none", or another mode')
    if reasoning.budget_tokens > 0:
        raise invalid("params.reasoning.budget_tokens", "contradicts MODE_DISABLED; unset it, or use another mode")


def check_options(options: options_pb2.CallOptions) -> None:
    """Raise CallFailure for limits and labels out of range."""
    if options.HasField("timeouts"):
        for field, duration in options.timeouts.ListFields():
            limit_s = _seconds(duration)
            if not 0 < limit_s <= _MAX_LIMIT_S:
                raise invalid(
                    f"options.timeouts.{field.name}",
                    f"{limit_s:g} s is out of range; use more than 0 and at most {_MAX_LIMIT_S} s, or unset it",
                )
    if len(options.labels) > _MAX_LABELS:
        raise invalid("options.labels", f"more than {_MAX_LABELS} labels; leave some out")
    for key, value in options.labels.items():
        if len(key) > _MAX_SHORT_CHARS or len(value) > _MAX_LABEL_CHARS:
            raise invalid(
                "options.labels",
                f"a label is too long; use at most {_MAX_SHORT_CHARS} characters for a key and "
                f"{_MAX_LABEL_CHARS} for a value",
            )
