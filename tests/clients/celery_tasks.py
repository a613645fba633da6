"""The tasks of celery_tour.py, as a Celery app of its own: what a worker and its callers both import."""

import json
import os
import time

from celery import Celery

app = Celery("tour", broker=os.environ["TOUR_BROKER"])
app.conf.update(
    broker_transport_options={
        "region": "us-east-1",
        "is_secure": False,
        "wait_time_seconds": 2,
        "polling_interval": 0.1,
        "visibility_timeout": 60,
    },
    broker_connection_retry_on_startup=True,
    task_default_queue="celery-tour",
    task_acks_late=True,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=4,
)


def note(name, what):
    """One line for the tour to read. Short writes to a file opened for appending do not mix."""
    with open(os.environ["TOUR_RESULTS"], "a", encoding="utf-8") as results:
        results.write(json.dumps({"task": name, "what": what, "at": time.time()}) + "\n")


@app.task
def add(x, y):
    note("add", x + y)


@app.task
def echo(text):
    note("echo", text)


@app.task(bind=True, max_retries=3)
def flaky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=1)
    note("flaky", self.request.retries)


@app.task
def later():
    note("later", None)


@app.task
def first_of_a_chain(x):
    note("first", x)
    return x + 1


@app.task
def second_of_a_chain(x):
    note("second", x)
