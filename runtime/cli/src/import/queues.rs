//! `AWS::SQS::Queue` to `[[queue]]`, and the policies of `AWS::SQS::QueuePolicy` to their queues.

use std::collections::BTreeMap;

use super::intrinsics::Physical;
use super::names::queue_name;
use super::node::Node;
use super::properties::{Properties, Scope};
use super::template::Resource;
use super::write::{Entry, Literal, Table};

/// What SQS, and the config, take of a policy.
const POLICY_BYTES_MAX: usize = 8192;

/// The config's queues, by name.
#[derive(Debug, Default)]
pub(super) struct Queues {
    entries: BTreeMap<String, Entry>,
}

impl Queues {
    /// Those of the template.
    pub(super) fn read(scope: Scope<'_>, active: &BTreeMap<&str, &Resource>) -> Self {
        let mut queues = Self::default();
        // All of them first, so that what names one finds it.
        for id in active.keys() {
            if let Some(Physical::Queue { name }) = scope.evaluator.physical(id) {
                let mut entry = Entry::default();
                if id != name {
                    entry.comments.push((*id).to_owned());
                }
                entry.set("name", Some(Literal::text(name)));
                queues.entries.insert(name.clone(), entry);
            }
        }
        for (id, resource) in active.iter().filter(|(_, resource)| resource.is_queue()) {
            if let Some(Physical::Queue { name }) = scope.evaluator.physical(id) {
                queues.read_queue(scope, id, name, resource);
            }
        }
        for (id, resource) in active.iter().filter(|(_, resource)| resource.kind == "AWS::SQS::QueuePolicy") {
            queues.read_policy(scope, id, resource);
        }
        queues
    }

    /// In the order of their names.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes sure of a queue that the template names and does not make.
    pub(super) fn ensure(&mut self, scope: Scope<'_>, place: &str, name: &str) {
        if self.entries.contains_key(name) {
            return;
        }
        scope.notes.differs(place, format!("the template does not make the queue {name}: an empty one stands for it"));
        let comments = vec!["The template refers to it and does not make it.".to_owned()];
        let mut entry = Entry { comments, ..Entry::default() };
        entry.set("name", Some(Literal::text(name)));
        self.entries.insert(name.to_owned(), entry);
    }

    fn read_queue(&mut self, scope: Scope<'_>, id: &str, name: &str, resource: &Resource) {
        let mut properties = Properties::of(scope, id, &resource.properties);
        // Both are in the name by now.
        properties.take_written("QueueName");
        properties.take_written("FifoQueue");
        let mut found = Entry::default();
        let mut number = |key, range, unit| properties.integer(key, range, unit).map(Literal::Number);
        found.set("visibility_timeout", number("VisibilityTimeout", 0..=43_200, " s"));
        found.set("delay_seconds", number("DelaySeconds", 0..=900, " s"));
        found.set("message_retention_period", number("MessageRetentionPeriod", 60..=1_209_600, " s"));
        found.set("receive_message_wait_time_seconds", number("ReceiveMessageWaitTimeSeconds", 0..=20, " s"));
        found.set("maximum_message_size", number("MaximumMessageSize", 1024..=1_048_576, " bytes"));
        found.set("redrive_policy", self.redrive_policy(&mut properties));
        found.set("redrive_allow_policy", redrive_allow_policy(&mut properties));
        if name.ends_with(".fifo") {
            let content_based = properties.boolean("ContentBasedDeduplication").map(Literal::Boolean);
            found.set("content_based_deduplication", content_based);
            found.set("deduplication_scope", properties.text("DeduplicationScope").map(Literal::Text));
            found.set("fifo_throughput_limit", properties.text("FifoThroughputLimit").map(Literal::Text));
        } else {
            properties.leave(&[
                ("ContentBasedDeduplication", false, "is for FIFO queues"),
                ("DeduplicationScope", false, "is for FIFO queues"),
                ("FifoThroughputLimit", false, "is for FIFO queues"),
            ]);
        }
        let key = properties.text("KmsMasterKeyId").map(Literal::Text);
        let reuse = properties.integer("KmsDataKeyReusePeriodSeconds", 60..=86_400, " s").map(Literal::Number);
        let managed = properties.boolean("SqsManagedSseEnabled");
        found.set("sqs_managed_sse_enabled", managed.filter(|is_on| !is_on || key.is_none()).map(Literal::Boolean));
        found.set("kms_master_key_id", key);
        found.set("kms_data_key_reuse_period_seconds", reuse);
        let tags = tags(&mut properties);
        properties.finish();
        if let Some(entry) = self.entries.get_mut(name) {
            entry.keys.extend(found.keys);
            if !tags.is_empty() {
                entry.tables.push(Table { name: "tags", comments: Vec::new(), keys: tags });
            }
        }
    }

    /// A map, or a JSON text of it.
    fn redrive_policy(&mut self, properties: &mut Properties<'_>) -> Option<Literal> {
        let (mut policy, place) = policy_of(properties, "RedrivePolicy")?;
        let target = policy.text("deadLetterTargetArn");
        let count = policy.integer("maxReceiveCount", 1..=1000, "");
        let scope = policy.scope();
        policy.finish();
        let (Some(target), Some(count)) = (target, count) else {
            scope.notes.differs(place, "it needs a queue's ARN and a count, so there is no dead-letter queue");
            return None;
        };
        let name = target.rsplit(':').next().unwrap_or_default();
        let is_queue = target.starts_with("arn:") && target.contains(":sqs:") && !name.is_empty();
        if !is_queue || queue_name(name, false) != name {
            scope
                .notes
                .differs(place, format!("{target:?} is not the ARN of a queue, so there is no dead-letter queue"));
            return None;
        }
        self.ensure(scope, &place, name);
        Some(Literal::Table(vec![
            ("dead_letter_target_arn".to_owned(), Literal::text(name)),
            ("max_receive_count".to_owned(), Literal::Number(count)),
        ]))
    }

    fn read_policy(&mut self, scope: Scope<'_>, id: &str, resource: &Resource) {
        let mut properties = Properties::of(scope, id, &resource.properties);
        let queues = properties.list("Queues");
        let Some((document, place)) = properties.take_whole("PolicyDocument") else { return properties.finish() };
        properties.finish();
        let text = document.text().unwrap_or_else(|| document.to_json().to_string());
        if text.len() > POLICY_BYTES_MAX {
            return scope.notes.aside(place, format!("it is longer than {POLICY_BYTES_MAX} bytes"));
        }
        for queue in queues {
            let name = match scope.evaluator.whole(&queue) {
                Ok(found) => found.and_then(|found| found.text()).unwrap_or_default(),
                Err(unknown) => {
                    scope.notes.aside(format!("{id}.Queues"), unknown.0);
                    continue;
                }
            };
            // `Ref` of a queue is its URL; an ARN is not what CloudFormation wants, but says as much.
            let name = name.rsplit(['/', ':']).next().unwrap_or_default();
            let Some(entry) = self.entries.get_mut(name) else {
                scope.notes.aside(format!("{id}.Queues"), format!("{name:?} is no queue of the template"));
                continue;
            };
            entry.keys.retain(|(key, _)| *key != "policy");
            entry.set("policy", Some(Literal::text(&text)));
        }
    }
}

fn policy_of<'s>(properties: &mut Properties<'s>, key: &str) -> Option<(Properties<'s>, String)> {
    let scope = properties.scope();
    let (node, place) = properties.take(key)?;
    let entries = match &node {
        Node::Map(entries) => entries.clone(),
        Node::Text(text) => match serde_json::from_str(text).map(Node::of_json) {
            Ok(Node::Map(entries)) => entries,
            _ => {
                scope.notes.differs(place, "it is a text, and no JSON object");
                return None;
            }
        },
        other => {
            scope.notes.differs(place, format!("a map is wanted here, and it is {}", other.kind()));
            return None;
        }
    };
    Some((Properties::of(scope, &place, &entries), place))
}

fn redrive_allow_policy(properties: &mut Properties<'_>) -> Option<Literal> {
    let (mut policy, place) = policy_of(properties, "RedriveAllowPolicy")?;
    let permission = policy.text("redrivePermission");
    let sources = policy.take_whole("sourceQueueArns");
    let scope = policy.scope();
    policy.finish();
    let Some(permission) = permission else {
        scope.notes.differs(place, "it does not say redrivePermission");
        return None;
    };
    let mut table = vec![("redrive_permission".to_owned(), Literal::text(permission))];
    if let Some((Node::List(arns), _)) = sources {
        let arns = arns.iter().filter_map(Node::text).map(Literal::Text).collect();
        table.push(("source_queue_arns".to_owned(), Literal::List(arns)));
    }
    Some(Literal::Table(table))
}

/// `Tags`: a list of keys and values.
fn tags(properties: &mut Properties<'_>) -> Vec<(String, Literal)> {
    let scope = properties.scope();
    let Some((node, place)) = properties.take("Tags") else { return Vec::new() };
    let pairs: Vec<(Option<String>, Node)> = match node {
        Node::List(items) => items
            .iter()
            .map(|item| (item.get("Key").and_then(Node::text), item.get("Value").cloned().unwrap_or(Node::Null)))
            .collect(),
        Node::Map(entries) => entries.into_iter().map(|(key, value)| (Some(key), value)).collect(),
        _ => Vec::new(),
    };
    let mut tags = Vec::new();
    for (key, value) in pairs {
        let Some(key) = key else { continue };
        match scope.evaluator.whole(&value) {
            Ok(found) => {
                tags.push((key, Literal::Text(found.and_then(|found| found.text()).unwrap_or_default())));
            }
            Err(unknown) => scope.notes.aside(format!("{place}.{key}"), unknown.0),
        }
    }
    tags.sort_by(|one, other| one.0.cmp(&other.0));
    tags
}
