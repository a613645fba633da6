"""Lambda's context object, with its attributes and methods."""

import logging
import os
import sys
import time


class CognitoIdentity:
    """Who called, for callers that have an identity pool; a queue has none."""

    cognito_identity_id = None
    cognito_identity_pool_id = None

    def __repr__(self):
        return "CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None])"


class LambdaContext:
    """What a handler gets as its second argument."""

    def __init__(self, host):
        """`host` is the record `context` of the interface."""
        self.aws_request_id = host.request_id
        self.function_name = host.function_name
        self.function_version = host.function_version
        self.invoked_function_arn = host.function_arn
        # Lambda gives text here, not a number.
        self.memory_limit_in_mb = str(host.memory_limit_mb)
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", f"/aws/lambda/{host.function_name}")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", host.request_id)
        self.identity = CognitoIdentity()
        self.client_context = None
        self.tenant_id = None
        self._deadline_ms = host.deadline_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        """Writes as it stands, without a line break, as Lambda's does."""
        for handler in logging.getLogger().handlers:
            if hasattr(handler, "log_sink"):
                handler.log_sink.log(str(message))
                return
        sys.stdout.write(str(message))

    def __repr__(self):
        shown = ("aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                 "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")
        return "LambdaContext([" + ",".join(f"{name}={getattr(self, name)}" for name in shown) + "])"
