"""A bot that answers a salon's clients: receives their messages by webhook and answers over the API.

    API_URL=https://… API_KEY=wsk_… WEBHOOK_SECRET=… python bot.py 8088

Needs nothing but Python. Keeps in memory which deliveries it has answered; a real bot keeps that in a
database.
"""

import hashlib
import hmac
import http.server
import json
import os
import sys
import time
import urllib.request

API_URL, API_KEY = os.environ["API_URL"], os.environ["API_KEY"]
SECRET = os.environ["WEBHOOK_SECRET"]
answered: set[str] = set()


def is_ours(headers, body):
    """True when the request was signed with our secret within the last five minutes."""
    timestamp = headers.get("X-Timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > 300:
        return False
    signed = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return hmac.compare_digest(headers.get("X-Signature", ""), f"sha256={signed.hexdigest()}")


def answer_to(text):
    """What the bot says; None when a person should answer."""
    if "цена" in text.lower():
        return "Стрижка 1500 ₽, окрашивание от 3000 ₽."
    return None


def send(salon_id, phone, text, key):
    """Queue the answer; the same key never sends twice."""
    request = urllib.request.Request(
        f"{API_URL}/api/v1/messages",
        data=json.dumps({"salon_id": salon_id, "to": f"+{phone}", "text": text}).encode(),
        headers={
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 1_000_000))
        if not is_ours(self.headers, body):
            self.send_response(401)
            self.end_headers()
            return
        event = json.loads(body)
        text = answer_to(event["message"]["text"]) if event["event"] == "message.received" else None
        phone = event["message"]["from"]["phone"] if text else None
        if phone and event["delivery_id"] not in answered:
            # The delivery's id is the key: when the delivery comes again, nothing is sent twice.
            send(event["salon_id"], phone, text, event["delivery_id"])
            answered.add(event["delivery_id"])
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Webhook)
    print("listening", server.server_address[1], flush=True)
    server.serve_forever()
