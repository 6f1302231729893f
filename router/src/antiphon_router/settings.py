"""Owns the process settings of the router; the routes file has the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from antiphon_kit.settings import ServiceSettings, SettingError, address, integer, text


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """What the router takes from its environment."""

    service: ServiceSettings = field(default_factory=lambda: ServiceSettings(listen="127.0.0.1:50050"))
    """What every service has. ANTIPHON_LISTEN is 127.0.0.1:50050 and ANTIPHON_MAX_CONCURRENCY 2000 by default: a
    router only passes bytes on, so it carries more calls than a provider."""

    admin_listen: str = "127.0.0.1:50051"
    """ANTIPHON_ADMIN_LISTEN: address of the administration service, never the one for clients."""

    config: str
    """ANTIPHON_CONFIG: path of the routes file. Required."""

    default_llm: str = ""
    """DEFAULT_LLM: what a request without a model gets: a route, a provider or <provider>/<model>. Wins over
    default_llm of the routes file."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        config = text(env, "ANTIPHON_CONFIG", "")
        if not config:
            raise SettingError("ANTIPHON_CONFIG", "", "not set; name the routes file, such as routes.yaml")
        listen = address(env, "ANTIPHON_LISTEN", "127.0.0.1:50050")
        concurrency = integer(env, "ANTIPHON_MAX_CONCURRENCY", 2000, 1, 100_000)
        return cls(
            service=replace(ServiceSettings.from_env(env), listen=listen, max_concurrency=concurrency),
            admin_listen=address(env, "ANTIPHON_ADMIN_LISTEN", "127.0.0.1:50051"),
            config=config,
            default_llm=text(env, "DEFAULT_LLM", ""),
        )
