"""Owns how this service is configured: from the environment to an adapter."""

from collections.abc import Callable
from typing import Final

from antiphon_kit.key_sources import known_ring
from antiphon_kit.settings import Env, ServiceSettings, http_url
from antiphon_provider_anthropic.adapter import AnthropicAdapter

BASE_URL: Final = "https://api.anthropic.com"


def configured(env: Env) -> Callable[[ServiceSettings], AnthropicAdapter]:
    """What `run_provider` takes. Its own settings are:

    ANTHROPIC_API_KEY_FILE: file with the key, read again when it changes; wins over ANTHROPIC_API_KEY.
    ANTHROPIC_API_KEY: the key itself, or `vault:anthropic/<slot>`; unset beside ANTIPHON_VAULT_ADDR:
    vault:anthropic/default. ANTHROPIC_BASE_URL: another address, without the version path.
    """

    def make(settings: ServiceSettings) -> AnthropicAdapter:
        base_url = http_url(env, "ANTHROPIC_BASE_URL", BASE_URL).rstrip("/")
        keys = known_ring(env, "anthropic", "ANTHROPIC_API_KEY")
        return AnthropicAdapter(base_url, keys, connect_timeout_s=settings.connect_timeout_s)

    return make
