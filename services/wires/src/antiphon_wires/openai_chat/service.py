"""Owns how a provider service of this wire is configured: from a dialect and the environment to an adapter.

sys.exit(run_provider(known_vendor(OPENAI, os.environ), os.environ))
"""

from collections.abc import Callable
from dataclasses import replace

from antiphon_kit.key_sources import known_ring
from antiphon_kit.settings import Env, ServiceSettings, http_url
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.dialect import Dialect

Make = Callable[[ServiceSettings], OpenAIChatAdapter]
Kind = Callable[..., OpenAIChatAdapter]
"""An adapter's class, or what makes one of the same arguments."""


def known_vendor(dialect: Dialect, env: Env, kind: Kind = OpenAIChatAdapter) -> Make:
    """What `run_provider` takes, for a vendor with one key. For the name "openai" the settings are:

    OPENAI_API_KEY_FILE: file with the key, read again when it changes; wins over OPENAI_API_KEY.
    OPENAI_API_KEY: the key itself, or `vault:openai/<slot>`; unset beside ANTIPHON_VAULT_ADDR: vault:openai/default.
    OPENAI_BASE_URL: another address, version path included.
    """
    prefix = dialect.name.upper().replace("-", "_").replace(".", "_")

    def make(settings: ServiceSettings) -> OpenAIChatAdapter:
        base_url = http_url(env, f"{prefix}_BASE_URL", dialect.base_url).rstrip("/")
        keys = known_ring(env, dialect.name, f"{prefix}_API_KEY")
        return kind(replace(dialect, base_url=base_url), keys, connect_timeout_s=settings.connect_timeout_s)

    return make
