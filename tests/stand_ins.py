"""What tests ask of the two local stand-ins, YClients and WhatsApp with its phones, over HTTP."""

from typing import Any

import requests

ANSWER_SECONDS = 30


class OutsideError(AssertionError):
    """The stand-in refused; the message holds its sentence."""


class Control:
    """JSON over HTTP; every answer that is not 2xx raises OutsideError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = requests.Session()

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The answer's JSON; `body` is sent as a JSON object unless it is empty."""
        answer = self._http.request(method, f"{self.url}{path}", json=body or None, timeout=ANSWER_SECONDS)
        if not answer.ok:
            raise OutsideError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def call_with_file(self, path: str, data: bytes, **query: str) -> Any:
        """POST bytes; what is said of them is in the query."""
        answer = self._http.post(f"{self.url}{path}", params=query, data=data, timeout=ANSWER_SECONDS)
        if not answer.ok:
            raise OutsideError(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def get(self, path: str) -> Any:
        """GET."""
        return self.call("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """POST with a JSON object."""
        return self.call("POST", path, **body)


class YClients(Control):
    """The marketplace: salons, installations, webhooks; its page for people is at `url`."""

    def add_salon(self, salon_id: int, **fields: Any) -> Any:
        """A salon that has never installed anything."""
        return self.post("/control/salons", id=salon_id, **fields)

    def salon(self, salon_id: int) -> Any:
        """The salon with `status` and `installation` (`api_keys`, `webhook_urls`, `logs` …)."""
        return self.get(f"/control/salons/{salon_id}")

    def press_connect(self, *salon_ids: int, signature: str = "valid") -> str:
        """Installs, and returns the address that the owner's browser is sent to."""
        answer = self.post("/control/press-connect", salon_ids=list(salon_ids), signature=signature)
        return str(answer["redirect_url"])

    def change(self, salon_id: int, action: str) -> Any:
        """`freeze`, `unfreeze`, `uninstall` or `pay`, without telling the product."""
        return self.post(f"/control/salons/{salon_id}/{action}")

    def send_lifecycle(self, salon_id: int, event: str, **how: Any) -> list[Any]:
        """Sends a lifecycle webhook; the deliveries with `last_status`."""
        answer = self.post("/control/webhooks/lifecycle", salon_id=salon_id, event=event, **how)
        return list(answer["deliveries"])

    def send_entities(self, salon_id: int, *events: dict[str, Any], **how: Any) -> list[Any]:
        """Sends entity webhooks to the address that the activation registered."""
        answer = self.post("/control/webhooks/entity", salon_id=salon_id, events=list(events), **how)
        return list(answer["deliveries"])

    def notify(self, salon_id: int, text: str, *phones: str, **how: Any) -> list[Any]:
        """Sends one request with a message for each phone; the notifications as they stand at once."""
        targets = [{"phone": phone} for phone in phones]
        answer = self.post(
            "/control/notifications", **{"salon_id": salon_id, "text": text, "destinations": targets, **how}
        )
        return list(answer["notifications"])

    def notification(self, notification_id: str) -> Any:
        """The notification with its `statuses` as they came, oldest first."""
        return self.get(f"/control/notifications/{notification_id}")

    def fault(self, kind: str, **more: Any) -> Any:
        """Plans a fault: `endpoint`, `times`, `until_lifted`, `seconds`."""
        return self.post("/control/faults", kind=kind, **more)

    def lift_faults(self) -> Any:
        """No fault is planned any more."""
        return self.call("DELETE", "/control/faults")

    def calls(self, endpoint: str | None = None) -> list[Any]:
        """The API calls received so far, oldest first."""
        query = f"?endpoint={endpoint}" if endpoint else ""
        return list(self.get(f"/control/journal{query}")["calls"])


class WhatsApp(Control):
    """WhatsApp with its phones; the page for people is at `url`. Phones are named by their digits."""

    def add_phone(self, phone: str, name: str = "", **more: Any) -> Any:
        """A phone with an account."""
        return self.post("/phones", phone=phone, name=name, **more)

    def phone(self, phone: str) -> Any:
        """The phone with its linked devices and its inbox."""
        return self.get(f"/phones/{phone}")

    def scan(self, phone: str, qr: str) -> Any:
        """The phone scans the text of a QR code; the linked device."""
        return self.post(f"/phones/{phone}/scan", qr=qr)

    def enter_code(self, phone: str, code: str) -> Any:
        """The person types a pairing code on the phone; the linked device."""
        return self.post(f"/phones/{phone}/enter-code", code=code)

    def remove_devices(self, phone: str) -> int:
        """The person removes every linked device on the phone; how many there were."""
        return int(self.post(f"/phones/{phone}/remove-devices")["removed"])

    def send(self, phone: str, to: str, text: str) -> Any:
        """The person writes a text to another number."""
        return self.post(f"/phones/{phone}/send", to=to, text=text)

    def send_file(self, phone: str, to: str, kind: str, data: bytes, **about: str) -> Any:
        """The person sends a file to another number; `about` is mime, name, caption."""
        return self.call_with_file(f"/phones/{phone}/send-file", data, to=to, kind=kind, **about)

    def file(self, phone: str, message: str) -> bytes:
        """The file of a message, as the phone has opened it."""
        answer = self._http.get(f"{self.url}/phones/{phone}/files/{message}", timeout=ANSWER_SECONDS)
        if not answer.ok:
            raise OutsideError(f"{phone}: {answer.status_code} {answer.text}")
        return answer.content

    def read(self, phone: str) -> int:
        """The person opens every chat; how many messages were unread."""
        return int(self.post(f"/phones/{phone}/read")["read"])

    def fault(self, kind: str, phone: str | None = None, **more: Any) -> Any:
        """Causes trouble now or for the next login, see sandbox/whatsapp."""
        return self.post("/faults", kind=kind, **({"phone": phone} if phone else {}), **more)
