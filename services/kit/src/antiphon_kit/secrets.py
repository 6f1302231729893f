"""Owns the port through which a provider gets its key, and the two sources that need no server.

Forbids itself: caching beyond what a source's own re-read rule allows, and showing a value anywhere.
"""

import asyncio
import functools
import hashlib
import hmac
import logging
import re
import secrets
import time
from pathlib import Path
from typing import Final, NoReturn, Protocol, final

from antiphon_contract.errors import CallFailure, Reason, failure
from antiphon_kit.settings import Env, SettingError

_REREAD_S: Final = 1.0
_MAX_BYTES: Final = 16 * 1024
_logger: Final = logging.getLogger(__name__)


@final
class Secret:
    """A value that only `reveal` shows. Printing, formatting, copying and pickling it are errors.

    Python cannot wipe strings: reveal it where it is sent, and keep no copy.
    """

    # Weakly referable, so that what is made of a key can vanish with it.
    __slots__ = ("__value", "__weakref__")

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself, for the header that carries it."""
        return self.__value

    @property
    def fingerprint(self) -> str:
        """12 hex digits that tell two values apart within this process; of no use outside of it."""
        return self.fingerprint_under(_fingerprint_key())

    def fingerprint_under(self, key: bytes) -> str:
        """12 hex digits that tell two values apart among all who have `key`."""
        return hmac.new(key, self.__value.encode(), hashlib.sha256).hexdigest()[:12]

    def __bool__(self) -> bool:
        """Whether there is a value: servers that take no key have none."""
        return bool(self.__value)

    def __repr__(self) -> str:
        # Not an error like the others: debuggers and test reports call it on whatever they find.
        return "<secret>"

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a secret is not printed, formatted, copied or pickled; use reveal() where it is sent")

    __str__ = __format__ = __copy__ = __deepcopy__ = __getstate__ = __reduce__ = __reduce_ex__ = _refuse


@functools.cache
def _fingerprint_key() -> bytes:
    # A plain hash of a key could be looked up in a table.
    return secrets.token_bytes(32)


class SecretSource(Protocol):
    """Where a secret comes from. Asked before every use, so that a new value is taken without a restart."""

    async def current(self) -> Secret:
        """The value to use now. Raises CallFailure (PROVIDER_CREDENTIALS) while there is none."""
        ...


class EnvSecret:
    """A variable of the environment, read once: a process does not see later changes of it."""

    def __init__(self, env: Env, name: str) -> None:
        self._name = name
        value = env.get(name, "").strip()
        self._secret = Secret(value) if value else None
        self._usable = _is_header_value(value)

    async def current(self) -> Secret:
        if self._secret is None:
            raise _missing(f"environment variable {self._name} is not set; set it and restart this provider")
        if not self._usable:
            raise _missing(f"{self._name} holds blanks or characters no header can carry; set it again and restart")
        return self._secret


class FileSecret:
    """A file that holds the value, read again at most once a second.

    The last good value stays in use while the file is missing, empty or unusable. Replace the file by rename.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._secret: Secret | None = None
        self._due_s = 0.0
        self._problem = ""

    async def current(self) -> Secret:
        now_s = time.monotonic()
        if self._secret is None or now_s >= self._due_s:
            self._due_s = now_s + _REREAD_S
            # In a thread, because secret mounts can be network file systems.
            self._take(*await asyncio.to_thread(_read, self._path))
        if self._secret is None:
            raise _missing(f"its key file {self._problem}; put the key into the configured file, no restart is needed")
        return self._secret

    def _take(self, value: str, problem: str) -> None:
        if problem and problem != self._problem:
            kept = self._secret.fingerprint if self._secret else None
            _logger.warning(
                "secret file unusable", extra={"path": str(self._path), "problem": problem, "kept_fingerprint": kept}
            )
        self._problem = problem
        if not problem and (self._secret is None or self._secret.reveal() != value):
            self._secret = Secret(value)
            _logger.info("secret file read", extra={"path": str(self._path), "fingerprint": self._secret.fingerprint})


def _read(path: Path) -> tuple[str, str]:
    """The value, and why it cannot be used ("" when it can)."""
    try:
        if not path.is_file():
            return "", "is not a file" if path.exists() else "does not exist"
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        value = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        return "", "holds characters that no header can carry"
    except OSError:
        return "", "cannot be read by this process"
    if not value:
        return "", "is empty"
    if len(raw) > _MAX_BYTES or not _is_header_value(value):
        return "", "holds more than one key"
    return value, ""


def _is_header_value(value: str) -> bool:
    return re.fullmatch(r"[!-~]*", value) is not None


def _missing(problem: str) -> CallFailure:
    return failure(Reason.ERROR_REASON_PROVIDER_CREDENTIALS, f"the provider has no usable key: {problem}")


_REFERENCE: Final = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<path>/[^\0]+)")
REFERENCE_FORMS: Final = "env:NAME or file:/path"


def is_reference(reference: str) -> bool:
    """Whether `reference` has a form that `from_reference` takes."""
    return not reference or _REFERENCE.fullmatch(reference) is not None


def from_reference(reference: str, env: Env, name: str = "api_key") -> SecretSource | None:
    """The source that `env:NAME` or `file:/path` stands for; None for "", a server that takes no key.

    Raises SettingError, which does not show `reference`: people write the key itself there.
    """
    if not reference:
        return None
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SettingError(name, reference, f"not a reference to a key; use {REFERENCE_FORMS}")
    return EnvSecret(env, match["name"]) if match["name"] else FileSecret(match["path"])
