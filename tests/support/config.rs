//! Pieces of configurations. What a test is about, it writes out itself.
//!
//! Every child is started with `GUESTS` in its environment, the folder of the compiled handlers.

/// A built-in queue in memory, on free ports.
pub const IN_MEMORY: &str = "
[local_queue]
listen = \"127.0.0.1:0\"
[admin]
listen = \"127.0.0.1:0\"
";

/// A built-in queue that survives `kill -9`, in the folder `data` beside the configuration, on free ports.
pub const ON_DISK: &str = "
[local_queue]
listen = \"127.0.0.1:0\"
data_dir = \"data\"
durability = \"os\"
[admin]
listen = \"127.0.0.1:0\"
";

/// A queue, with more keys below its name.
#[must_use]
pub fn queue(name: &str, keys: &str) -> String {
    format!("\n[[queue]]\nname = \"{name}\"\n{keys}\n")
}

/// A queue, and its dead-letter queue `NAME-dlq`.
#[must_use]
pub fn queue_with_dlq(name: &str, visibility_timeout: u32, max_receive_count: u32) -> String {
    let dlq = format!("{name}-dlq");
    let keys = format!(
        "visibility_timeout = {visibility_timeout}\n\
         redrive_policy = {{ dead_letter_target_arn = \"{dlq}\", max_receive_count = {max_receive_count} }}"
    );
    queue(name, &keys) + &queue(&dlq, "")
}

/// A function with one of the tests' handlers, with more keys below its name.
#[must_use]
pub fn function(name: &str, guest: &str, keys: &str) -> String {
    format!("\n[[function]]\nname = \"{name}\"\ncode = \"${{GUESTS}}/{guest}.wasm\"\n{keys}\n")
}

/// A mapping with `ReportBatchItemFailures`, with more keys below.
#[must_use]
pub fn mapping(queue: &str, function: &str, keys: &str) -> String {
    let reports = "function_response_types = [\"ReportBatchItemFailures\"]";
    plain_mapping(queue, function, &format!("{reports}\n{keys}"))
}

/// A mapping that succeeds or fails as a whole, with more keys below.
#[must_use]
pub fn plain_mapping(queue: &str, function: &str, keys: &str) -> String {
    format!("\n[[event_source_mapping]]\nevent_source_arn = \"{queue}\"\nfunction_name = \"{function}\"\n{keys}\n")
}
