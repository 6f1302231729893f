"""Owns the bugs about processes and connections."""

from typing import Final

from antiphon_harness.sabotage import Edit, Saboteur

_ROUTER: Final = "antiphon_router"
_KIT: Final = "antiphon_kit"

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    Saboteur(
        name="no_ping_timeout",
        what="channels without grpc.http2.ping_timeout_ms: a frozen peer is kept for a minute",
        goal="G03",
        shipped="grpc/grpc PR 34647 changed the default",
        edits=(Edit(_KIT, '("grpc.http2.ping_timeout_ms", timeout_ms),', ""),),
    ),
    Saboteur(
        name="misspelled_ping_option",
        what="the macro's name instead of the option's: the server counts pings as abuse",
        goal="G03",
        shipped="grpc ignores unknown options without a word",
        edits=(
            Edit(
                _KIT,
                '("grpc.http2.min_ping_interval_without_data_ms", min_ping_interval_ms)',
                '("grpc.http2.min_recv_ping_interval_without_data_ms", min_ping_interval_ms)',
            ),
        ),
    ),
    Saboteur(
        name="early_headers",
        what="the start of an answer leaves before its first token and binds the call to a replica",
        goal="G02",
        shipped="gRFC A6: response headers commit a call",
        edits=(
            Edit(_KIT, "if self._content and self._frame.events:", "if self._frame.events:"),
            Edit(_KIT, "        if content:\n            resolve(self._writer)", "        resolve(self._writer)"),
        ),
    ),
    Saboteur(
        name="dead_replica_stays",
        what="a replica whose connection is lost stays in rotation",
        goal="G01",
        shipped="pick_first ignores health",
        edits=(
            Edit(
                _ROUTER,
                "roster.unreachable(self.replica, retry_s,",
                "_untold = (self.replica, retry_s,",
            ),
            Edit(
                _ROUTER,
                'Rule("replica_lost", _R.UPSTREAM_UNREACHABLE, Same.REPLICA, Other.ALWAYS, Scope.REPLICA',
                'Rule("replica_lost", _R.UPSTREAM_UNREACHABLE, Same.REPLICA, Other.ALWAYS, None',
            ),
            # Without this the balance alone would keep calls away.
            Edit(_ROUTER, "observe(load, max(FAILURE_S, elapsed_s), now)", "observe(load, elapsed_s, now)"),
        ),
    ),
    Saboteur(
        name="no_slow_start",
        what="what comes back gets its full share at once",
        goal="G03",
        edits=(Edit(_ROUTER, "if self.state is not State.SLOW_START:\n            return 1.0", "return 1.0"),),
    ),
    Saboteur(
        name="drain_cuts_streams",
        what="SIGTERM ends running streams at once",
        goal="G16",
        shipped="litellm #14334",
        edits=(Edit(_KIT, "self._server.stop(self._grace_s)", "self._server.stop(0)"),),
    ),
    Saboteur(
        name="replica_failure_is_final",
        what="a call whose replica dies before the first token is not made again",
        goal="G01",
        edits=(
            Edit(
                _ROUTER,
                "_R.UPSTREAM_UNREACHABLE, Same.REPLICA, Other.ALWAYS",
                "_R.UPSTREAM_UNREACHABLE, Same.NEVER, Other.NEVER",
            ),
        ),
    ),
)
