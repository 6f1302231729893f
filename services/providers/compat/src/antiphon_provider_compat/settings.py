"""Owns which server this process stands for: the row ANTIPHON_COMPAT_SERVER of the routes file ANTIPHON_CONFIG."""

from dataclasses import dataclass, replace
from typing import Self

from antiphon.config.v1 import suite_pb2
from antiphon_kit.config import ConfigError, load_suite
from antiphon_kit.key_ring import KeyRing
from antiphon_kit.key_sources import ring_from_reference
from antiphon_kit.settings import Env, ServiceSettings, SettingError, text
from antiphon_wires.openai_chat.adapter import OpenAIChatAdapter
from antiphon_wires.openai_chat.codec import COMPATIBLE, Dialect


@dataclass(frozen=True, slots=True)
class CompatSettings:
    """`keys` None: the server takes no key."""

    dialect: Dialect
    keys: KeyRing | None

    @classmethod
    def from_env(cls, env: Env) -> Self:
        """Read both variables and the file. Raises SettingError, which names the rows there are."""
        path = text(env, "ANTIPHON_CONFIG", "")
        if not path:
            raise SettingError("ANTIPHON_CONFIG", "", "not set; name the routes file that holds the rows of `compat`")
        try:
            rows = {row.name: row for row in load_suite(path).compat}
        except ConfigError as error:
            raise SettingError("ANTIPHON_CONFIG", path, str(error)) from None
        name = text(env, "ANTIPHON_COMPAT_SERVER", "")
        if name not in rows:
            known = ", ".join(rows) or "none; add one under `compat`"
            raise SettingError("ANTIPHON_COMPAT_SERVER", name, f"no such row in {path}; there are: {known}")
        row = rows[name]
        return cls(_dialect(row), ring_from_reference(row.api_key, env, f"compat[{name}].api_key"))

    def adapter(self, settings: ServiceSettings) -> OpenAIChatAdapter:
        """The provider of that row."""
        return OpenAIChatAdapter(self.dialect, self.keys, connect_timeout_s=settings.connect_timeout_s)


def _dialect(row: suite_pb2.CompatServer) -> Dialect:
    return replace(
        COMPATIBLE,
        name=row.name,
        base_url=row.base_url.rstrip("/"),
        max_tokens_field=row.max_tokens_field or COMPATIBLE.max_tokens_field,
        stream_usage=row.stream_usage if row.HasField("stream_usage") else COMPATIBLE.stream_usage,
    )
