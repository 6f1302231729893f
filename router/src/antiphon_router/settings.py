"""Owns the process settings of the router; the routes file has the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from antiphon_kit.settings import ServiceSettings, SettingError, address, integer, text
from antiphon_kit.tls_settings import TlsSettings, peers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSettings:
    """What the router takes from its environment."""

    service: ServiceSettings = field(default_factory=lambda: ServiceSettings(listen="127.0.0.1:50050"))
    """What every service has. ANTIPHON_LISTEN is 127.0.0.1:50050 and ANTIPHON_MAX_CONCURRENCY 2000 by default: a
    router only passes bytes on, so it carries more calls than a provider."""

    admin_listen: str = "127.0.0.1:50051"
    """ANTIPHON_ADMIN_LISTEN: address of the administration service, never the one for clients."""

    tls: TlsSettings = field(default_factory=TlsSettings)
    """What every service has, for both ports and for the way to the providers."""

    admin_peers: tuple[str, ...] = ()
    """ANTIPHON_ADMIN_TLS_PEERS: who may call the administration service. Empty: as ANTIPHON_TLS_PEERS."""

    config: str
    """ANTIPHON_CONFIG: path of the routes file. Required."""

    default_llm: str = ""
    """DEFAULT_LLM: what a request without a model gets: a route, a provider or <provider>/<model>. Wins over
    default_llm of the routes file."""

    hold_bytes: int = 8 << 20
    """ANTIPHON_HOLD_BYTES: the longest answer that is held back for a caller who asked for `hold`; all together may
    hold sixteen times as much. What does not fit is delivered as it comes."""

    kubernetes: str = ""
    """KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which every pod has: URL of the API server. Empty: not in
    a cluster, so the routes file cannot name Kubernetes services."""

    kubernetes_account: str = "/var/run/secrets/kubernetes.io/serviceaccount"
    """Directory with `token` and `ca.crt` of the service account; Kubernetes puts it there."""

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
            tls=TlsSettings.from_env(env),
            admin_peers=peers_of(env, "ANTIPHON_ADMIN_TLS_PEERS"),
            config=config,
            default_llm=text(env, "DEFAULT_LLM", ""),
            hold_bytes=integer(env, "ANTIPHON_HOLD_BYTES", 8 << 20, 0, 1 << 30),
            kubernetes=_kubernetes(env),
        )


def _kubernetes(env: Mapping[str, str]) -> str:
    host = text(env, "KUBERNETES_SERVICE_HOST", "")
    if not host:
        return ""
    port = integer(env, "KUBERNETES_SERVICE_PORT", 443, 1, 65535)
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
