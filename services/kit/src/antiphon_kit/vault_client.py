"""Owns the talk with one Vault or OpenBao: login, renewal, reads. Synchronous, for one worker thread.

    read ─> token due? renew, else log in ─> GET ─ 403 ─> is the token still good? yes: denied; no: log in once, GET

Forbids itself: use from the event loop, texts of hvac's exceptions, and a token or secret-id in any message.
"""

import enum
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import hvac
import hvac.exceptions
import requests

from antiphon_kit.vault_settings import VaultSettings

CONNECT_S: Final = 1.0
READ_S: Final = 2.0
_RENEW_AT: Final = 2 / 3
_LOGIN_EVERY_S: Final = 15.0
_SECRET_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAX_FILE_BYTES: Final = 64 * 1024


class Trouble(enum.Enum):
    """What is wrong, as a word for machines."""

    UNREACHABLE = "unreachable"
    SEALED = "sealed"
    DENIED = "denied"
    MISSING = "missing"
    IDENTITY = "identity"
    INTERCEPTED = "intercepted"
    BROKEN = "broken"


class VaultTrouble(Exception):
    """Vault did not give what was asked for; the message says what and how to mend it."""

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class VaultClient:
    """One identity at one server. `now_s` is monotonic."""

    def __init__(self, settings: VaultSettings, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now_s = now_s
        session = requests.Session()
        # Neither proxies nor authorities from the environment.
        session.trust_env = False
        session.verify = settings.ca_file or True
        self._hvac = hvac.Client(
            url=settings.address,
            token="",  # not None: that would look for one in the environment and the home directory
            timeout=(CONNECT_S, READ_S),
            allow_redirects=False,
            session=session,
            namespace=settings.namespace or None,
        )
        self._renewable = False
        self._renew_due_s = 0.0
        self._lease_s = 0.0
        self._expires_s = 0.0
        self._next_login_s = 0.0
        self._secret_id = ""
        self._spent = ""
        self.logins = 0
        self.warning = ""
        """Why the token could not be made to last, while it still does."""

    def close(self) -> None:
        """Close the connections and forget the token."""
        self._hvac.token = ""
        self._secret_id = ""
        self._hvac.adapter.close()

    def read(self, path: str, version: int | None = None) -> object:
        """The fields of the document at `path` below mount and prefix, in that version, or in the latest one."""
        full = f"{self._settings.prefix}/{path}"
        kv = self._hvac.secrets.kv.v2
        answer = self._authorized(
            lambda: kv.read_secret_version(
                full, version=version, mount_point=self._settings.mount, raise_on_deleted_version=True
            ),
            full,
        )
        data = answer.get("data") if isinstance(answer, Mapping) else None
        return data.get("data") if isinstance(data, Mapping) else None

    def metadata(self, path: str) -> object:
        """What is known of the versions of the document at `path`."""
        full = f"{self._settings.prefix}/{path}"
        kv = self._hvac.secrets.kv.v2
        answer = self._authorized(
            lambda: kv.read_secret_metadata(full, mount_point=self._settings.mount),
            full,
        )
        return answer.get("data") if isinstance(answer, Mapping) else None

    def names(self, path: str) -> list[str]:
        """What lies below `path`; what has something below it itself ends in a slash."""
        full = f"{self._settings.prefix}/{path}"
        kv = self._hvac.secrets.kv.v2
        answer = self._authorized(lambda: kv.list_secrets(full, mount_point=self._settings.mount), full)
        return [str(name) for name in answer["data"]["keys"]]

    def write(self, path: str, fields: Mapping[str, object], cas: int) -> None:
        """Write the document at `path` if its version is `cas` still, 0: if there never was one; else BROKEN."""
        full = f"{self._settings.prefix}/{path}"
        kv = self._hvac.secrets.kv.v2
        self._authorized(
            lambda: kv.create_or_update_secret(full, dict(fields), cas=cas, mount_point=self._settings.mount), full
        )

    def delete(self, path: str, version: int) -> None:
        """Take that version of the document at `path` out of reach; it can be undone."""
        full = f"{self._settings.prefix}/{path}"
        kv = self._hvac.secrets.kv.v2
        self._authorized(lambda: kv.delete_secret_versions(full, [version], mount_point=self._settings.mount), full)

    def issue(self, mount: str, role: str, wanted: Mapping[str, str]) -> object:
        """A certificate of the authority mounted there, with its private key."""
        pki = self._hvac.secrets.pki
        answer = self._authorized(
            lambda: pki.generate_certificate(role, "", extra_params=dict(wanted), mount_point=mount),
            f"{mount}/issue/{role}",
        )
        return answer.get("data") if isinstance(answer, Mapping) else None

    def _authorized(self, call: Callable[[], Any], path: str) -> Any:
        self._keep_token(path)
        try:
            return self._attempt(call, path)
        except VaultTrouble as trouble:
            if trouble.kind is not Trouble.DENIED or self._token_lives():
                raise
        self._hvac.token = ""
        self._log_in(path)
        return self._attempt(call, path)

    def _keep_token(self, path: str) -> None:
        now_s = self._now_s()
        if not self._hvac.token or (self._expires_s and now_s >= self._expires_s):
            self._log_in(path)
        elif self._renew_due_s and now_s >= self._renew_due_s:
            self._renew(path)

    def _renew(self, path: str) -> None:
        """Make the token last, or get another one. A token that still lives is used whatever comes of it."""
        try:
            if not (self._renewable and self._renewed()):
                self._log_in(path)
        except VaultTrouble as trouble:
            if trouble.kind in (Trouble.UNREACHABLE, Trouble.SEALED):
                raise
            self.warning = str(trouble)
            self._renew_due_s = self._now_s() + _LOGIN_EVERY_S

    def _renewed(self) -> bool:
        """Whether a renewal gave the token time to speak of: near its greatest age it does not."""
        lasted_s = self._lease_s
        try:
            self._take(self._attempt(self._hvac.auth.token.renew_self, "auth/token/renew-self")["auth"])
        except VaultTrouble as trouble:
            if trouble.kind in (Trouble.UNREACHABLE, Trouble.SEALED):
                raise
            return False
        enough = self._lease_s >= lasted_s / 2
        self._lease_s = lasted_s
        return enough

    def _take(self, auth: Mapping[str, Any]) -> None:
        self._hvac.token = auth["client_token"]
        self._lease_s = lease_s = float(auth.get("lease_duration") or 0)
        now_s = self._now_s()
        self._renewable = bool(auth.get("renewable"))
        self._expires_s = now_s + lease_s if lease_s else 0.0
        self._renew_due_s = now_s + _RENEW_AT * lease_s if lease_s else 0.0

    def _token_lives(self) -> bool:
        """Whether the token itself is good, so that a 403 was about the path."""
        try:
            self._attempt(self._hvac.auth.token.lookup_self, "auth/token/lookup-self")
        except VaultTrouble as trouble:
            if trouble.kind is Trouble.DENIED:
                return False
            raise
        return True

    def _log_in(self, path: str) -> None:
        """Raises VaultTrouble; after a failure not again for a while, because servers lock out who tries too often."""
        now_s = self._now_s()
        if now_s < self._next_login_s:
            raise VaultTrouble(Trouble.IDENTITY, f"{self._settings.address} refused the login a moment ago; see above")
        self.logins += 1
        login = {"approle": self._approle, "kubernetes": self._kubernetes, "token-file": self._token_file}
        try:
            login[self._settings.auth]()
        except VaultTrouble as trouble:
            if trouble.kind in (Trouble.DENIED, Trouble.MISSING, Trouble.BROKEN):
                self._next_login_s = now_s + _LOGIN_EVERY_S
                raise VaultTrouble(
                    Trouble.IDENTITY,
                    f"{self._settings.address} refuses the {self._settings.auth} login at "
                    f"auth/{self._settings.login_mount}; check role, mount and the credential's age",
                ) from None
            raise
        self.warning = ""

    def _approle(self) -> None:
        settings = self._settings
        role_id = settings.role_id or self._file(settings.role_id_file, "ANTIPHON_VAULT_ROLE_ID_FILE")
        given = self._file(settings.secret_id_file, "ANTIPHON_VAULT_SECRET_ID_FILE")
        secret_id = given if _SECRET_ID.fullmatch(given) else self._unwrapped(given)
        answer = self._attempt(
            lambda: self._hvac.auth.approle.login(
                role_id, secret_id, use_token=False, mount_point=settings.login_mount
            ),
            f"auth/{settings.login_mount}/login",
        )
        self._take(answer["auth"])

    def _unwrapped(self, wrapping: str) -> str:
        """The secret-id, unwrapped once and kept in memory for logins to come."""
        if self._secret_id and wrapping == self._spent:
            return self._secret_id
        where = f"the wrapping token in {self._settings.secret_id_file}"
        lookup = self._attempt_wrapped(
            lambda: self._hvac.adapter.post("/v1/sys/wrapping/lookup", json={"token": wrapping}), where
        )
        origin = str(lookup["data"].get("creation_path", ""))
        if not re.fullmatch(rf"auth/{re.escape(self._settings.login_mount)}/role/[^/]+/secret-id", origin):
            raise VaultTrouble(
                Trouble.INTERCEPTED, f"{where} does not come from a role's secret-id; was it replaced? Write a new one"
            )
        self._hvac.token = wrapping  # it is its own authorization; a login follows in any case
        try:
            answer = self._attempt_wrapped(self._hvac.sys.unwrap, where)
        finally:
            self._hvac.token = ""
        self._secret_id, self._spent = str(answer["data"]["secret_id"]), wrapping
        return self._secret_id

    def _attempt_wrapped(self, call: Callable[[], Any], where: str) -> Any:
        try:
            return self._attempt(call, where)
        except VaultTrouble as trouble:
            if trouble.kind in (Trouble.UNREACHABLE, Trouble.SEALED):
                raise
            raise VaultTrouble(
                Trouble.INTERCEPTED,
                f"{where} is used up or expired: by an earlier start of this service, or intercepted? Look it up in "
                "the audit log, destroy the role's secret-ids if in doubt, and write a new wrapping token",
            ) from None

    def _kubernetes(self) -> None:
        settings = self._settings
        jwt = self._file(settings.jwt_file, "ANTIPHON_VAULT_JWT_FILE")
        answer = self._attempt(
            lambda: self._hvac.auth.kubernetes.login(
                settings.role, jwt, use_token=False, mount_point=settings.login_mount
            ),
            f"auth/{settings.login_mount}/login",
        )
        self._take(answer["auth"])

    def _token_file(self) -> None:
        self._hvac.token = self._file(self._settings.token_file, "ANTIPHON_VAULT_TOKEN_FILE")
        self._renewable = False
        # Whoever writes the file keeps it fresh, so it is read again now and then; a dead token shows as a 403.
        self._renew_due_s = self._now_s() + 60.0
        self._expires_s = 0.0

    def _file(self, path: str, setting: str) -> str:
        try:
            with Path(path).open("rb") as file:
                value = file.read(_MAX_FILE_BYTES).decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            value = ""
        if not re.fullmatch(r"[!-~]+", value):
            raise VaultTrouble(Trouble.IDENTITY, f"{setting}={path}: not a readable file with one word in it")
        return value

    def _attempt(self, call: Callable[[], Any], path: str) -> Any:
        """Make one request; what hvac and requests raise becomes VaultTrouble."""
        server = self._settings.address
        try:
            return call()
        except hvac.exceptions.VaultDown:
            raise VaultTrouble(Trouble.SEALED, f"{server} is sealed or in standby; unseal it") from None
        except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
            raise VaultTrouble(Trouble.DENIED, f"{path}: {server} denies it; check the policy of this role") from None
        except hvac.exceptions.InvalidPath:
            raise VaultTrouble(Trouble.MISSING, f"{path}: there is nothing at {server}; write it") from None
        except hvac.exceptions.InvalidRequest:
            raise VaultTrouble(Trouble.BROKEN, f"{path}: {server} does not take the request") from None
        except requests.exceptions.SSLError:
            message = f"the certificate of {server} cannot be verified; check ANTIPHON_VAULT_CACERT and the address"
            raise VaultTrouble(Trouble.UNREACHABLE, message) from None
        except requests.exceptions.Timeout:
            message = f"{server} does not answer in {READ_S:g} s"
            raise VaultTrouble(Trouble.UNREACHABLE, message) from None
        except requests.exceptions.RequestException:
            message = f"{server} cannot be reached; check the address and that it runs"
            raise VaultTrouble(Trouble.UNREACHABLE, message) from None
        except (hvac.exceptions.VaultError, ValueError, KeyError, TypeError):
            raise VaultTrouble(Trouble.BROKEN, f"{path}: {server} answers in a way that is not understood") from None
