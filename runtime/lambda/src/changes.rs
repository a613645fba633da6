//! What a request of Lambda's API would change: for the audit log, which the listener writes.

use hyper::Method;
use serde_json::Value;

use crate::operations;

/// The operation and what it is about; none of one that only reads or that invokes a function.
#[must_use]
pub fn change(method: &Method, path_and_query: &str, body: &[u8]) -> Option<(&'static str, String)> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let asked = operations::find(method, path)?;
    if *method == Method::GET || asked.operation.starts_with("Invoke") {
        return None;
    }
    if !asked.resource.is_empty() {
        return Some((asked.operation, asked.resource));
    }
    // What is created has no path yet: its names are in the body.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let names = ["EventSourceArn", "FunctionName", "Name"].iter().filter_map(|member| body.get(member)?.as_str());
    Some((asked.operation, names.collect::<Vec<_>>().join(" ")))
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
