"""Owns the bugs about provider keys in a secret store."""

from typing import Final

from antiphon_harness.sabotage import Edit, Saboteur

_KIT: Final = "antiphon_kit"

SABOTEURS: Final[tuple[Saboteur, ...]] = (
    Saboteur(
        name="newest_key_at_once",
        what="whatever was written last is in service, whether or not the provider takes it",
        goal="G19",
        shipped="readers of `latest`: litellm #22247, #22309, #35856 are about the same moment",
        edits=(
            Edit(
                _KIT,
                "        self._end_trial()\n        self._bad |= {",
                "        return {max(alive): Staged(Stage.CURRENT, 1.0)}\n        self._bad |= {",
            ),
            Edit(
                _KIT,
                "        stages = vault_documents.stages_of(document, path)\n",
                "        stages = slot.plan_alone([max(vault_documents.stages_of(document, path))])\n",
            ),
        ),
    ),
    Saboteur(
        name="refused_key_stays",
        what="a candidate that the provider refuses goes on getting its share",
        goal="G19",
        edits=(
            Edit(
                _KIT,
                "        elif version.stage is Stage.CANDIDATE:\n            self.roll_back(",
                "        elif version.stage is Stage.CANDIDATE:\n            return error\n            self.roll_back(",
            ),
        ),
    ),
    Saboteur(
        name="revoked_key_returns",
        what="a version that was revoked is used again when the document says so",
        goal="G20",
        edits=(
            Edit(_KIT, "        return number in self._revoked\n", "        return False\n"),
            Edit(_KIT, "            if version.number in self._revoked:\n", "            if False:\n"),
        ),
    ),
    Saboteur(
        name="push_does_not_look",
        what="who is told to look into the store waits for its next turn",
        goal="G20",
        edits=(Edit(_KIT, "            await self._ring.poll()\n", "            pass\n"),),
    ),
    Saboteur(
        name="store_on_the_event_loop",
        what="the store is asked on the event loop, so a frozen one stops all calls",
        goal="G21",
        shipped="hvac is synchronous, with 30 s to wait by default",
        edits=(
            Edit(
                _KIT,
                "        return await asyncio.get_running_loop().run_in_executor(self._thread, work)\n\n"
                "    async def _look",
                "        return work()\n\n    async def _look",
            ),
        ),
    ),
    Saboteur(
        name="stale_keys_for_ever",
        what="a key that nobody confirms is never out of use",
        goal="G21",
        edits=(
            Edit(
                _KIT,
                "        return self.max_staleness_s is not None and now_s - self.confirmed_s "
                ">= self.max_staleness_s\n",
                "        return False\n",
            ),
        ),
    ),
    Saboteur(
        name="no_new_login",
        what="a token that ended is used on",
        goal="G22",
        edits=(
            Edit(
                _KIT,
                "            if trouble.kind is not Trouble.DENIED or self._token_lives():\n                raise\n",
                "            raise\n",
            ),
        ),
    ),
    Saboteur(
        name="login_per_read",
        what="every look into the store begins with a login",
        goal="G22",
        shipped="hvac issue trackers: token renewal is left to the caller",
        edits=(
            Edit(
                _KIT,
                "        if not self._hvac.token or (self._expires_s and now_s >= self._expires_s):\n",
                "        if True:\n",
            ),
        ),
    ),
    Saboteur(
        name="key_in_the_message",
        what="the message for the caller repeats what the provider said, key and all",
        goal="G24",
        shipped="OpenAI's own 401 shows the key; gateways have passed it on",
        edits=(
            Edit(
                _KIT,
                "        found = verdict(error.reason, error.http_status, version.stage)\n",
                "        found = verdict(error.reason, error.http_status, version.stage)\n"
                "        error.message += f' ({version.secret.reveal()})'\n",
            ),
        ),
    ),
)
