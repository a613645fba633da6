//! The query protocol's way of writing what JSON says plainly (sqs-semantics §1.2): lists and maps are flattened into
//! numbered form fields on the way in, and into repeated elements on the way out.
//!
//! The two tables are the model's list and map names; with them the same members serve both protocols.

use serde_json::{Map, Value};

use crate::xml::Element;

/// How a list or a map is flattened: the field's name, and for a map what its keys and values are called.
enum Flattened {
    List(&'static str),
    Map(&'static str, &'static str, &'static str),
}

/// A member of a request that is a list or a map.
fn flattened(action: &str, member: &str) -> Option<Flattened> {
    use Flattened::{List, Map};
    Some(match member {
        "Attributes" => Map("Attribute", "Name", "Value"),
        "MessageAttributes" => Map("MessageAttribute", "Name", "Value"),
        "MessageSystemAttributes" => Map("MessageSystemAttribute", "Name", "Value"),
        "Tags" | "tags" => Map("Tag", "Key", "Value"),
        "AttributeNames" => List("AttributeName"),
        "MessageAttributeNames" => List("MessageAttributeName"),
        "MessageSystemAttributeNames" => List("MessageSystemAttributeName"),
        "TagKeys" => List("TagKey"),
        "AWSAccountIds" => List("AWSAccountId"),
        "Actions" => List("ActionName"),
        "StringListValues" => List("StringListValue"),
        "BinaryListValues" => List("BinaryListValue"),
        "Entries" => List(match action {
            "SendMessageBatch" => "SendMessageBatchRequestEntry",
            "DeleteMessageBatch" => "DeleteMessageBatchRequestEntry",
            _ => "ChangeMessageVisibilityBatchRequestEntry",
        }),
        _ => return None,
    })
}

/// The form of a request.
pub(crate) fn form(action: &str, members: &Value) -> String {
    let mut fields = vec![("Action".to_owned(), action.to_owned()), ("Version".to_owned(), "2012-11-05".to_owned())];
    flatten(action, "", members, &mut fields);
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", percent_encoded(name), percent_encoded(value))).collect();
    pairs.join("&")
}

fn flatten(action: &str, prefix: &str, structure: &Value, fields: &mut Vec<(String, String)>) {
    for (member, value) in structure.as_object().unwrap() {
        match flattened(action, member) {
            Some(Flattened::List(name)) => {
                for (index, item) in value.as_array().unwrap().iter().enumerate() {
                    field(action, format!("{prefix}{name}.{}", index + 1), item, fields);
                }
            }
            Some(Flattened::Map(name, key_name, value_name)) => {
                for (index, (key, item)) in value.as_object().unwrap().iter().enumerate() {
                    let entry = format!("{prefix}{name}.{}", index + 1);
                    fields.push((format!("{entry}.{key_name}"), key.clone()));
                    field(action, format!("{entry}.{value_name}"), item, fields);
                }
            }
            None => field(action, format!("{prefix}{member}"), value, fields),
        }
    }
}

fn field(action: &str, name: String, value: &Value, fields: &mut Vec<(String, String)>) {
    match value {
        Value::Object(_) => flatten(action, &format!("{name}."), value, fields),
        Value::String(text) => fields.push((name, text.clone())),
        Value::Null => {}
        other => fields.push((name, other.to_string())),
    }
}

/// As URLs and forms want it.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Where an element of an answer belongs in its JSON twin.
enum Place {
    ListItem(&'static str),
    MapEntry(&'static str, &'static str),
    Member,
}

fn place(parent: &str, element: &str) -> Place {
    match (parent, element) {
        ("ListQueuesResult", "QueueUrl") => Place::ListItem("QueueUrls"),
        ("ListDeadLetterSourceQueuesResult", "QueueUrl") => Place::ListItem("queueUrls"),
        ("ReceiveMessageResult", "Message") => Place::ListItem("Messages"),
        ("GetQueueAttributesResult" | "Message", "Attribute") => Place::MapEntry("Attributes", "Name"),
        ("Message", "MessageAttribute") => Place::MapEntry("MessageAttributes", "Name"),
        ("ListQueueTagsResult", "Tag") => Place::MapEntry("Tags", "Key"),
        (_, "BatchResultErrorEntry") => Place::ListItem("Failed"),
        (_, entry) if entry.ends_with("BatchResultEntry") => Place::ListItem("Successful"),
        (_, "ListMessageMoveTasksResultEntry") => Place::ListItem("Results"),
        _ => Place::Member,
    }
}

/// What the JSON protocol would have answered.
pub(crate) fn result(element: &Element) -> Value {
    let mut members = Map::new();
    for child in &element.children {
        match place(&element.name, &child.name) {
            Place::ListItem(list) => {
                members
                    .entry(list)
                    .or_insert_with(|| Value::Array(Vec::new()))
                    .as_array_mut()
                    .unwrap()
                    .push(value(child));
            }
            Place::MapEntry(map, key) => {
                let key = child.text_of(key).to_owned();
                let entry = child.child("Value").map_or(Value::String(String::new()), value);
                members
                    .entry(map)
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
                    .unwrap()
                    .insert(key, entry);
            }
            Place::Member => {
                members.insert(child.name.clone(), value(child));
            }
        }
    }
    Value::Object(members)
}

fn value(element: &Element) -> Value {
    if !element.children.is_empty() {
        return result(element);
    }
    let text = element.text.as_str();
    match element.name.as_str() {
        "ApproximateNumberOfMessagesMoved"
        | "ApproximateNumberOfMessagesToMove"
        | "MaxNumberOfMessagesPerSecond"
        | "StartedTimestamp" => text.parse::<u64>().map_or(Value::Null, Value::from),
        "SenderFault" => text.parse::<bool>().map_or(Value::Null, Value::from),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::xml;

    #[test]
    fn members_are_flattened_as_the_model_names_them() {
        let members = json!({
            "QueueUrl": "http://h/q",
            "Entries": [{"Id": "1", "MessageBody": "a b", "DelaySeconds": 1,
                         "MessageAttributes": {"n": {"DataType": "String", "StringValue": "v&"}}}],
        });
        assert_eq!(
            form("SendMessageBatch", &members),
            "Action=SendMessageBatch&Version=2012-11-05&QueueUrl=http%3A%2F%2Fh%2Fq\
             &SendMessageBatchRequestEntry.1.Id=1&SendMessageBatchRequestEntry.1.MessageBody=a%20b\
             &SendMessageBatchRequestEntry.1.DelaySeconds=1\
             &SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n\
             &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String\
             &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v%26"
        );
    }

    #[test]
    fn repeated_elements_become_lists_and_maps() {
        let document = "<ReceiveMessageResult><Message><Body>b</Body><Attribute><Name>SenderId</Name><Value>s</Value>\
                        </Attribute><MessageAttribute><Name>n</Name><Value><DataType>String</DataType>\
                        <StringValue>v</StringValue></Value></MessageAttribute></Message></ReceiveMessageResult>";
        let expected = json!({"Messages": [{"Body": "b", "Attributes": {"SenderId": "s"},
            "MessageAttributes": {"n": {"DataType": "String", "StringValue": "v"}}}]});
        assert_eq!(result(&xml::parse(document).unwrap()), expected);
    }
}
