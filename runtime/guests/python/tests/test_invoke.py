"""Lambda's answers and errors, without a sandbox."""

import decimal
import io
import json
import logging
import sys
import tempfile
import time
import types
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from wasmill_runtime import absent, first, invoke, preload  # noqa: E402
from wasmill_runtime.context import LambdaContext  # noqa: E402


def host_context(**changes):
    members = dict(
        request_id="r-1", function_name="orders", function_version="$LATEST", function_arn="arn:x", memory_limit_mb=128,
        deadline_ms=int(time.time() * 1000) + 5000, trace_id=None,
    )  # fmt: skip
    return types.SimpleNamespace(**members | changes)


class Invocations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.app = Path(folder.name)
        self.modules = set(sys.modules)
        self.root_handlers = logging.getLogger().handlers[:]
        self.out = io.TextIOWrapper(io.BytesIO())
        for patch in (
            mock.patch.object(sys, "path", sys.path[:]),
            mock.patch.object(sys, "stdout", self.out),
            mock.patch.object(sys, "stderr", io.TextIOWrapper(io.BytesIO())),
            mock.patch.object(sys, "dont_write_bytecode", True),
            mock.patch.object(first.os, "chdir"),
            mock.patch.object(first, "_done", False),
            mock.patch.object(invoke, "_handler", None),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def tearDown(self):
        for name in set(sys.modules) - self.modules:
            del sys.modules[name]
        logging.getLogger().handlers[:] = self.root_handlers

    def call(self, source, handler="app_under_test.handler", event="{}", **changes):
        (self.app / "app_under_test.py").write_text(source)
        with mock.patch.dict("os.environ", _HANDLER=handler, LAMBDA_TASK_ROOT=str(self.app)):
            succeeded, text = invoke.handle(event, host_context(**changes))
        return succeeded, json.loads(text)

    def error(self, *arguments, **options):
        succeeded, error = self.call(*arguments, **options)
        self.assertFalse(succeeded)
        return error

    def test_an_answer_is_json_and_nothing_is_null(self):
        self.assertEqual(self.call("def handler(e, c): return e", event='{"a": "\\ud800ä"}'), (True, {"a": "\ud800ä"}))
        invoke._handler = None
        del sys.modules["app_under_test"]
        self.assertEqual(self.call("def handler(e, c): pass"), (True, None))

    def test_decimals_are_numbers(self):
        self.assertEqual(json.loads(invoke._marshal({"a": decimal.Decimal("1.5"), "b": decimal.Decimal(3)})), {"a": 1.5, "b": 3})

    def test_an_error_has_lambda_s_members_and_only_the_handler_s_frames(self):
        error = self.error("def handler(e, c):\n    raise ValueError('no')\n")
        self.assertEqual({key: error[key] for key in ("errorType", "errorMessage", "requestId")},
                         {"errorType": "ValueError", "errorMessage": "no", "requestId": "r-1"})  # fmt: skip
        path = self.app / "app_under_test.py"
        self.assertEqual(error["stackTrace"], [f"  File \"{path}\", line 2, in handler\n    raise ValueError('no')\n"])

    def test_what_cannot_be_imported_is_said_in_lambda_s_words(self):
        error = self.error("import not_there_at_all")
        self.assertEqual((error["errorType"], error["errorMessage"]), (
            "Runtime.ImportModuleError", "Unable to import module 'app_under_test': No module named 'not_there_at_all'"))  # fmt: skip

    def test_a_missing_handler_and_a_bad_name(self):
        error = self.error("", handler="app_under_test.nothing")
        self.assertEqual((error["errorType"], error["errorMessage"]),
                         ("Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'app_under_test'"))  # fmt: skip
        self.assertEqual(self.error("", handler="nodot")["errorType"], "Runtime.MalformedHandlerName")

    def test_a_syntax_error_names_file_and_line(self):
        error = self.error("def handler(e, c)\n  pass")
        self.assertEqual(error["errorType"], "Runtime.UserCodeSyntaxError")
        self.assertIn("Line 1", error["stackTrace"][0])

    def test_what_json_cannot_say_is_a_marshal_error(self):
        error = self.error("def handler(e, c): return {1}")
        self.assertEqual((error["errorType"], error["errorMessage"]), (
            "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"))  # fmt: skip

    def test_leaving_is_an_exit_error(self):
        error = self.error("import sys\ndef handler(e, c): sys.exit(3)")
        self.assertEqual((error["errorType"], error["errorMessage"]),
                         ("Runtime.ExitError", "RequestId: r-1 Error: Runtime exited with error: exit status 3"))  # fmt: skip

    def test_a_handler_may_be_called_like_a_module_that_is_loaded(self):
        (self.app / "queue.py").write_text("def handler(e, c): return 'mine'")
        import queue

        sys.modules["queue"] = queue
        with mock.patch.object(first, "APP", str(self.app)):
            self.assertEqual(self.call("", handler="queue.handler"), (True, "mine"))

    def test_a_failed_import_is_tried_again_at_the_next_invocation(self):
        self.error("raise KeyError('first')")
        self.assertEqual(self.call("def handler(e, c): return 1\n# longer now"), (True, 1))

    def test_log_lines_carry_the_request(self):
        self.call("import logging\ndef handler(e, c): logging.getLogger('a').error('b %s', 1); print('c')")
        self.out.flush()
        line, plain = self.out.buffer.getvalue().decode().splitlines()
        self.assertRegex(line, r"\A\[ERROR\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tr-1\tb 1\Z")
        self.assertEqual(plain, "c")

    def test_a_line_does_not_stick_to_a_traceback(self):
        self.call("import logging\ndef handler(e, c): logging.error('b', exc_info=ValueError('v')); print('c')")
        self.out.flush()
        self.assertEqual(self.out.buffer.getvalue().decode().splitlines()[-2:], ["ValueError: v", "c"])

    def test_json_log_lines(self):
        with mock.patch.dict("os.environ", AWS_LAMBDA_LOG_FORMAT="JSON"):
            self.call("import logging\ndef handler(e, c): logging.error('b', extra={'order': 7})")
        self.out.flush()
        line = json.loads(self.out.buffer.getvalue())
        self.assertEqual({key: line[key] for key in ("level", "message", "requestId", "order")},
                         {"level": "ERROR", "message": "b", "requestId": "r-1", "order": 7})  # fmt: skip


class Contexts(unittest.TestCase):
    def test_the_remaining_time_does_not_go_below_nothing(self):
        self.assertGreater(LambdaContext(host_context()).get_remaining_time_in_millis(), 4000)
        self.assertEqual(LambdaContext(host_context(deadline_ms=1)).get_remaining_time_in_millis(), 0)

    def test_the_memory_is_text(self):
        self.assertEqual(LambdaContext(host_context()).memory_limit_in_mb, "128")


class Scans(unittest.TestCase):
    def test_packages_are_found_in_functions_too_and_own_modules_are_not(self):
        with tempfile.TemporaryDirectory() as folder:
            app = Path(folder)
            (app / "pack" / "part").mkdir(parents=True)
            (app / "pack" / "__init__.py").write_text("import never_mind")
            (app / "pack" / "part" / "__init__.py").touch()
            (app / "pack-1.dist-info").mkdir()
            (app / "pack-1.dist-info" / "RECORD").write_text("pack/__init__.py,,\npack/part/__init__.py,,\n../../bin/x,,\n")
            (app / "own.py").touch()
            (app / "handler.py").write_text("import own, json\ndef f():\n    from pack import part, thing\n")
            sources = preload.own_sources(folder)
            self.assertEqual(sorted(Path(path).name for path in sources), ["handler.py", "own.py"])
            self.assertEqual(preload.wanted(folder, sources.values()), ["pack", "pack.part"])

    def test_compiled_parts_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "fast.cpython-312-x86_64-linux-gnu.so").touch()
            self.assertIn("machine code", absent._native("pack.fast", [folder]))
            self.assertIsNone(absent._native("pack.faster", [folder]))


if __name__ == "__main__":
    unittest.main()
