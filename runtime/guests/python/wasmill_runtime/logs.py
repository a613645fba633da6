"""`logging` and `print` as Lambda has them: a root handler with Lambda's formats, and lines that appear when written.

`AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT` (`Text`, `JSON`) are honoured.
"""

import json
import logging
import os
import sys
import time
import traceback

_TIMESTAMP = "%Y-%m-%dT%H:%M:%S"
_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
# What every record has; all else came with `extra=`.
_OF_EVERY_RECORD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id"}

request_id = ""
"""The invocation that is under way."""


class StandardLogSink:
    """Lambda's name for where log lines go; some libraries look for it."""

    def log(self, message, frame_type=None):
        sys.stdout.write(message)


class LambdaLoggerHandler(logging.Handler):
    """Lambda's name for its root handler; some libraries look for it."""

    def __init__(self):
        super().__init__()
        self.log_sink = StandardLogSink()

    def emit(self, record):
        try:
            message = self.format(record)
            # A traceback comes after the format's own line break; the next line must not stick to it.
            self.log_sink.log(message if message.endswith("\n") else message + "\n")
        except Exception:
            self.handleError(record)


class LambdaLoggerFilter(logging.Filter):
    """Gives each record the request id, under Lambda's name for it."""

    def filter(self, record):
        record.aws_request_id = request_id
        return True


class JsonFormatter(logging.Formatter):
    """Lambda's JSON log lines."""

    def format(self, record):
        line = {
            "timestamp": self.formatTime(record, _TIMESTAMP) + "Z",
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            line["stackTrace"] = traceback.format_list(traceback.extract_tb(trace))
            line["errorType"] = kind.__name__
            line["errorMessage"] = str(error)
            line["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        line["requestId"] = record.aws_request_id
        line.update({name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD})
        return json.dumps(line, ensure_ascii=False, default=str) + "\n"


def set_up():
    """Done once, at the first invocation, before the handler's module is imported."""
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    handler = LambdaLoggerHandler()
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter(_TEXT, _TIMESTAMP))
    handler.addFilter(LambdaLoggerFilter())
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level == "TRACE":
        root.setLevel(logging.NOTSET)
    elif level in logging.getLevelNamesMapping():
        root.setLevel(level)
    for stream in (sys.stdout, sys.stderr):
        # A line is one write, done at once; half a line waits for its end or for that of the invocation.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # a handler may close its streams; the invocation is none the worse for it
