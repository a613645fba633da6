"""Is `charges.py` idempotent? `wasmill dev` runs it on a queue that delivers twice, out of order, and again after a delete, and
whose time the tests skip.

    pip install pytest boto3
    pytest handlers/testing

`WASMILL` names the binary where it is not on the PATH.
"""

import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import urllib.request

import boto3
import pytest

HANDLER = pathlib.Path(__file__).parent / "charges.py"
QUEUE = "charges"  # named after the handler
DAY = 24 * 3600


class Payments:
    """A payment service that charges once per idempotency key."""

    def __init__(self):
        self.charged, self.requests, self.away = [], 0, 0
        known, lock, payments = set(), threading.Lock(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    payments.requests += 1
                    is_away = payments.away > 0
                    payments.away -= is_away
                    if not is_away and self.headers["Idempotency-Key"] not in known:
                        known.add(self.headers["Idempotency-Key"])
                        payments.charged.append(body["order"])
                self.send_response(503 if is_away else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Dev:
    """A running `wasmill dev`."""

    def __init__(self, data_dir, payments, *flags):
        command = [os.environ.get("WASMILL", "wasmill"), "dev", HANDLER, "--data-dir", data_dir, "--time-control", *flags]
        command += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        command += ["--allow-host", payments.url, "--env", f"PAYMENTS_URL={payments.url}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        endpoint = self.read_until(r"endpoint (http://[^,]+)")
        self.admin = self.read_until(r"metrics, health +(http://\S+)")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        self.sqs = boto3.client("sqs", endpoint_url=endpoint, **keys)

    def read_until(self, pattern):
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError(f"wasmill dev ended before it said {pattern!r}")

    def send(self, order, cents=250):
        url = self.sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
        self.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"id": order, "cents": cents}))

    def skip(self, seconds, **more):
        """Lets time pass: when it returns, all that fell due has happened, and the handler has run."""
        body = json.dumps({"seconds": seconds, **more}).encode()
        with urllib.request.urlopen(f"{self.admin}/api/time/advance", data=body) as answer:
            assert json.load(answer)["settled"]

    def left(self, queue=QUEUE):
        """Messages that the queue has, in whatever state."""
        with urllib.request.urlopen(f"{self.admin}/api/queues/{queue}") as answer:
            shown = json.load(answer)
        return shown["visible"] + shown["in_flight"] + shown["delayed"]

    def faults(self):
        """What chaos has done, by fault."""
        with urllib.request.urlopen(f"{self.admin}/metrics") as answer:
            text = answer.read().decode()
        found = re.findall(r'^wasmill_chaos_faults_total{fault="(\w+)".*} (\d+)', text, re.MULTILINE)
        return {fault: int(count) for fault, count in found}

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def payments():
    payments = Payments()
    yield payments
    payments.server.shutdown()


@pytest.fixture
def start(tmp_path, payments):
    started = []

    def start(*flags):
        started.append(Dev(tmp_path, payments, *flags))
        return started[-1]

    yield start
    for dev in started:
        dev.stop()


def test_each_order_is_charged_once_although_messages_come_twice(start, payments):
    dev = start("--chaos", "seed=7,duplicate=20%,reorder=20%,lost_ack=20%")
    orders = [f"o-{n}" for n in range(40)]
    for order in orders:
        dev.send(order)
    dev.skip(DAY, until="idle")  # until no message is hidden and nothing is to come
    assert sorted(payments.charged) == sorted(orders)
    assert dev.left() == 0 and dev.left(f"{QUEUE}-dlq") == 0
    # Or the queue was too kind for this to say anything.
    faults = dev.faults()
    assert faults["duplicate"] > 0 and faults["lost_ack"] > 0
    assert payments.requests >= len(orders) + faults["duplicate"] + faults["lost_ack"]


def test_an_order_is_charged_when_the_service_is_back(start, payments):
    payments.away = 1
    dev = start()
    dev.send("o-1")
    dev.skip(5)
    assert payments.charged == [] and dev.left() == 1
    dev.skip(5)  # ten seconds is the visibility timeout in `wasmill dev`
    assert payments.charged == ["o-1"] and dev.left() == 0


def test_an_order_is_a_dead_letter_after_three_attempts(start, payments):
    payments.away = 3
    dev = start()
    dev.send("o-1")
    dev.skip(DAY, until="idle")
    assert payments.charged == [] and payments.requests == 3
    assert dev.left() == 0 and dev.left(f"{QUEUE}-dlq") == 1
