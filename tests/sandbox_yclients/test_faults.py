"""Each fault does what it says, as often as asked."""

from __future__ import annotations

import time

import aiohttp
import pytest

from sandbox.yclients import InstallStatus, SandboxYClients
from sandbox.yclients.faults import FaultError

from .conftest import SALON, Client

COMPANY = f"/api/v1/company/{SALON}"


@pytest.mark.parametrize("kind", ["500", "503", "403", "422", "429"])
async def test_an_error_is_played_for_the_asked_number_of_requests(
    yclients: SandboxYClients, client: Client, kind: str
) -> None:
    yclients.fault(kind, endpoint="company", times=2, seconds=7)
    answers = [await client.get(COMPANY) for _ in range(3)]
    assert [answer.status for answer in answers] == [int(kind), int(kind), 200]
    assert answers[0].body["success"] is False
    assert answers[0].headers.get("Retry-After") == ("7" if kind == "429" else None)


async def test_a_fault_leaves_other_endpoints_alone(yclients: SandboxYClients, client: Client) -> None:
    yclients.fault("500", endpoint="activation")
    yclients.press_connect(SALON)
    assert (await client.get(COMPANY)).status == 200
    assert (await client.activate()).status == 500
    assert yclients.installation(SALON).status is InstallStatus.PENDING


async def test_already_installed_is_said_in_yclients_words(yclients: SandboxYClients, client: Client) -> None:
    yclients.fault("403", endpoint="callback_redirect")
    yclients.press_connect(SALON)
    answer = await client.activate()
    assert answer.body["meta"]["message"] == "Пользователь уже установил это приложение."


@pytest.mark.parametrize("kind", ["slow", "slow_answer"])
async def test_a_slow_request_still_takes_effect(
    yclients: SandboxYClients, client: Client, kind: str
) -> None:
    yclients.fault(kind, seconds=0.1)
    yclients.press_connect(SALON)
    started = time.monotonic()
    assert (await client.activate()).status == 301
    assert time.monotonic() - started >= 0.1
    assert yclients.installation(SALON).activations == 1


@pytest.mark.parametrize(
    ("kind", "status"), [("drop_before", InstallStatus.PENDING), ("drop_after", InstallStatus.ACTIVE)]
)
async def test_a_lost_answer_may_or_may_not_have_had_its_effect(
    yclients: SandboxYClients, client: Client, kind: str, status: InstallStatus
) -> None:
    yclients.fault(kind, endpoint="activation")
    yclients.press_connect(SALON)
    with pytest.raises(aiohttp.ClientError):
        await client.activate()
    assert yclients.installation(SALON).status is status
    (call,) = yclients.journal.calls()
    assert (call.status, call.fault) == (None, kind)


async def test_down_cuts_everything_until_it_is_lifted(yclients: SandboxYClients, client: Client) -> None:
    planned = (await client.post("/control/faults", {"kind": "down"})).body
    for _ in range(3):
        with pytest.raises(aiohttp.ClientError):
            await client.get(COMPANY)
    assert (await client.call("DELETE", f"/control/faults/{planned['id']}")).body == {"lifted": 1}
    assert (await client.get(COMPANY)).status == 200


async def test_planned_faults_are_listed_and_lifted_together(
    yclients: SandboxYClients, client: Client
) -> None:
    yclients.fault("500", times=3)
    yclients.fault("503", until_lifted=True)
    listed = (await client.get("/control/faults")).body["faults"]
    assert [(fault["kind"], fault["times"]) for fault in listed] == [("500", 3), ("503", None)]
    assert (await client.call("DELETE", "/control/faults")).body == {"lifted": 2}


def test_an_impossible_fault_is_refused(yclients: SandboxYClients) -> None:
    for kind, endpoint, times in (("explode", "*", 1), ("500", "nowhere", 1), ("500", "*", 0)):
        with pytest.raises(FaultError):
            yclients.fault(kind, endpoint=endpoint, times=times)
