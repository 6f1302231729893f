"""Owns the process settings that every Antiphon service has, and the readers with which programs read their own.

Forbids itself: looking anything up in `os.environ` (the environment is an argument), and showing a secret in an error.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

Env = Mapping[str, str]

_SECRET_NAME: Final = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|HEADERS)$", re.IGNORECASE)
_SECRET_VALUE: Final = re.compile(r"sk-|bearer|-----BEGIN|://[^/]*@|[A-Za-z0-9_\-.+=]{32,}", re.IGNORECASE)
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]")
_MAX_SHOWN_CHARS: Final = 60


class SettingError(Exception):
    """A setting that cannot be used. One line: `NAME='value': what is wrong; how to mend`."""

    def __init__(self, name: str, value: str, problem: str) -> None:
        super().__init__(f"{name}={_shown(name, value)}: {problem}")
        self.name = name


def _shown(name: str, value: str) -> str:
    # A key lands in the wrong variable easily, and the error goes to a terminal or a log.
    if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
        return "(not shown)"
    return repr(value if len(value) <= _MAX_SHOWN_CHARS else value[:_MAX_SHOWN_CHARS] + "…")


def text(env: Env, name: str, default: str) -> str:
    """The value without surrounding blanks; `default` when it is unset or blank."""
    return env.get(name, "").strip() or default


def choice(env: Env, name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`, which are lower case; the case of the value does not matter."""
    value = text(env, name, default)
    if value.lower() in allowed:
        return value.lower()
    raise SettingError(name, value, f"not a known word; use {' or '.join(allowed)}, or unset it for {default}")


def integer(env: Env, name: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number of `minimum` to `maximum`, both included."""
    value = text(env, name, "")
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise SettingError(name, value, f"not a whole number; use {minimum} to {maximum}") from None
    if not minimum <= number <= maximum:
        raise SettingError(name, value, f"out of range; use {minimum} to {maximum}, or unset it for {default}")
    return number


def seconds(env: Env, name: str, default: float, minimum: float = 0.0, maximum: float = 86400.0) -> float:
    """Seconds of `minimum` to `maximum`, both included, fractions allowed."""
    value = text(env, name, "")
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise SettingError(name, value, "not a number of seconds; write it without a unit, such as 30 or 0.5")
    if not minimum <= number <= maximum:
        raise SettingError(
            name, value, f"out of range; use {minimum:g} to {maximum:g} seconds, or unset it for {default:g}"
        )
    return number


def boolean(env: Env, name: str, default: bool) -> bool:
    """`true`, `yes`, `on`, `1` or their opposites, in any case."""
    value = text(env, name, "")
    if not value:
        return default
    if value.lower() in ("true", "yes", "on", "1"):
        return True
    if value.lower() in ("false", "no", "off", "0"):
        return False
    raise SettingError(name, value, "neither yes nor no; use true or false")


def is_address(value: str) -> bool:
    """Whether this is `host:port`: a name, an IPv4 or a bracketed IPv6 address, and a port of 0 to 65535."""
    host, colon, port = value.rpartition(":")
    return bool(colon and _HOST.fullmatch(host) and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535)


def is_account_name(value: str) -> bool:
    """Whether this can name a provider account in metadata, where ASCII is all there is and `;` separates."""
    return re.fullmatch(r"[A-Za-z0-9._-]{1,63}", value) is not None


def address(env: Env, name: str, default: str) -> str:
    """An address `host:port`. Port 0 lets the system choose one where something listens."""
    value = text(env, name, default)
    if not is_address(value):
        raise SettingError(name, value, "not an address; use host:port, such as 127.0.0.1:7000 or [::1]:7000")
    return value


def is_plain_url(value: str) -> bool:
    """Whether this is an http or https URL without user, password, query and fragment."""
    return re.fullmatch(r"https?://[^\s/@?#]+(/[^\s@?#]*)?", value) is not None


def http_url(env: Env, name: str, default: str) -> str:
    """A plain URL: it may end up in logs."""
    value = text(env, name, default)
    if value and not is_plain_url(value):
        raise SettingError(name, value, "not a plain URL; use http://host:port or https://host:port, without user or ?")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What every service process takes from its environment. Blank variables count as unset."""

    listen: str = "127.0.0.1:0"
    """ANTIPHON_LISTEN: address to serve on, `host:port`. Loopback by default, so that nothing is exposed unasked;
    port 0 lets the system choose."""

    log_level: str = "info"
    """ANTIPHON_LOG_LEVEL: debug, info, warning or error. info: life cycle and failures, nothing per healthy call."""

    log_format: str = "json"
    """ANTIPHON_LOG_FORMAT: json (one object per line) or text (for people). json, because collectors read it as is."""

    drain_lameduck_s: float = 0.0
    """ANTIPHON_DRAIN_LAMEDUCK_S: seconds to keep serving new calls after turning NOT_SERVING. 0: our router watches
    health and moves at once; raise it behind balancers that poll."""

    drain_grace_s: float = 30.0
    """ANTIPHON_DRAIN_GRACE_S: seconds that running calls get to finish in a drain. 30: what process managers wait by
    default before they kill."""

    max_concurrency: int = 256
    """ANTIPHON_MAX_CONCURRENCY: calls at once; more are refused as GATEWAY_OVERLOADED. 256: what one event loop
    carries with room for bursts."""

    max_request_bytes: int = 64 * 1024 * 1024
    """ANTIPHON_MAX_REQUEST_BYTES: largest request message in bytes. 64 MiB: above what vendors take inline."""

    state_domain: str = ""
    """ANTIPHON_STATE_DOMAIN: the operator's name of the provider account, sent to clients; never the account's own
    id. Empty: the provider's name."""

    max_output_tokens: int = 0
    """MAX_TOKENS: output tokens of a call that sets no bound itself. 0: the provider's own default."""

    connect_timeout_s: float = 5.0
    """ANTIPHON_CONNECT_TIMEOUT_S: seconds to open an upstream connection, TLS included. 5: one lost SYN is repeated
    after 1 s and 3 s, a dead host still fails over soon."""

    first_event_timeout_s: float = 60.0
    """ANTIPHON_FIRST_EVENT_TIMEOUT_S: seconds from sending the upstream request to its first content. 60: a long
    prompt or a long thought before the first token."""

    between_events_timeout_s: float = 30.0
    """ANTIPHON_BETWEEN_EVENTS_TIMEOUT_S: seconds without content progress after that. 30: vendors' keep-alives do not
    count, so a healthy stream is far below it."""

    keepalive_s: float = 15.0
    """ANTIPHON_KEEPALIVE_S: seconds of silence after which a running stream sends a sign of life. 15: half of what
    balancers and callers wait before they give a silent connection up."""

    total_timeout_s: float = 600.0
    """LLM_TIMEOUT: seconds for a whole call. 600: the default of the vendors' own SDKs. A caller's deadline is
    kept when it is shorter."""

    otlp_endpoint: str = ""
    """OTEL_EXPORTER_OTLP_ENDPOINT: where traces and metrics go by OTLP over gRPC, `http://host:4317`. Empty:
    telemetry is off and costs nothing."""

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read the settings. Raises SettingError for the first value that cannot be used."""
        default = cls()
        return cls(
            listen=address(env, "ANTIPHON_LISTEN", default.listen),
            log_level=choice(env, "ANTIPHON_LOG_LEVEL", default.log_level, ("debug", "info", "warning", "error")),
            log_format=choice(env, "ANTIPHON_LOG_FORMAT", default.log_format, ("json", "text")),
            drain_lameduck_s=seconds(env, "ANTIPHON_DRAIN_LAMEDUCK_S", default.drain_lameduck_s),
            drain_grace_s=seconds(env, "ANTIPHON_DRAIN_GRACE_S", default.drain_grace_s),
            max_concurrency=integer(env, "ANTIPHON_MAX_CONCURRENCY", default.max_concurrency, 1, 100_000),
            max_request_bytes=integer(env, "ANTIPHON_MAX_REQUEST_BYTES", default.max_request_bytes, 1024, 2**31 - 1),
            state_domain=_state_domain(env),
            max_output_tokens=integer(env, "MAX_TOKENS", default.max_output_tokens, 0, 2**31 - 1),
            connect_timeout_s=_limit(env, "ANTIPHON_CONNECT_TIMEOUT_S", default.connect_timeout_s),
            first_event_timeout_s=_limit(env, "ANTIPHON_FIRST_EVENT_TIMEOUT_S", default.first_event_timeout_s),
            between_events_timeout_s=_limit(env, "ANTIPHON_BETWEEN_EVENTS_TIMEOUT_S", default.between_events_timeout_s),
            keepalive_s=seconds(env, "ANTIPHON_KEEPALIVE_S", default.keepalive_s, minimum=0.01, maximum=3600.0),
            total_timeout_s=_limit(env, "LLM_TIMEOUT", default.total_timeout_s),
            otlp_endpoint=http_url(env, "OTEL_EXPORTER_OTLP_ENDPOINT", default.otlp_endpoint),
        )


def _limit(env: Env, name: str, default: float) -> float:
    return seconds(env, name, default, minimum=0.001)


def _state_domain(env: Env) -> str:
    name = "ANTIPHON_STATE_DOMAIN"
    value = text(env, name, "")
    if value and not is_account_name(value):
        raise SettingError(name, value, "not a usable name; use up to 63 letters, digits, '.', '_' or '-'")
    return value
