//! Answers of the query protocol as JSON, for clients that prefer it: API Gateway and JavaScript's axios do.
//!
//! The XML's nesting, with maps as lists of pairs and two lists with small letters. What AWS writes as null is left out.

use serde_json::{Map, Value, json};

use crate::error::Shape;
use crate::wire::Response;

/// The maps of responses, and what their keys and values are called in a pair.
const MAPS: [(&str, &str, &str); 3] =
    [("Attributes", "Name", "Value"), ("MessageAttributes", "Name", "Value"), ("Tags", "Key", "Value")];
/// Lists of responses that AWS writes with a small letter here.
const SMALL: [(&str, &str); 2] = [("Messages", "messages"), ("QueueUrls", "queueUrls")];

/// The response of an action.
pub(super) fn response(action: &str, response: &Response, request_id: &str) -> String {
    let mut content = Map::new();
    content.insert("ResponseMetadata".into(), json!({ "RequestId": request_id }));
    if !matches!(response, Response::Empty {}) {
        // What is written here is only text, numbers and maps with text for keys, so this cannot fail.
        let mut result = serde_json::to_value(response).unwrap_or_default();
        pairs_for_maps(&mut result);
        if let Value::Object(members) = &mut result {
            for (name, small) in SMALL {
                members.remove(name).map(|list| members.insert(small.into(), list));
            }
        }
        content.insert(format!("{action}Result"), result);
    }
    let mut whole = Map::new();
    whole.insert(format!("{action}Response"), Value::Object(content));
    Value::Object(whole).to_string()
}

/// An error.
pub(super) fn error(shape: Shape, text: &str, request_id: &str) -> String {
    let error = json!({ "Type": shape.fault.as_str(), "Code": shape.query_code, "Message": text });
    json!({ "Error": error, "RequestId": request_id }).to_string()
}

fn pairs_for_maps(value: &mut Value) {
    match value {
        Value::Array(members) => members.iter_mut().for_each(pairs_for_maps),
        Value::Object(members) => {
            for (name, member) in members {
                match (MAPS.iter().find(|(map, ..)| map == name), member) {
                    (Some((_, key, value)), member @ Value::Object(_)) => *member = pairs(member, key, value),
                    (_, member) => pairs_for_maps(member),
                }
            }
        }
        _ => {}
    }
}

fn pairs(map: &mut Value, key_name: &str, value_name: &str) -> Value {
    let Value::Object(map) = map.take() else { return Value::Null };
    let pair = |(key, value): (String, Value)| {
        let pair = [(key_name.to_owned(), Value::String(key)), (value_name.to_owned(), value)];
        Value::Object(pair.into_iter().collect())
    };
    Value::Array(map.into_iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::ActionError;
    use crate::wire::members::Pairs;
    use crate::wire::{GetQueueAttributesResponse, ListQueuesResponse, ReceiveMessageResponse};

    fn shown(action: &str, answer: &Response) -> Value {
        serde_json::from_str(&response(action, answer, "id-1")).unwrap()
    }

    #[test]
    fn maps_become_pairs_as_recorded_on_aws() {
        let attributes = Pairs(vec![("QueueArn".to_owned(), "arn".to_owned())]);
        let answer = Response::GetQueueAttributes(GetQueueAttributesResponse { attributes });
        let expected = json!({"GetQueueAttributesResponse": {
            "GetQueueAttributesResult": {"Attributes": [{"Name": "QueueArn", "Value": "arn"}]},
            "ResponseMetadata": {"RequestId": "id-1"},
        }});
        assert_eq!(shown("GetQueueAttributes", &answer), expected);
    }

    #[test]
    fn lists_errors_and_nothing() {
        let answer = Response::ListQueues(ListQueuesResponse { queue_urls: vec!["u".into()], next_token: None });
        assert_eq!(shown("ListQueues", &answer)["ListQueuesResponse"]["ListQueuesResult"], json!({"queueUrls": ["u"]}));
        let none = Response::ReceiveMessage(ReceiveMessageResponse { messages: vec![] });
        assert_eq!(shown("ReceiveMessage", &none)["ReceiveMessageResponse"]["ReceiveMessageResult"], json!({}));
        let empty = json!({"PurgeQueueResponse": {"ResponseMetadata": {"RequestId": "id-1"}}});
        assert_eq!(shown("PurgeQueue", &Response::Empty {}), empty);
        let answer = ActionError::InvalidAction { action: "ListQueues".into() }.answer();
        let shown: Value = serde_json::from_str(&error(answer.shape, &answer.text, "id-1")).unwrap();
        let text = "The action ListQueues is not valid for this endpoint.";
        let expected = json!({
            "Error": {"Type": "Sender", "Code": "InvalidAction", "Message": text}, "RequestId": "id-1",
        });
        assert_eq!(shown, expected);
    }
}
