"""Owns the settings of the command: names, defaults, checks. A wrong value is one line that names the variable.

Values come from the environment and from `.env` in the working directory; the environment wins.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from antiphon_cli.exit_codes import ExitCode
from antiphon_cli.failure import CommandFailed

if TYPE_CHECKING:
    from antiphon_contract.tls import TlsFiles

MAX_TOKENS_LIMIT: Final = 2**31 - 1
TLS_FILES: Final = ("ANTIPHON_TLS_CERT_FILE", "ANTIPHON_TLS_KEY_FILE", "ANTIPHON_TLS_CA_FILE")
_SCHEMES: Final = ("dns:", "unix:", "ipv4:", "ipv6:", "unix-abstract:")


@dataclass(frozen=True)
class Settings:
    """What the environment says. max_output_tokens None: the provider's default. timeout_s: of one answer."""

    address: str = "127.0.0.1:50050"
    admin_address: str = "127.0.0.1:50051"
    default_llm: str = ""
    max_output_tokens: int | None = None
    timeout_s: float = 600.0
    certificate: tuple[str, ...] = ()
    """Paths: own certificate, its key, authorities to trust. Empty: plaintext."""
    keys_address: str = "127.0.0.1:50052"
    """The coordinator of key rotations."""
    server_name: str = ""
    """For whom the router's certificate has to be. Empty: what servers of a suite are called."""

    @property
    def tls(self) -> "TlsFiles | None":
        """How to connect; None: in plaintext."""
        if not self.certificate:
            return None
        from antiphon_contract.tls import SERVER_NAME, TlsFiles  # it brings gRPC, which `--help` does not wait for

        certificate, key, authorities = self.certificate
        return TlsFiles(certificate, key, authorities, self.server_name or SERVER_NAME)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Raises CommandFailed (78). Empty values count as not set."""
        return cls(
            address=_address(env, "ANTIPHON_ADDRESS", cls.address),
            admin_address=_address(env, "ANTIPHON_ADMIN_ADDRESS", cls.admin_address),
            keys_address=_address(env, "ANTIPHON_KEYS_ADDRESS", cls.keys_address),
            default_llm=_model(env, "DEFAULT_LLM"),
            max_output_tokens=_max_tokens(env, "MAX_TOKENS"),
            timeout_s=_seconds(env, "LLM_TIMEOUT", cls.timeout_s),
            certificate=_certificate(env),
            server_name=env.get("ANTIPHON_TLS_SERVER_NAME", "").strip(),
        )


def environment(directory: Path, env: Mapping[str, str]) -> dict[str, str]:
    """`env` on top of the directory's `.env`. Raises CommandFailed (78); never shows a value, it may be a key."""
    path = directory / ".env"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return dict(env)
    except OSError as error:
        what = f".env cannot be read: {error.strerror}"
        raise CommandFailed(ExitCode.CONFIGURATION, what, "mend or remove it") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CommandFailed(ExitCode.CONFIGURATION, f".env line {line} is not UTF-8", "save it as UTF-8") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # A statement begins with the blank lines before it.
            line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\n"))
            raise CommandFailed(ExitCode.CONFIGURATION, f".env line {line} is not NAME=value", "mend that line")
    values = dotenv_values(stream=io.StringIO(text))
    return {**{name: value for name, value in values.items() if value is not None}, **env}


def seconds(text: str) -> float:
    """A time limit. Raises ValueError."""
    value = float(text)
    if not (0 < value <= 86_400 and math.isfinite(value)):
        raise ValueError(text)
    return value


def address(text: str) -> str:
    """host:port or a gRPC target. Raises ValueError."""
    if text.startswith(_SCHEMES) and not any(char.isspace() for char in text):
        return text
    host, _, port = text.rpartition(":")
    if not host or any(char.isspace() or char == "/" for char in host) or not 1 <= int(port) <= 65_535:
        raise ValueError(text)
    return text


def _address(env: Mapping[str, str], name: str, default: str) -> str:
    text = env.get(name, "").strip()
    try:
        return address(text) if text else default
    except ValueError:
        raise _wrong(name, text, f"is not host:port; write for example {name}={default}") from None


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "").strip()
    try:
        return seconds(text) if text else default
    except ValueError:
        raise _wrong(name, text, f"is not a number of seconds from 0 to 86400; write for example {name}=600") from None


def _max_tokens(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name, "").strip()
    try:
        value = int(text or 0)
    except ValueError:
        value = -1
    if not 0 <= value <= MAX_TOKENS_LIMIT:
        raise _wrong(name, text, f"is not a whole number of tokens; write for example {name}=1024, or 0 for no limit")
    return value or None


def _certificate(env: Mapping[str, str]) -> tuple[str, ...]:
    paths = tuple(env.get(name, "").strip() for name in TLS_FILES)
    if not any(paths):
        return ()
    for name, path in zip(TLS_FILES, paths, strict=True):
        if not path:
            raise _wrong(name, path, f"is missing; set all of {', '.join(TLS_FILES)}, or none")
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise _wrong(name, path, f"cannot be read: {error.strerror}") from None
    return paths


def _model(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").strip()
    if not text.isprintable() or " " in text or len(text.encode(errors="replace")) > 256:
        raise _wrong(name, text, f"is not a provider, provider/model or alias; write for example {name}=local")
    return text


def _wrong(name: str, text: str, complaint: str) -> CommandFailed:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return CommandFailed(ExitCode.CONFIGURATION, f"{name}={shown!r} {complaint}")
