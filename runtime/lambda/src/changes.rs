//! What a request of Lambda's API would change: for the audit log, which the listener writes.

use hyper::Method;
use serde::Deserialize;

use crate::operations;

/// What a body says of what is created. Code, which may be most of it, is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Names {
    event_source_arn: Option<String>,
    function_name: Option<String>,
}

/// The operation and what it is about; none of one that only reads or that invokes a function.
#[must_use]
pub fn change(method: &Method, path_and_query: &str, body: &[u8]) -> Option<(&'static str, String)> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let asked = operations::find(method, path)?;
    if *method == Method::GET || asked.operation.starts_with("Invoke") {
        return None;
    }
    if !asked.segments.is_empty() {
        return Some((asked.operation, asked.segments.join(" ")));
    }
    // What is created has no path yet: its names are in the body.
    let names: Names = serde_json::from_slice(body).unwrap_or_default();
    let names: Vec<String> = names.event_source_arn.into_iter().chain(names.function_name).collect();
    Some((asked.operation, names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_with_what_they_are_about() {
        let found = |method: Method, path: &str, body: &str| {
            change(&method, path, body.as_bytes()).map(|(operation, resource)| format!("{operation} {resource}"))
        };
        let mappings = "/2015-03-31/event-source-mappings";
        let body = r#"{"EventSourceArn":"arn:q","FunctionName":"f","BatchSize":1}"#;
        assert_eq!(found(Method::POST, mappings, body).as_deref(), Some("CreateEventSourceMapping arn:q f"));
        let function = r#"{"Code":{"ZipFile":"UEs="},"FunctionName":"f"}"#;
        assert_eq!(found(Method::POST, "/2015-03-31/functions", function).as_deref(), Some("CreateFunction f"));
        let alias = found(Method::PUT, "/2015-03-31/functions/f/aliases/live", "{}");
        assert_eq!(alias.as_deref(), Some("UpdateAlias f live"));
        assert_eq!(found(Method::POST, mappings, "torn").as_deref(), Some("CreateEventSourceMapping "));
        let one = format!("{mappings}/5f1c");
        assert_eq!(found(Method::DELETE, &one, "").as_deref(), Some("DeleteEventSourceMapping 5f1c"));
        assert_eq!(found(Method::GET, &one, ""), None);
        assert_eq!(found(Method::POST, "/2015-03-31/functions/f/invocations", "{}"), None);
        assert_eq!(found(Method::POST, "/2015-03-31/nothing", ""), None);
        let untag = found(Method::DELETE, "/2017-03-31/tags/arn%3Aq?tagKeys=a", "");
        assert_eq!(untag.as_deref(), Some("UntagResource arn:q"));
    }
}
