//! `wasmill check --against QUEUE`: what the config's filters would do with messages that are there, before they do it.
//!
//! The messages are looked at as `queue peek` does: nothing is received from the built-in queue, and elsewhere only on
//! request, as it costs each message a receive.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use wasmill_event::{AttributeValue, MessageAttribute, Record, SystemValue};
use wasmill_mapping::Filters;

use crate::args::{CheckArgs, PeekArgs};
use crate::commands::{peek, print_line};
use crate::config::{Config, MappingSpec, OnFiltered};
use crate::error::CliError;

/// So many of the messages that no filter matches are named.
const NAMED_MAX: usize = 5;

/// What one mapping's filters do with the sample.
pub(super) struct Outcome<'c> {
    mapping: &'c MappingSpec,
    sample: usize,
    /// By filter.
    matched: Vec<usize>,
    /// Ids of messages that none matched.
    unmatched: Vec<String>,
}

/// Runs the filters of every mapping from that queue over a sample of its messages.
pub(super) async fn run<'c>(args: &CheckArgs, config: &'c Config, against: &str) -> Result<Vec<Outcome<'c>>, CliError> {
    let name = against.rsplit(['/', ':']).next().unwrap_or_default();
    let mappings: Vec<&MappingSpec> =
        config.mappings.iter().filter(|mapping| mapping.source.queue_name() == name).collect();
    if mappings.is_empty() {
        let what = format!("no mapping of {} polls a queue {name:?}", args.config.display());
        return Err(CliError::usage(what).with_mend("name a queue that one of its mappings has as event_source_arn"));
    }
    let messages = peek::messages(&PeekArgs {
        queue: if args.receive { against } else { name }.to_owned(),
        max: args.sample,
        state: None,
        admin_url: args.admin_url.clone(),
        receive: args.receive,
        visibility_timeout: HIDDEN_SECONDS,
        endpoint_url: args.endpoint_url.clone(),
        json: false,
    })
    .await?;
    let records: Vec<Record> = messages.iter().map(record).collect();
    mappings.into_iter().map(|mapping| judge(mapping, &records)).collect()
}

/// With `--receive`: how long a message is hidden if it cannot be given back.
const HIDDEN_SECONDS: u32 = 30;

fn judge<'c>(mapping: &'c MappingSpec, records: &[Record]) -> Result<Outcome<'c>, CliError> {
    let filters = Filters::parse(&mapping.filter_patterns)
        .map_err(|error| CliError::config(error.to_string()).at(&mapping.key))?;
    let mut outcome =
        Outcome { mapping, sample: records.len(), matched: vec![0; filters.len().max(1)], unmatched: Vec::new() };
    for record in records {
        match filters.first_match(record) {
            Some(index) => outcome.matched[index] += 1,
            None => outcome.unmatched.push(record.message_id.to_string()),
        }
    }
    Ok(outcome)
}

impl Outcome<'_> {
    fn fate(&self) -> String {
        match &self.mapping.on_filtered {
            OnFiltered::Delete => "deleted".to_owned(),
            OnFiltered::Keep => "kept".to_owned(),
            OnFiltered::Forward(to) => format!("forwarded to {}", to.queue_name()),
        }
    }

    /// For people, or one JSON object.
    pub(super) fn tell(&self, as_json: bool) -> Result<(), CliError> {
        if as_json { print_line(self.to_json()) } else { self.print() }
    }

    fn print(&self) -> Result<(), CliError> {
        let sample = self.sample;
        let (mapping, handled) = (self.mapping, self.matched.iter().sum::<usize>());
        print_line(format_args!("{} ({}): a sample of {sample} messages", mapping.key, mapping.function_name))?;
        print_line(format_args!("  {handled} would be handled"))?;
        for (index, count) in self.matched.iter().enumerate().filter(|_| !mapping.filter_patterns.is_empty()) {
            print_line(format_args!("    {count} by filters[{index}] {}", mapping.filter_patterns[index]))?;
        }
        print_line(format_args!("  {} would be {}", self.unmatched.len(), self.fate()))?;
        for id in self.unmatched.iter().take(NAMED_MAX) {
            print_line(format_args!("    {id}"))?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        json!({
            "mapping": self.mapping.key,
            "sample": self.sample,
            "matched_by_filter": self.matched,
            "unmatched": self.unmatched,
            "on_filtered": self.fate(),
        })
    }
}

/// A message as the admin listener shows it, as filters see it.
fn record(message: &Value) -> Record {
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    let number = |key: &str| message[key].as_u64().map(SystemValue::Number);
    let said = |key: &str| message[key].as_str().map(|text| SystemValue::Text(text.to_owned()));
    let system = [
        ("ApproximateReceiveCount", number("receive_count")),
        ("AWSTraceHeader", said("trace_header")),
        ("SentTimestamp", number("sent_unix_ms")),
        ("SequenceNumber", said("sequence_number")),
        ("MessageGroupId", said("group_id")),
        ("SenderId", said("sender_id")),
        ("MessageDeduplicationId", said("deduplication_id")),
        ("DeadLetterQueueSourceArn", said("dead_letter_source_arn")),
        ("ApproximateFirstReceiveTimestamp", number("first_received_unix_ms")),
    ];
    let attributes = message["attributes"].as_object().into_iter().flatten().map(|(name, value)| MessageAttribute {
        name: name.clone(),
        data_type: value["data_type"].as_str().unwrap_or_default().to_owned(),
        value: match value["base64"].as_str() {
            Some(encoded) => AttributeValue::Binary(BASE64.decode(encoded).unwrap_or_default()),
            None => AttributeValue::Text(value["text"].as_str().unwrap_or_default().to_owned()),
        },
    });
    Record {
        message_id: text("message_id").into(),
        receipt_handle: "".into(),
        body: text("body"),
        attributes: system.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        message_attributes: attributes.collect(),
        md5_of_message_attributes: None,
        md5_of_body: text("md5_of_body"),
        event_source_arn: "".into(),
        aws_region: "".into(),
    }
}
