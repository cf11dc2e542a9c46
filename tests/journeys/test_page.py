"""The page in a browser, with sessions in states that a test writes: reloads, tabs, words, sizes."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, WebSocketRoute, expect

from tests.deployments import Deployment, production_deployment
from tests.journeys.conftest import DEPLOYMENTS
from tests.journeys.steps import OTHER_SALON, SALON, Salon, add_salon, press_connect, qr_from_pixels
from tests.processes import wait_until
from tests.server import temporary_folder
from tests.servers import start_redis

QR = "https://wa.me/settings/linked_devices#2@ref{n},bm9pc2U=,aWRlbnRpdHk=,c2VjcmV0,1"
LINKED: dict[str, Any] = {"jid": "79990001122:1@s.whatsapp.net", "phone": "79990001122"}


@pytest.fixture(scope="module")
def web(make_database: Callable[[], str]) -> Iterator[Deployment]:
    """Only the web process runs, for all these tests: what a pool would do is written by each."""
    with ExitStack() as stack:
        system = production_deployment(
            folder=temporary_folder("yclients-whatsapp-journey"),
            database_url=make_database(),
            redis_url=stack.enter_context(start_redis()).url,
            forked=True,
            WS_CONNECTS_PER_MINUTE="1000",
        )
        stack.callback(system.close)
        system.start("web")
        add_salon(system, SALON)
        add_salon(system, OTHER_SALON)
        yield system


@pytest.fixture
def system(web: Deployment, request: pytest.FixtureRequest) -> Deployment:
    """The running web process, and nobody has come yet."""
    request.node.stash.setdefault(DEPLOYMENTS, []).append(web)
    web.query("TRUNCATE marketplace_company, whatsapp_session, whatsapp_pool CASCADE")
    beat = datetime.now(UTC) + timedelta(hours=1)
    web.query(
        "INSERT INTO whatsapp_pool (name, started_at, heartbeat_at, capacity, sessions, hosts, rss_bytes,"
        " own_rss_bytes, engine_hosts) VALUES ('test', %s, %s, 1, 0, 0, 0, 0, '[]')",
        beat,
        beat,
    )
    return web


def write(system: Deployment, salon: Salon = SALON, **columns: Any) -> None:
    """Change the salon's session as a pool does; the page notices by polling the row.

    A pool takes only sessions that are wanted: the owner's click may still be on its way to the server.
    """
    wait_until(lambda: _is_wanted(system, salon), "the page has asked for the link", seconds=20)
    assigned = ", ".join(f"{name} = %s" for name in columns)
    system.query(
        f"UPDATE whatsapp_session SET {assigned}, version = version + 1 WHERE id ="  # noqa: S608
        " (SELECT session_id FROM marketplace_company WHERE salon_id = %s)",
        *columns.values(),
        salon.id,
    )


def _is_wanted(system: Deployment, salon: Salon) -> bool:
    found = system.query(
        "SELECT wanted FROM whatsapp_session WHERE id ="
        " (SELECT session_id FROM marketplace_company WHERE salon_id = %s)",
        salon.id,
    )
    return found == [("linked",)]


def show_qr(system: Deployment, n: int = 1, salon: Salon = SALON) -> None:
    from whatsapp.crypto.encryption import encrypt

    expires = datetime.now(UTC) + timedelta(seconds=60)
    write(system, salon, status="qr", qr=encrypt(QR.format(n=n).encode()).decode(), qr_expires_at=expires)


def show_code(system: Deployment) -> None:
    from whatsapp.crypto.encryption import encrypt

    expires = datetime.now(UTC) + timedelta(seconds=50)
    code = encrypt(b"6R4J-8Q3R").decode()
    write(system, status="pairing_code", pairing_code=code, pairing_code_expires_at=expires)


def close_sockets(page: Page, code: int) -> None:
    """Every WebSocket of the page is closed with this code, as the server would close it."""

    def close(socket: WebSocketRoute) -> None:
        socket.close(code=code)

    page.route_web_socket("**/*", close)


def test_a_reload_goes_on_and_the_address_holds_no_token(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system, SALON)
    expect(desktop_page).to_have_url(f"{system.url}/marketplace/onboarding#company_{SALON.id}")
    show_qr(system, 7)
    assert qr_from_pixels(desktop_page) == QR.format(n=7)
    desktop_page.reload()
    assert qr_from_pixels(desktop_page) == QR.format(n=7)
    expect(desktop_page).to_have_url(f"{system.url}/marketplace/onboarding#company_{SALON.id}")


def test_no_code_is_asked_for_before_the_salon_is_confirmed(system: Deployment, desktop_page: Page) -> None:
    page = desktop_page
    page.goto(system.yclients.press_connect(SALON.id))
    expect(page.get_by_role("heading", name="Подключить WhatsApp этого салона?")).to_be_visible()
    expect(page.locator("#qr")).to_be_hidden()
    # The salon's name comes a moment after the page; until then it is a number.
    system.query("UPDATE marketplace_company SET title = 'Салон Анны' WHERE salon_id = %s", SALON.id)
    expect(page.locator("#confirm-salon")).to_have_text("Салон Анны")
    wanted = "SELECT wanted, pairing_requested_at FROM whatsapp_session"
    assert system.query(wanted) == [("stopped", None)]
    page.locator("#confirm").click()
    expect(page.locator("#panel-link")).to_be_visible()
    page.reload()
    expect(page.locator("#panel-link")).to_be_visible()


def test_two_salons_in_two_tabs_stay_apart(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system, SALON)
    other = desktop_page.context.new_page()
    press_connect(other, system, OTHER_SALON)
    for page in (desktop_page, other):
        page.reload()
    show_qr(system, salon=OTHER_SALON)
    expect(other.locator("#qr svg")).to_be_visible()
    expect(desktop_page.locator("#qr svg")).to_have_count(0)
    expect(desktop_page).to_have_url(re.compile(f"#company_{SALON.id}$"))


def test_the_page_asks_nobody_else_and_breaks_no_rule_of_its_own(
    system: Deployment, desktop_page: Page
) -> None:
    complaints: list[str] = []
    asked: list[Request] = []

    def collect(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    press_connect(desktop_page, system, SALON)
    desktop_page.on("console", collect)
    desktop_page.on("pageerror", lambda error: complaints.append(str(error)))
    desktop_page.on("request", lambda request: asked.append(request))
    press_connect(desktop_page, system, SALON)
    show_qr(system)
    expect(desktop_page.locator("#qr svg")).to_be_visible()
    write(system, status="connected", qr="", **LINKED)
    expect(desktop_page.locator("#panel-activate")).to_be_visible()
    assert complaints == []
    hosts = {request.url.split("/")[2] for request in asked} - {system.yclients.url.split("/")[2]}
    assert hosts == {system.url.split("/")[2]}


def test_a_phone_is_offered_the_code_first(system: Deployment, phone_page: Page) -> None:
    press_connect(phone_page, system, SALON)
    expect(phone_page.get_by_label("Номер WhatsApp на телефоне салона")).to_be_visible()
    phone_page.get_by_role("button", name="Получить код").click()
    expect(phone_page.locator("#phone-error")).to_have_text("Сначала укажите номер телефона.")
    phone_page.get_by_label("Номер WhatsApp").fill("12")
    phone_page.get_by_role("button", name="Получить код").click()
    expect(phone_page.locator("#phone-error")).to_contain_text("Это не похоже на номер телефона")
    phone_page.get_by_label("Номер WhatsApp").fill("8 999 000-11-22")
    phone_page.get_by_role("button", name="Получить код").click()
    expect(phone_page.locator("#get-code")).to_be_disabled()
    show_code(system)
    expect(phone_page.locator("#code")).to_contain_text("6R4J-8Q3R")
    expect(phone_page.locator("#code-for")).to_have_text("Код для номера +7 999 000-11-22")
    phone_page.get_by_role("button", name="Скопировать код").click()
    expect(phone_page.get_by_role("button", name="Скопировано")).to_be_visible()
    expect(phone_page.locator("#copied")).to_contain_text("Код скопирован")
    phone_page.get_by_role("radio", name="QR-код").check()
    expect(phone_page.locator("#way-qr")).to_be_visible()


def test_a_keyboard_switches_and_asks(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system, SALON)
    desktop_page.get_by_role("radio", name="QR-код").focus()
    desktop_page.keyboard.press("ArrowRight")
    expect(desktop_page.locator("#way-code")).to_be_visible()
    desktop_page.keyboard.press("Tab")
    desktop_page.keyboard.type("12")
    desktop_page.keyboard.press("Enter")
    expect(desktop_page.locator("#phone-error")).to_be_visible()


def test_each_end_is_told_with_a_next_step(system: Deployment, desktop_page: Page) -> None:
    press_connect(desktop_page, system, SALON)
    write(system, status="conflict", **LINKED)
    expect(desktop_page.locator("#trouble-title")).to_have_text("WhatsApp подключён в другом месте")
    expect(desktop_page.locator("#trouble-title")).to_be_focused()
    expect(desktop_page.get_by_role("button", name="Использовать здесь снова")).to_be_visible()
    write(system, status="failed", trouble="outdated")
    expect(desktop_page.locator("#trouble-text")).to_contain_text("сначала нужно обновить нашу программу")
    expect(desktop_page.get_by_role("button", name="Подключить снова")).to_be_visible()
    write(system, status="banned", banned_until=datetime.now(UTC) + timedelta(days=1))
    expect(desktop_page.locator("#trouble-text")).to_contain_text("WhatsApp ограничил этот номер до")
    write(system, status="connected")
    system.query("UPDATE marketplace_company SET status = 'activation_failed' WHERE salon_id = %s", SALON.id)
    expect(desktop_page.get_by_role("button", name="Попробовать ещё раз")).to_be_visible()
    system.query("UPDATE marketplace_company SET status = 'frozen' WHERE salon_id = %s", SALON.id)
    expect(desktop_page.locator("#trouble-title")).to_have_text("Приложение приостановлено")
    system.query("UPDATE marketplace_company SET status = 'uninstalled' WHERE salon_id = %s", SALON.id)
    expect(desktop_page.locator("#trouble-title")).to_have_text("Приложение удалено")


def test_a_link_that_dies_right_after_pairing_says_why_and_offers_the_next_code(
    system: Deployment, phone_page: Page
) -> None:
    press_connect(phone_page, system, SALON)
    show_qr(system)
    system.query(
        "UPDATE marketplace_company SET status = 'active', api_key = 'k', api_key_digest = 'd'"
        " WHERE salon_id = %s",
        SALON.id,
    )
    write(system, status="connected", qr="", connected_at=datetime.now(UTC), **LINKED)
    expect(phone_page.locator("#panel-done")).to_be_visible()
    expect(phone_page.locator("#done-settling")).to_contain_text("Привязка проверяется одну минуту")
    write(system, status="reconnecting", trouble="network")
    expect(phone_page.locator("#done-text")).to_contain_text("Связь прервалась сразу после привязки")
    expect(phone_page.locator("#done-title")).to_have_text("WhatsApp сейчас не на связи")
    write(system, status="logged_out", jid="", phone="", trouble="died_early")
    expect(phone_page.locator("#panel-link")).to_be_visible()
    expect(phone_page.locator("#lost-link")).to_contain_text("оборвалась сразу после создания")
    show_qr(system, 2)
    phone_page.get_by_role("radio", name="QR-код").check()
    expect(phone_page.locator("#qr svg")).to_be_visible()
    expect(phone_page.locator("#lost-link")).to_be_visible()
    write(system, status="connected", qr="", trouble="", stable_at=datetime.now(UTC), **LINKED)
    expect(phone_page.locator("#panel-done")).to_be_visible()
    expect(phone_page.locator("#done-settling")).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "place", "words"),
    [
        (4401, "#trouble-title", "Срок действия ссылки истёк"),
        (4403, "#notice", "Страница открыта с незнакомого нам адреса"),
        (4429, "#notice", "Страницу открывали слишком часто"),
    ],
)
def test_a_refused_channel_is_explained(
    system: Deployment, desktop_page: Page, code: int, place: str, words: str
) -> None:
    close_sockets(desktop_page, code)
    press_connect(desktop_page, system, SALON)
    expect(desktop_page.locator(place)).to_contain_text(words)


def test_silence_is_said_after_thirty_polls(system: Deployment, desktop_page: Page) -> None:
    close_sockets(desktop_page, 1011)
    desktop_page.clock.install()
    press_connect(desktop_page, system, SALON)
    again = desktop_page.get_by_role("button", name="Проверить ещё раз")
    for _ in range(60):
        with desktop_page.expect_response("**/marketplace/api/status/*"):
            desktop_page.clock.run_for(1000)
        if again.is_visible():
            break
    expect(desktop_page.locator("#notice")).to_contain_text("Новостей давно не было")
    again.click()
    show_qr(system)
    with desktop_page.expect_response("**/marketplace/api/status/*"):
        desktop_page.clock.run_for(3000)
    expect(desktop_page.locator("#qr svg")).to_be_visible()
    expect(again).to_be_hidden()


def test_the_language_can_be_switched_and_is_kept(system: Deployment, open_page: Callable[..., Page]) -> None:
    page = open_page(locale="en-GB")
    press_connect(page, system, SALON)
    expect(page.get_by_role("heading", name="Linking WhatsApp")).to_be_visible()
    page.get_by_role("button", name="Русский").click()
    expect(page.get_by_role("heading", name="Подключение WhatsApp")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Подключение WhatsApp")).to_be_visible()
    show_qr(system)
    expect(page.locator("#qr-left")).to_contain_text("Код действует ещё")


def test_a_browser_that_lets_no_page_copy_says_how_to(system: Deployment, phone_page: Page) -> None:
    press_connect(phone_page, system, SALON)
    phone_page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()) }")
    phone_page.evaluate("() => { document.execCommand = () => false }")
    show_code(system)
    phone_page.locator("#code").click()
    expect(phone_page.locator("#copied")).to_contain_text("Нажмите на код, удерживайте")


@pytest.mark.parametrize(("locale", "width"), [("ru-RU", 320), ("en-GB", 375), ("es-ES", 1280)])
def test_the_steps_on_the_phone_are_drawn_and_their_words_fit(
    system: Deployment, open_page: Callable[..., Page], locale: str, width: int
) -> None:
    page = open_page(locale=locale)
    page.set_viewport_size({"width": width, "height": 800})
    press_connect(page, system, SALON)
    for way, figures in (("qr", 4), ("code", 5)):
        page.locator(f"input[name=way][value={way}]").check()
        assert page.locator(f"#way-{way} .figures svg").count() == figures
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        outside = page.evaluate(
            "way => [...document.querySelectorAll(`#way-${way} .figures svg`)].filter(svg => {"
            " const figure = svg.getBoundingClientRect();"
            " const drawn = svg.firstElementChild.getBoundingClientRect();"
            " return figure.width < 90 || drawn.left < figure.left - 3 || drawn.right > figure.right + 3"
            "}).length",
            way,
        )
        assert outside == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_runs_out_of_the_screen(system: Deployment, desktop_page: Page, width: int) -> None:
    desktop_page.set_viewport_size({"width": width, "height": 800})
    press_connect(desktop_page, system, SALON)
    show_qr(system)
    for way in ("По номеру", "QR-код"):
        desktop_page.get_by_role("radio", name=way).check()
        assert desktop_page.evaluate("document.documentElement.scrollWidth") <= width
    small = desktop_page.evaluate(
        "[...document.querySelectorAll('button, .button, .switch label, input.field')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
    )
    assert small == []
