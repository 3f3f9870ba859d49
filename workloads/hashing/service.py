"""A small service whose threads hash at the same time: hashlib frees the interpreter's lock."""

from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """The same one to each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Compute it anew."""
        text = hashlib.pbkdf2_hmac("sha256", b"limitbench", b"salt", 20_000).hex().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_words: object) -> None:
        """It logs nothing."""


class Server(ThreadingHTTPServer):
    """A thread a connection."""

    request_queue_size = 1024


Server(("127.0.0.1", 8080), Answer).serve_forever()
