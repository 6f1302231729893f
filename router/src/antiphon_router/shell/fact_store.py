"""Owns how facts and leases are kept in Redis: a key per fact with its expiry, news by pub/sub, a key per lease.

    {name}:fact:{SCOPE}:{id}    JSON of the fact, PX = how long it still holds; a shorter one never replaces it
    {name}:lease:{SCOPE}:{id}   the router whose probe is out, PX
    {name}:news                 "look at that fact", or "it is over"

How long a fact still holds is asked of Redis when the fact is read (PTTL): one clock, and no delay on the way makes
it longer. Every command has 250 ms; a store that is slower counts as lost.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from antiphon_kit.secrets import SecretSource
from antiphon_router.core.facts import Fact
from antiphon_router.core.values import Cause, Scope, State, TargetKey

TIMEOUT_S: Final = 0.25
POLL_S: Final = 1.0
FAILURES: Final = (RedisError, OSError)
"""What its methods raise when the store is lost."""

_MAX_RULE_CHARS: Final = 64
_PUT: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return redis.call('PUBLISH', ARGV[3], ARGV[4])
"""
_LEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] or not redis.call('GET', KEYS[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 0
end
return redis.call('PTTL', KEYS[1])
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class News(NamedTuple):
    """Something is new about `key`; `over`: it is DISABLED no more."""

    key: TargetKey
    over: bool


class FactStore:
    """The Redis at `url`, for the body of an `async with`. `own` tells this router from the others of `name`."""

    def __init__(self, url: str, name: str, own: str, password: SecretSource | None = None) -> None:
        self._url = urlsplit(url)
        self._name = name
        self._own = own
        self._password = password
        self._redis: Any = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect. Raises one of FAILURES, or CallFailure for want of a password."""
        secret = await self._password.current() if self._password is not None else None
        self._redis = Redis(
            host=self._url.hostname or "",
            port=self._url.port or 6379,
            db=int(self._url.path.strip("/") or 0),
            password=secret.reveal() if secret is not None else None,
            ssl=self._url.scheme == "rediss",
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=True,
        )
        self._open.push_async_callback(self._redis.aclose)
        try:
            await _heeding_cancel(self._redis.ping())
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def put(self, fact: Fact) -> None:
        """Tell everyone."""
        value = {"state": fact.state, "cause": fact.cause, "rule": fact.rule, "by": self._own}
        left_ms = max(1, int(fact.left_s * 1000))
        words = (self._key("fact", fact.key), json.dumps(value), left_ms, self._channel, self._news(fact.key))
        await _heeding_cancel(self._redis.eval(_PUT, 1, *words))

    async def drop(self, key: TargetKey) -> None:
        """What was told of `key` is over."""
        await _heeding_cancel(self._redis.delete(self._key("fact", key)))
        await _heeding_cancel(self._redis.publish(self._channel, self._news(key, over=True)))

    async def read(self, key: TargetKey) -> Fact | None:
        """What others have told of `key` and still holds."""
        name = self._key("fact", key)
        async with self._redis.pipeline(transaction=True) as pipe:
            value, left_ms = await _heeding_cancel(pipe.get(name).pttl(name).execute())
        return _fact(key, value, left_ms, self._own)

    async def present(self) -> list[Fact]:
        """All that others have told and still holds."""
        prefix = self._key("fact", None)
        found = []
        async with aclosing(self._redis.scan_iter(match=f"{_literal(prefix)}*", count=500)) as names:
            async for name in names:
                key = _target(*name.removeprefix(prefix).partition(":")[::2])
                fact = await self.read(key) if key is not None else None
                if fact is not None:
                    found.append(fact)
        return found

    async def news(self, subscribed: Callable[[], None]) -> AsyncGenerator[News, None]:
        """What others tell from now on; `subscribed` is called once nothing is missed any more."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await _heeding_cancel(pubsub.subscribe(self._channel))
            subscribed()
            while True:
                message = await _heeding_cancel(pubsub.get_message(timeout=POLL_S))
                told = _news(message["data"], self._own) if message else None
                if told is not None:
                    yield told

    async def ping(self) -> None:
        """Whether it still answers; raises one of FAILURES if not."""
        await _heeding_cancel(self._redis.ping())

    async def lease(self, key: TargetKey, hold_s: float) -> float:
        """Take or keep the lease of `key` for `hold_s`: 0.0, or how many seconds another one still has it."""
        words = (self._key("lease", key), self._own, max(1, int(hold_s * 1000)))
        left_ms = await _heeding_cancel(self._redis.eval(_LEASE, 1, *words))
        return max(0.0, float(left_ms) / 1000)

    async def release(self, key: TargetKey) -> None:
        """Give the lease of `key` back, if it is ours."""
        await _heeding_cancel(self._redis.eval(_RELEASE, 1, self._key("lease", key), self._own))

    @property
    def _channel(self) -> str:
        return f"{self._name}:news"

    def _key(self, kind: str, key: TargetKey | None) -> str:
        return f"{self._name}:{kind}:" + (f"{key.scope}:{key.id}" if key else "")

    def _news(self, key: TargetKey, *, over: bool = False) -> str:
        return json.dumps({"scope": key.scope, "id": key.id, "by": self._own, "over": over})


async def _heeding_cancel(command: Awaitable[Any]) -> Any:
    """The result of `command`. Raises CancelledError if the task was cancelled meanwhile.

    Python 3.11's wait_for, on which the client is built, loses a cancel that comes together with the result
    (https://github.com/python/cpython/issues/86296, seen 2026-11); the task would go on for ever.
    """
    result = await command
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return result


def _literal(text: str) -> str:
    """`text` for a pattern; names of suites have no special characters, and stay that way here."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)


def _target(scope: str, name: str) -> TargetKey | None:
    if not name or scope not in Scope.__members__:
        return None
    return TargetKey(Scope(scope), name)


def _fact(key: TargetKey, value: str | None, left_ms: int, own: str) -> Fact | None:
    """The fact in `value`; None for none, for our own, and for what a newer router may tell."""
    if value is None or left_ms <= 0:
        return None
    try:
        told = json.loads(value)
        if told["by"] == own:
            return None
        state, cause, rule = State(told["state"]), Cause(told["cause"]), str(told["rule"])[:_MAX_RULE_CHARS]
    except (ValueError, KeyError, TypeError):
        return None
    return Fact(key, state, cause, rule, left_ms / 1000)


def _news(data: str, own: str) -> News | None:
    try:
        told = json.loads(data)
        key = None if told["by"] == own else _target(str(told["scope"]), str(told["id"]))
        return News(key, told["over"] is True) if key is not None else None
    except (ValueError, KeyError, TypeError):
        return None
