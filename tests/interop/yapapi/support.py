"""What the programs share: a package whose image URL answers, without leaving the machine."""
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

IMAGE_HASH = "d1ac20fe68acc37eba301878b0f6ab24929cf5f985ef420f6c479b14"


class Image(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


@contextmanager
def image_server():
    """yapapi asks an image's URL for its headers before it uses it. It is served to the end of the program: a thread that
    is told to stop looks every half second whether it was, or at once, and no two runs would be the same."""
    server = HTTPServer(("127.0.0.1", 0), Image)

    def serve():
        while True:
            server.handle_request()

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/image.gvmi"


class Facts:
    """An event consumer that prints, one line each, what the tests assert."""

    def __call__(self, event):
        kind = type(event).__name__
        if kind == "AgreementConfirmed":
            print(f"agreement with {event.provider_info.name}", flush=True)
        elif kind == "InvoiceAccepted":
            print(f"invoice accepted: {event.amount}", flush=True)
        elif kind == "DebitNoteAccepted":
            print(f"debit note accepted: {event.amount}", flush=True)
        elif kind == "PaymentFailed":
            print(f"payment failed: {event}", flush=True)


def deadline(seconds=60):
    """A check that fails when `seconds` have passed; says what was seen last."""
    end = time.monotonic() + seconds

    def check(seen):
        assert time.monotonic() < end, seen

    return check
