"""A small HTTP server that keeps what is posted to it and answers what it is told."""

import http.server
import ssl
import threading
from collections.abc import Callable
from typing import Any


class Listener:
    """An HTTP or HTTPS server on loopback that keeps what it got and answers what it is told."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.body = 200, b"[]"
        self.headers: dict[str, str] = {}
        self.judge: Callable[[bytes], int] | None = None  # the status for a body, instead of `status`
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, dict(self.headers), body))
                self.send_response(outer.judge(body) if outer.judge else outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(outer.body)
                except OSError:
                    return  # the client has read enough

            def log_message(self, *_arguments: Any) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
