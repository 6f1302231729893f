"""Owns how the service is configured: from the environment to an adapter."""

from functools import partial
from typing import cast

from antiphon_kit.settings import Env, ServiceSettings, choice
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import OPENAI
from antiphon_wires.openai_chat.service import Make, known_vendor
from antiphon_wires.openai_responses.adapter import OpenAIAdapter
from antiphon_wires.openai_responses.codec import APIS, Api


def make_adapter(env: Env) -> Make:
    """What `run_provider` takes. Settings of its own beside those of `known_vendor`:

    OPENAI_API: which API calls go to. `chat`: Chat Completions. `responses`: Responses. `auto`, the default: Responses
    where a request asks for what only it can do, or says "openai/responses"; else Chat Completions. A server at
    OPENAI_BASE_URL that has one of the two only wants that one. Another word
    is a SettingError when the service starts.
    """

    def make(settings: ServiceSettings) -> OpenAIChatAdapter:
        api = cast("Api", choice(env, "OPENAI_API", "auto", APIS))
        return known_vendor(OPENAI, env, partial(OpenAIAdapter, api=api))(settings)

    return make
