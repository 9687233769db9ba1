"""The HTTP API against its own description, by schemathesis: every answer is one that the description names.

The app does not publish the description; it is asked for one here.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from worldloom.streamer.tokens import Claims, Tokens

from .conftest import Client, Running, Serve
from .noise import changed_sdp
from .test_hostility import real_offers

SECRET = "a secret that is only good for this test"
FRAGMENT = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n"
EXAMPLES = [15, pytest.param(500, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]


def teach(offers: list[str]) -> None:
    """How bodies of our types look: some as they should be, some changed, some anything."""

    def like(samples: list[str]) -> st.SearchStrategy[str]:
        changed = st.integers(0, 2**32).map(lambda seed: changed_sdp(random.Random(seed), samples))
        return st.one_of(st.sampled_from(samples), changed, st.text(max_size=200))

    for kind, samples in (("application/sdp", offers), ("application/trickle-ice-sdpfrag", [FRAGMENT])):
        strategy = like(samples).map(lambda text: text.encode("utf-8", "replace"))
        schemathesis.openapi.media_type(kind, strategy)
        schemathesis.serializer(kind)(lambda _, value: value)


def fuzz(server: Running, examples: int, aims: dict[str, str], tokens: list[str]) -> dict[str, set[int]]:
    """Statuses by operation."""
    schema = schemathesis.openapi.from_dict(server.app.openapi())
    seen: dict[str, set[int]] = {}
    failures: list[FailureGroup] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        try:
            seen[operation.label] = fuzz_one(operation, server.url, examples, aims, tokens)
        except FailureGroup as failure:
            failures.append(failure)
    assert not failures, "\n".join(str(failure) for group in failures for failure in group.exceptions)
    return seen


def fuzz_one(operation: Any, url: str, examples: int, aims: dict[str, str], tokens: list[str]) -> set[int]:
    """Statuses of many requests. Some are aimed at a real session or file, and some bear a real token."""
    statuses: set[int] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), aimed=st.booleans(), token=st.sampled_from([None, *tokens]))
    def one(case: Any, aimed: bool, token: str | None) -> None:
        if aimed:
            case.path_parameters = {name: aims.get(name, value) for name, value in case.path_parameters.items()}
            token = tokens[-1] if "session" in case.path_parameters else token
        if token is not None:
            case.headers = {**(case.headers or {}), "authorization": f"Bearer {token}"}
        answer = case.call(base_url=url)
        statuses.add(answer.status_code)
        # Some bodies are wrong on purpose, and 503 is an answer with a name: too many watch. 500 is looked for below.
        case.validate_response(answer, excluded_checks=[positive_data_acceptance, not_a_server_error])

    one()
    return statuses


async def listen(client: Client) -> None:
    """Take what comes for minutes: a client that does not would not see that the server answers its pings."""
    while True:
        await client.socket.recv()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")  # schemathesis draws by `random`
@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("auth", ["off", "on"])
async def test_every_answer_is_one_that_the_description_names(serve: Serve, auth: str, examples: int) -> None:
    teach(await real_offers())
    token = Tokens(SECRET).sign(Claims(role="admin", exp=int(time.time()) + 3600))
    async with serve(auth=auth, secret=SECRET, images={"at_once": 1}, lease_timeout=0.5) as server:
        async with server.client() as client:
            welcome = await client.hello(token=token)
            aims = {"session": welcome["session"], "folder": "js", "name": "view.js"}
            listening = asyncio.create_task(listen(client))
            seen = await asyncio.to_thread(fuzz, server, examples, aims, [token, welcome["watch"]])
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await client.send("ping", t=1)
            await client.expect("pong")
            await client.send("bye")
        await server.freed()
        await server.until(lambda: len(server.state.whep) == 0)
    assert not [label for label, statuses in seen.items() if 500 in statuses]
    assert 201 in seen["POST /v1/images"]
    assert {201, 503} & seen["POST /v1/sessions"]  # an overloaded machine lets nobody in
    assert {201, 401, 404} <= seen["POST /whep/{session}"]
    assert {200, 404} <= seen["GET /{folder}/{name}"]
    assert (401 in seen["GET /metrics"]) == (auth == "on")
