//! `faulty`: the tests' adversary as a Lambda JSON component. What it can be told is in the `commands` crate.

use serde_json::json;

wit_bindgen::generate!({ path: "../../wit", world: "lambda-handler" });

struct Faulty;

export!(Faulty);

impl Guest for Faulty {
    fn handle(event: String, context: Context) -> Result<String, String> {
        let context = json!({
            "requestId": context.request_id,
            "functionName": context.function_name,
            "functionVersion": context.function_version,
            "functionArn": context.function_arn,
            "deadlineMs": context.deadline_ms,
            "memoryLimitMb": context.memory_limit_mb,
            "traceId": context.trace_id,
        });
        let reply = commands::obey(&event, &context, commands::Stream::Stdout)?;
        String::from_utf8(reply).map_err(|_| "a component's reply is text: `garbage` is for commands only".to_owned())
    }
}
