"""One invocation: event text in, response text out, as Lambda's runtime interface client does it."""

import decimal
import importlib
import json
import math
import os
import sys

from . import first, logs
from .context import LambdaContext
from .failure import Fault, report

_handler = None


def handle(event, host_context):
    """Gives `(True, response)` or `(False, error)`, both JSON text."""
    global _handler
    logs.request_id = host_context.request_id
    try:
        if _handler is None:
            first.prepare()
        _set_trace_id(host_context.trace_id)
        if _handler is None:
            _handler = find_handler(os.environ.get("_HANDLER", ""))
        return True, _marshal(_handler(_unmarshal(event), LambdaContext(host_context)))
    except BaseException as error:  # SystemExit too: nothing but an answer may leave
        return False, _encode(report(error, host_context.request_id))
    finally:
        logs.flush()


def find_handler(name):
    """The function `module.function`, its module imported."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = _import(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from None
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}", [where]) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{function_name}' missing on module '{module_name}'") from None


def _import(module_name):
    """A handler may be called what a module of the standard library is called that is loaded already: `queue.py`."""
    top = module_name.partition(".")[0]
    loaded = sys.modules.get(top)
    if loaded is not None and not (getattr(loaded, "__file__", None) or "").startswith(first.APP):
        if importlib.machinery.PathFinder.find_spec(top, [first.APP]) is not None:
            del sys.modules[top]
    return importlib.import_module(module_name)


def _set_trace_id(trace_id):
    if trace_id is None:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    else:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id


def _unmarshal(event):
    try:
        return json.loads(event)
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def _marshal(response):
    try:
        return _encode(response)
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def _encode(value):
    text = json.dumps(value, ensure_ascii=False, default=_decimal)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair: JSON can say it, UTF-8 cannot
            return json.dumps(value, default=_decimal)
    return text


def _decimal(value):
    """Lambda writes a Decimal as a number; DynamoDB gives them out."""
    if isinstance(value, decimal.Decimal):
        if value.is_nan():
            return math.nan
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
