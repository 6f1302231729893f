"""Owns how vendors differ on this wire, as data. Defaults are OpenAI's own; a departure cites its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Literal

from antiphon.llm.v1 import models_pb2
from antiphon_wires.classification import Row


class Loss(Enum):
    """What it means to lose a parameter, see Losses."""

    HINT = auto()
    SHAPE = auto()


@dataclass(frozen=True, slots=True)
class Param:
    """A field of GenerateParams that becomes a member of the body unchanged; `native` None: this wire has none."""

    field: str
    native: str | None
    loss: Loss
    default: bool | int | None = None
    """What happens without the parameter, everywhere: asking for it is nothing that could be lost."""


# https://developers.openai.com/api/reference/resources/chat, as typed by openai 3.57 (2026-11).
PARAMS: Final[tuple[Param, ...]] = (
    Param("max_output_tokens", "max_completion_tokens", Loss.SHAPE),
    Param("temperature", "temperature", Loss.HINT),
    Param("top_p", "top_p", Loss.HINT),
    Param("top_k", None, Loss.HINT),
    Param("min_p", None, Loss.HINT),
    Param("frequency_penalty", "frequency_penalty", Loss.HINT),
    Param("presence_penalty", "presence_penalty", Loss.HINT),
    Param("repetition_penalty", None, Loss.HINT),
    Param("stop", "stop", Loss.SHAPE),
    Param("seed", "seed", Loss.HINT),
    Param("candidate_count", "n", Loss.SHAPE, default=1),
    Param("logprobs", "logprobs", Loss.SHAPE, default=False),
    Param("top_logprobs", "top_logprobs", Loss.SHAPE, default=0),
    Param("logit_bias", "logit_bias", Loss.HINT),
    Param("parallel_tool_calls", "parallel_tool_calls", Loss.SHAPE, default=True),
    Param("max_tool_calls", None, Loss.HINT),
    Param("service_tier", "service_tier", Loss.HINT),
    Param("output_modalities", "modalities", Loss.SHAPE),
    Param("store", "store", Loss.HINT),
    # `user` is being replaced: https://developers.openai.com/api/docs/guides/safety-best-practices (2026-11).
    Param("end_user_id", "safety_identifier", Loss.HINT),
    Param("prompt_cache_key", "prompt_cache_key", Loss.HINT),
    Param("verbosity", "verbosity", Loss.HINT),
)

Feature = Literal[
    "developer_role",
    "custom_tools",
    "allowed_tools",
    "named_tool_choice",
    "strict",
    "json_object",
    "json_schema",
    "reasoning_effort",
    "image",
    "audio",
    "file",
    "cache_breakpoints",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """A switch for reasoning beside its effort: a member that is {"type": "enabled"} or {"type": "disabled"}."""

    member: str = "thinking"
    """Its name in the body."""

    by_default: bool = False
    """Whether the model reasons where nothing is said."""

    ignores: frozenset[str] = frozenset()
    """Fields of GenerateParams that have no effect while it reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One vendor on this wire."""

    name: str
    """Provider name, also the key of its `provider_json`; "<name>/chat" is the key of this wire."""

    base_url: str
    """Including the version path, without a slash at the end."""

    max_tokens_field: str = "max_completion_tokens"
    """The member that bounds the output."""

    stream_usage: bool = True
    """Whether it takes stream_options.include_usage."""

    params: Mapping[str, str | None] = field(default_factory=dict)
    """Departures from PARAMS: field to native member, None where it has none."""

    lacks: frozenset[Feature] = frozenset()
    """What it does not understand."""

    reasoning_field: str = ""
    """Member of an assistant message in which it wants earlier reasoning back; "": not at all.

    While it is sure to reason, see Thinking, a message with tool calls never goes without this member.
    """

    prefill_field: str | None = None
    """Member set to true on a message to be continued; "": its last place is enough; None: it cannot continue one."""

    beta_path: str = ""
    """Path below the base URL where it takes prefill and strict schemas; "": where it takes everything."""

    thinking: Thinking | None = None
    """Its switch for reasoning; None: effort alone decides."""

    efforts: Sequence[str] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    """Levels of reasoning effort it takes, ascending."""

    effort_aliases: Mapping[str, str] = field(default_factory=dict)
    """Levels it lacks to the level it makes of them, where that is not the nearest."""

    max_stop: int = 4
    """How many stop texts it takes."""

    cache_ttls: Sequence[str] = ("30m", "12h")
    """Lifetimes of cache breakpoints it takes, ascending."""

    allowed_headers: frozenset[str] = frozenset()
    """Request headers, lower case, that callers may add."""

    account_headers: bool = False
    """Whether OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS of the environment are meant for it."""

    embedding_path: str | None = "/embeddings"
    """Where vectors are made, below the base URL; None: nowhere."""

    completion_path: str | None = "/completions"
    """Where texts are completed, below the base URL; None: nowhere."""

    operations: Sequence[str] = ("generate",)
    """RPCs that a model serves, as in Model.operations, where its id tells nothing else: no list of models does."""

    families: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Beginnings of model ids to the RPCs that such models serve."""

    errors: Sequence[Row] = ()
    """Rows of classification that only this vendor needs, tried first."""

    def operations_of(self, native_id: str) -> Sequence[str]:
        """The RPCs that this model serves, as far as its id tells."""
        families = self.families.items()
        return next((served for start, served in families if native_id.startswith(start)), self.operations)

    def native(self, param: Param) -> str | None:
        """The member that `param` becomes; None: there is none."""
        if param.field == "max_output_tokens":
            return self.max_tokens_field
        return self.params.get(param.field, param.native)

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of `provider_json` that are this adapter's, in the order of application."""
        return self.keys_of("chat")

    def keys_of(self, api: str) -> tuple[str, str]:
        """The same for another API of the vendor."""
        return (self.name, f"{self.name}/{api}")


def support(dialect: Dialect) -> dict[str, models_pb2.Support]:
    """Field path to how this adapter treats it, for Model.support."""
    lost = {Loss.HINT: models_pb2.SUPPORT_IGNORED, Loss.SHAPE: models_pb2.SUPPORT_REJECTED}
    idle = dialect.thinking.ignores if dialect.thinking is not None and dialect.thinking.by_default else frozenset()
    table = {
        f"params.{param.field}": lost[param.loss]
        if param.field in idle or dialect.native(param) is None
        else models_pb2.SUPPORT_NATIVE
        for param in PARAMS
    }

    def native(feature: Feature, otherwise: models_pb2.Support) -> models_pb2.Support:
        return otherwise if feature in dialect.lacks else models_pb2.SUPPORT_NATIVE

    rejected = models_pb2.SUPPORT_REJECTED
    return table | {
        "params.reasoning.effort": native("reasoning_effort", models_pb2.SUPPORT_IGNORED),
        "params.reasoning.budget_tokens": models_pb2.SUPPORT_IGNORED,
        "params.output_format.json_object": native("json_object", rejected),
        "params.output_format.json_schema": native("json_schema", rejected),
        "params.output_format.grammar": rejected,
        "params.tool_choice.allowed_names": native("allowed_tools", models_pb2.SUPPORT_EMULATED),
        "prompt.tools.function": models_pb2.SUPPORT_NATIVE,
        "prompt.tools.custom": native("custom_tools", rejected),
        "prompt.tools.provider_tool": rejected,
        "prompt.tools.mcp": rejected,
        "prompt.documents": models_pb2.SUPPORT_EMULATED,
    }


OPENAI: Final = Dialect(
    name="openai",
    base_url="https://api.openai.com/v1",
    allowed_headers=frozenset({"openai-beta"}),
    account_headers=True,
    # https://developers.openai.com/api/docs/models (2026-11). What is in a family without an RPC has none here.
    families={
        "text-embedding-": ("embed",),
        **dict.fromkeys(("gpt-3.5-turbo-instruct", "davinci-", "babbage-"), ("complete",)),
        **dict.fromkeys(("dall-e-", "gpt-image-", "omni-moderation-", "text-moderation-", "sora-", "tts-"), ()),
        **dict.fromkeys(("whisper-", "gpt-realtime"), ()),
    },
)

# Servers that imitate the API know its older half. llama.cpp (tools/server/README.md), vLLM
# (docs.vllm.ai/en/stable/serving/openai_compatible_server.html) and Ollama (docs.ollama.com/api/openai-compatibility),
# all read in 2026-11: max_tokens everywhere, `user` instead of safety_identifier, no store, tier or verbosity.
COMPATIBLE: Final = Dialect(
    name="compat",
    base_url="",
    max_tokens_field="max_tokens",
    params={
        "service_tier": None,
        "output_modalities": None,
        "store": None,
        "end_user_id": "user",
        "prompt_cache_key": None,
        "verbosity": None,
    },
    # A server of one's own serves what its models can; which those are is not told.
    operations=("generate", "complete", "embed"),
    # llama.cpp takes a named tool_choice for "auto" (the README of langchain-llama-cpp, 2026-11).
    lacks=frozenset(
        {"developer_role", "custom_tools", "allowed_tools", "named_tool_choice", "file", "cache_breakpoints"}
    ),
)
