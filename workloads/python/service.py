"""A small service that computes in Python: how many primes there are below 150000."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def primes(below: int) -> int:
    """How many there are, by a sieve."""
    sieve = bytearray(b"\1") * below
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            for multiple in range(number * number, below, number):
                sieve[multiple] = 0
    return sum(sieve) - 2


class Answer(BaseHTTPRequestHandler):
    """The same one to each request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Compute it anew."""
        text = f"{primes(150_000)}\n".encode()
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
