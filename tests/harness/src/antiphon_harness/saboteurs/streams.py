"""Owns the bugs about answers: their progress, their end, their price."""

from typing import Final

from antiphon_harness.sabotage import Edit, Saboteur

_ROUTER: Final = "antiphon_router"
_KIT: Final = "antiphon_kit"
_WIRES: Final = "antiphon_wires"

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    Saboteur(
        name="keep_alives_are_progress",
        what="every read of bytes resets the stall timer, comments and empty deltas too",
        goal="G04",
        shipped="envoy ai-gateway PR 2169 (idle timeout in bytes)",
        edits=(
            Edit(
                _KIT,
                "                if not item:\n                    continue\n",
                "                if not item:\n"
                "                    watchdog.progressed()\n                    continue\n",
            ),
            Edit(
                _WIRES,
                "                batch = stream.feed(data)\n",
                "                return stream.feed(data)\n",
            ),
        ),
    ),
    Saboteur(
        name="no_stall_timer",
        what="nothing watches the time between tokens",
        goal="G04",
        shipped="microsoft/amplifier #339 (hung for 8.7 h)",
        edits=(Edit(_KIT, "stall = self._progress + self._limits.between_events_s", "stall = self._progress + 1e6"),),
    ),
    Saboteur(
        name="done_is_finished",
        what="[DONE] without a finish reason counts as a whole answer",
        goal="G05",
        shipped="bifrost #5546",
        edits=(
            Edit(
                _WIRES,
                "        if not self.finished:\n            raise self._failures.cut(how)",
                "        if not self.finished and how != 'done':\n            raise self._failures.cut(how)",
            ),
            Edit(
                _KIT,
                "if raised is None and not task.cancelled() and self._witness.complete:",
                "if raised is None and not task.cancelled():",
            ),
        ),
    ),
    Saboteur(
        name="end_of_body_is_finished",
        what="a body that ends early counts as a whole answer",
        goal="G05",
        shipped="litellm #18229, #27967",
        edits=(
            Edit(
                _WIRES,
                "        if not self.finished:\n            raise self._failures.cut(how)",
                "        if not self.finished and how != 'eof':\n            raise self._failures.cut(how)",
            ),
            Edit(
                _KIT,
                "if raised is None and not task.cancelled() and self._witness.complete:",
                "if raised is None and not task.cancelled():",
            ),
        ),
    ),
    Saboteur(
        name="broken_stream_is_ok",
        what="a stream that breaks after content ends with OK",
        goal="G05",
        shipped="litellm #40404; portkey #1797",
        edits=(
            Edit(
                _KIT,
                "        await call.context.write(rest.SerializeToString())\n        if error is not None:\n"
                "            raise CallFailure(error)",
                "        await call.context.write(rest.SerializeToString())",
            ),
        ),
    ),
    Saboteur(
        name="repeated_after_content",
        what="a stream that broke after content is continued with a new answer from the start",
        goal="G02",
        shipped="aisix #882",
        edits=(
            Edit(
                _ROUTER,
                "            if wreck is not None:\n                await relay.failed(wreck)",
                "            if wreck is not None:\n                call.attempt_failed(running, wreck)",
            ),
        ),
    ),
    Saboteur(
        name="usage_lost_on_cut",
        what="an answer that was cut has no usage",
        goal="G05",
        shipped="litellm #14457, PR 30630; new-api #4168",
        edits=(
            Edit(
                _KIT,
                "        end.provider = self._provider if start is None else start.provider\n",
                "        end.provider = self._provider if start is None else start.provider\n"
                "        if error is not None:\n            return end\n",
            ),
        ),
    ),
    Saboteur(
        name="cancel_leaks_upstream",
        what="the upstream call goes on when its client has gone",
        goal="G06",
        shipped="litellm #17364, #37140",
        edits=(
            Edit(
                _KIT,
                "            self._task.cancel()\n            # Bounded",
                "            return\n            # Bounded",
            ),
        ),
    ),
    Saboteur(
        name="attempts_not_recorded",
        what="failed attempts are missing from the record, so costs cannot be explained",
        goal="G01",
        edits=(
            Edit(
                _ROUTER, "self.attempts[attempt.number] = failed_attempt(attempt, error, elapsed_s, wreck.end)", "pass"
            ),
        ),
    ),
)
