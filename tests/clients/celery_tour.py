"""A Celery worker at its ordinary job, on the SQS transport: python celery_tour.py ENDPOINT FOLDER

Calls tasks, has a worker process run them, and asserts what they wrote down: many, a retry, a countdown, a chain, and
another queue. Prints how many tasks ran.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from urllib.parse import urlsplit

endpoint, folder = sys.argv[1], pathlib.Path(sys.argv[2])
results = folder / "results"
results.touch()
os.environ["TOUR_BROKER"] = f"sqs://test:test@{urlsplit(endpoint).netloc}"
os.environ["TOUR_RESULTS"] = str(results)

import boto3  # noqa: E402
import celery_tasks as tasks  # noqa: E402: it reads the environment
from celery import chain  # noqa: E402

HERE = pathlib.Path(__file__).parent
MANY = 40
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")


def noted():
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]


def left():
    """How many messages there are, in hand or not."""
    counters = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    urls = [sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in ("celery-tour", "celery-other")]
    found = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counters)["Attributes"] for url in urls]
    return sum(int(count) for attributes in found for count in attributes.values())


def wait_for(count, worker):
    """Until so many tasks have run and all are acknowledged, which a late acknowledgement is a little later."""
    until = time.monotonic() + 90
    while len(noted()) < count or left():
        assert worker.poll() is None, "the worker has ended"
        assert time.monotonic() < until, f"{len(noted())} of {count} tasks, {left()} messages: {noted()}"
        time.sleep(0.1)


text = "naïve — 中文 🦀 " + "x" * 100_000
for number in range(MANY):
    tasks.add.delay(number, 1)
tasks.echo.delay(text)
tasks.flaky.delay()
asked = time.time()
tasks.later.apply_async(countdown=3)
chain(tasks.first_of_a_chain.s(1), tasks.second_of_a_chain.s()).delay()
tasks.echo.apply_async(args=["elsewhere"], queue="celery-other")

command = [sys.executable, "-m", "celery", "--app", "celery_tasks", "--workdir", str(HERE), "worker"]
command += ["--queues", "celery-tour,celery-other", "--concurrency", "2", "--loglevel", "WARNING"]
command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
# What it says on stdout is not the tour's.
worker = subprocess.Popen(command, cwd=folder, stdout=sys.stderr)
try:
    expected = MANY + 6
    wait_for(expected, worker)
    worker.terminate()
    assert worker.wait(60) == 0, worker.returncode
finally:
    worker.kill()

by_task = {}
for line in noted():
    by_task.setdefault(line["task"], []).append(line)
assert sorted(line["what"] for line in by_task["add"]) == list(range(1, MANY + 1)), by_task["add"]
assert sorted(line["what"] for line in by_task["echo"]) == sorted([text, "elsewhere"])
assert [line["what"] for line in by_task["flaky"]] == [2], by_task["flaky"]
assert [line["what"] for line in by_task["first"]] == [1] and [line["what"] for line in by_task["second"]] == [2]
(late,) = by_task["later"]
assert late["at"] - asked >= 3, "a countdown was cut short"
assert len(noted()) == expected, "a task ran twice"
print(f"{expected} tasks")
