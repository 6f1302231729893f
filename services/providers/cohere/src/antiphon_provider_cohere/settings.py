"""Owns how this service is configured: from the environment to an adapter.

COHERE_API_KEY_FILE: file with the key, read again when it changes; wins over the variables.
COHERE_API_KEY, or CO_API_KEY as the SDK calls it: the key itself, or `vault:cohere/<slot>`; unset beside
ANTIPHON_VAULT_ADDR: vault:cohere/default.
COHERE_BASE_URL, or CO_API_URL as the SDK calls it: another address, without a version path.
"""

from collections.abc import Callable

from antiphon_kit.key_sources import known_ring
from antiphon_kit.settings import Env, ServiceSettings, http_url, text
from antiphon_provider_cohere.adapter import CohereAdapter
from antiphon_provider_cohere.codec import BASE_URL


def cohere_account(env: Env) -> Callable[[ServiceSettings], CohereAdapter]:
    """What `run_provider` takes. The adapter is made inside the running loop."""

    def make(settings: ServiceSettings) -> CohereAdapter:
        base_url = _without_version(http_url(env, _given(env, "COHERE_BASE_URL", "CO_API_URL"), BASE_URL))
        keys = known_ring(env, "cohere", "COHERE_API_KEY", "CO_API_KEY")
        return CohereAdapter(keys, base_url=base_url, connect_timeout_s=settings.connect_timeout_s)

    return make


def _given(env: Env, ours: str, sdks: str) -> str:
    """The name of the variable that counts."""
    return sdks if text(env, sdks, "") and not text(env, ours, "") else ours


def _without_version(url: str) -> str:
    # As the SDK does: addresses are often copied with the path of one version (cohere 7.3, fix_base_url).
    return url.rstrip("/").removesuffix("/v1").removesuffix("/v2")
