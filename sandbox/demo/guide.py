"""The page that leads through the demo, in front of the product's own ASGI application."""

import json
from pathlib import Path
from typing import Any

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from config.asgi import application as product
from config.shared.database import in_thread
from marketplace.models import Company
from sandbox.demo import state
from sandbox.whatsapp import Refused, SandboxWhatsApp
from sandbox.yclients import SandboxYClients
from whatsapp.sessions import services

# The number that YClients' stand-in suggests for notifications and bookings.
CLIENT_PHONE, CLIENT_NAME = "79990000000", "Иван"
ASKS = "Здравствуйте! Можно прийти на час позже?"
ANSWERS = {"/demo/ask": ASKS, "/demo/stop": "СТОП", "/demo/start": "СТАРТ"}
PAGE = Path(__file__).with_name("guide.html")
POLICY = (
    b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
)


class Guide:
    """Answers `/` and `/demo/…`; everything else is the product's, untouched."""

    def __init__(self) -> None:
        self._whatsapp: SandboxWhatsApp | None = None
        self._yclients: SandboxYClients | None = None
        self._salon_phone = ""

    def begin(self, *, whatsapp: SandboxWhatsApp, yclients: SandboxYClients, salon_phone: str) -> None:
        """Tell the guide where the stand-ins are and which phone is the salon's."""
        self._whatsapp, self._yclients, self._salon_phone = whatsapp, yclients, salon_phone
        known = {phone["phone"] for phone in whatsapp.list_phones()}
        for number, name in ((salon_phone, "Салон"), (CLIENT_PHONE, CLIENT_NAME)):
            if number not in known:
                whatsapp.create_phone(number, name)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http" and (scope["path"] == "/" or scope["path"].startswith("/demo/")):
            status, kind, body = await self._answer(scope["method"], scope["path"])
            headers = [
                (b"content-type", kind.encode()),
                (b"cache-control", b"no-store"),
                (b"content-security-policy", POLICY),
            ]
            await send(
                {"type": "http.response.start", "status": status, "headers": headers, "trailers": False}
            )
            await send({"type": "http.response.body", "body": body, "more_body": False})
            return
        await product(scope, receive, send)

    async def _answer(self, method: str, path: str) -> tuple[int, str, bytes]:
        if self._whatsapp is None or self._yclients is None:
            return 503, "text/plain; charset=utf-8", "Ещё запускается, обновите страницу.".encode()
        if (method, path) == ("GET", "/"):
            return 200, "text/html; charset=utf-8", PAGE.read_bytes()
        if (method, path) == ("GET", "/demo/state"):
            return _json(200, await self._state(self._whatsapp, self._yclients))
        if (method, path) == ("POST", "/demo/scan"):
            return await self._scan(self._whatsapp)
        if method == "POST" and path in ANSWERS:
            return self._answer_as_client(self._whatsapp, ANSWERS[path])
        return _json(404, {"error": "Здесь ничего нет."})

    async def _state(self, whatsapp: SandboxWhatsApp, yclients: SandboxYClients) -> dict[str, Any]:
        return {
            "marketplace_url": yclients.url,
            "phone_url": whatsapp.control_url,
            "salon_phone": self._salon_phone,
            "client_phone": CLIENT_PHONE,
            "salons": await in_thread(state.salons),
            "messages": await in_thread(state.talk, CLIENT_PHONE),
            "reports": state.reports(yclients.notifications),
        }

    async def _scan(self, whatsapp: SandboxWhatsApp) -> tuple[int, str, bytes]:
        """Hold the salon's phone to the page: it sees the newest code that is shown now."""

        def shown() -> str:
            companies = Company.objects.select_related("session").order_by("-session__viewed_at")
            codes = (services.snapshot(session=c.session).qr for c in companies if c.session)
            return next((code for code in codes if code), "")

        code = await in_thread(shown)
        if not code:
            return _json(409, {"error": "Сейчас ни на одной странице нет QR-кода. Откройте её на шаге 1."})
        try:
            await whatsapp.scan(self._salon_phone, code)
        except Refused as refused:
            return _json(409, {"error": refused.sentence})
        return _json(200, {"phone": self._salon_phone})

    def _answer_as_client(self, whatsapp: SandboxWhatsApp, text: str) -> tuple[int, str, bytes]:
        """The client reads everything and writes this to the salon that has written last."""
        try:
            chats = whatsapp.phone(CLIENT_PHONE)["chats"]
            whatsapp.read(CLIENT_PHONE)
            whatsapp.send(CLIENT_PHONE, chats[0]["chat"] if chats else self._salon_phone, text)
        except Refused as refused:
            return _json(409, {"error": refused.sentence})
        return _json(200, {"text": text})


def _json(status: int, body: dict[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body, ensure_ascii=False).encode()
