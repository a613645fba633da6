"""What went wrong, as the JSON that Lambda's Python runtime reports.

The texts are those of Lambda's runtime interface client. A stack trace has the handler's frames and those of what it
called, none of this runtime's or of the import machinery.
"""

import os
import traceback

OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/"


class Fault(Exception):
    """A failure that Lambda names itself, such as a handler that is not there."""

    def __init__(self, error_type, message, trace=()):
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = list(trace)


def report(error, request_id):
    """The members of the error's JSON."""
    if isinstance(error, Fault):
        return _members(error.error_type, error.message, error.trace, request_id)
    if isinstance(error, SystemExit):
        return _members("Runtime.ExitError", f"RequestId: {request_id} Error: {_exit_text(error.code)}", [], request_id)
    trace = traceback.format_list(
        (frame.filename, frame.lineno, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
        if not is_machinery(frame.filename)
    )
    return _members(type(error).__name__, _text(error), trace, request_id)


def is_machinery(filename):
    return filename.startswith((OWN_FOLDER, "<frozen importlib")) or filename.endswith("/importlib/__init__.py")


def _members(error_type, message, trace, request_id):
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": trace}


def _text(error):
    try:
        return str(error)
    except Exception:  # a handler's own class may fail to say what it is
        return f"<{type(error).__name__} without a text>"


def _exit_text(code):
    if code is None or code == 0:
        return "Runtime exited without providing a reason"
    return f"Runtime exited with error: exit status {code if isinstance(code, int) else 1}"
