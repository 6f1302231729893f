"""Owns how DeepSeek departs from OpenAI on the chat-completions wire. Sources, all read in 2026-11, below
https://api-docs.deepseek.com: /guides/{thinking_mode,chat_prefix_completion,fim_completion,tool_calls},
/quick_start/{error_codes,rate_limit}, /api/{create-chat-completion,create-completion}.
"""

from typing import Final

from antiphon_contract.errors import Reason
from antiphon_wires.classification import Row
from antiphon_wires.openai_chat.codec import Dialect, Thinking

_LACKING: Final = (
    "seed", "candidate_count", "logit_bias", "parallel_tool_calls",
    "service_tier", "output_modalities", "store", "prompt_cache_key", "verbosity",
)  # fmt: skip

DEEPSEEK: Final = Dialect(
    name="deepseek",
    base_url="https://api.deepseek.com",
    beta_path="/beta",
    completion_path="/beta/completions",
    embedding_path=None,
    operations=("generate", "complete"),
    max_tokens_field="max_tokens",
    max_stop=16,
    params={**dict.fromkeys(_LACKING), "end_user_id": "user_id"},
    lacks=frozenset({"developer_role", "custom_tools", "allowed_tools", "json_schema", "audio", "cache_breakpoints"}),
    prefill_field="prefix",
    reasoning_field="reasoning_content",
    # top_p has a narrow effect on one model and none on the other: too little to promise anything.
    thinking=Thinking(
        by_default=True, ignores=frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
    ),
    efforts=("low", "high", "max"),
    effort_aliases={"medium": "high"},
    errors=(Row("deepseek_503", Reason.ERROR_REASON_PROVIDER_OVERLOADED, frozenset({503})),),
)
