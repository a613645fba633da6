//! `wasmill check --live`: what will hurt although it is no mistake. The queues are asked, permissions are tried, and each
//! finding says how to mend it. Nothing is received and nothing changes.

mod advice;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use wasmill_queue::{Queue, QueueError, ReceiptHandle, VisibilityChange};
use wasmill_sqs::RemoteQueue;

use self::advice::{Advice, Attributes, Facts, Refusal};
use crate::args::{CheckArgs, PeekArgs};
use crate::assemble;
use crate::commands::queue::{connect, find};
use crate::commands::{peek, print_line};
use crate::config::{self, Config, FunctionSpec, MappingSource, MappingSpec, RemoteAddress, Runtime};
use crate::error::CliError;

/// How many bodies are looked at.
const SAMPLE: u32 = 50;
/// No delivery has this receipt: what is done with it changes nothing, and is refused to those who may not do it.
const NO_RECEIPT: &str = "wasmill-check-no-such-delivery";
/// The member of Lambda's answer by which a handler tells which messages failed.
const FAILURES: &[u8] = b"batchItemFailures";
/// Code files longer than this are not looked into.
const CODE_BYTES_MAX: u64 = 64 << 20;

/// Prints what is found, in the order of the mappings and then of the machine. True: nothing is.
pub(super) async fn examine(args: &CheckArgs, config: &Config) -> Result<bool, CliError> {
    let mut found = Vec::new();
    for mapping in config.mappings.iter().filter(|mapping| mapping.enabled) {
        let function = config.functions.iter().find(|function| function.name == mapping.function_name);
        let function = function.ok_or_else(|| CliError::internal("a mapping's function was not loaded"))?;
        let mut facts = Facts::of(mapping, function);
        facts.handler_tells_failures = tells_failures(function);
        match &mapping.source {
            MappingSource::Local { queue_name } => {
                ask_local(config, queue_name, &mut facts).await;
                facts.bodies = bodies(args, config, mapping).await;
            }
            MappingSource::Remote(remote) => ask_remote(remote, &mut facts).await,
        }
        found.extend(advice::of_mapping(&facts));
    }
    found.extend(advice::of_functions(&config.functions, &config.mappings, machine_memory_mib()));
    tell(&found, args.json)
}

fn tell(found: &[Advice], as_json: bool) -> Result<bool, CliError> {
    if as_json {
        let rows: Vec<Value> =
            found.iter().map(|advice| json!({"key": advice.key, "what": advice.what, "mend": advice.mend})).collect();
        print_line(json!({ "live": rows }))?;
    } else {
        found.iter().try_for_each(print_line)?;
        if found.is_empty() {
            print_line("live: nothing was found that would hurt")?;
        }
    }
    Ok(found.is_empty())
}

/// The running queue, and where none answers what the config says of it.
async fn ask_local(config: &Config, name: &str, facts: &mut Facts<'_>) {
    let listen = config.local_queue.as_ref().map(|local| local.listen).filter(|listen| listen.port() != 0);
    let written = |name: &str| config.queues.iter().find(|queue| queue.name == name).map(Attributes::of_spec);
    let running = async |name: &str| {
        let url = format!("http://{}", listen?);
        let service = connect(&url).await.ok()?;
        let stats = find(&service, name, &url).await.ok()?.stats().await.ok()?;
        Some(Attributes::of(&stats.attributes))
    };
    facts.source = running(name).await.or_else(|| written(name));
    let target = facts.source.as_ref().and_then(|source| source.dead_letter_queue.clone());
    if let Some(target) = target {
        let target = target.rsplit(':').next().unwrap_or_default().to_owned();
        facts.dead_letters = running(&target).await.or_else(|| written(&target));
    }
}

async fn ask_remote(remote: &config::RemoteQueue, facts: &mut Facts<'_>) {
    let queue = match assemble::open_remote(remote).await {
        Ok(queue) => queue,
        Err(error) => return facts.refusals.push(Refusal { permission: "sqs:GetQueueAttributes", error }),
    };
    match queue.stats().await {
        Ok(stats) => facts.source = Some(Attributes::of(&stats.attributes)),
        Err(error) => facts.refusals.push(Refusal { permission: "sqs:GetQueueAttributes", error }),
    }
    try_permissions(&queue, facts).await;
    let target = facts.source.as_ref().and_then(|source| source.dead_letter_queue.clone());
    if let Some(arn) = target {
        let parts: Vec<&str> = arn.split(':').collect();
        let (account_id, name) = (parts.get(4).copied(), parts.get(5).copied());
        let (account_id, name) = (account_id.unwrap_or_default().to_owned(), name.unwrap_or_default().to_owned());
        let target = config::RemoteQueue { address: RemoteAddress::Arn { arn, account_id }, name, ..remote.clone() };
        match assemble::open_remote(&target).await {
            Ok(queue) => match queue.stats().await {
                Ok(stats) => facts.dead_letters = Some(Attributes::of(&stats.attributes)),
                Err(error) => facts.refusals.push(Refusal { permission: "sqs:GetQueueAttributes", error }),
            },
            Err(QueueError::NoSuchQueue) => facts.lacks_dead_letter_queue = true,
            Err(error) => facts.refusals.push(Refusal { permission: "sqs:GetQueueUrl", error }),
        }
    }
}

/// Does with a delivery that does not exist what a mapping does with those that do.
async fn try_permissions(queue: &RemoteQueue, facts: &mut Facts<'_>) {
    let receipt = ReceiptHandle::new(NO_RECEIPT);
    let change = VisibilityChange { receipt: receipt.clone(), timeout_seconds: 1 };
    let changed = queue.change_visibility(&[change]).await.map(drop);
    let deleted = queue.delete(&[receipt]).await.map(drop);
    let tried = [("sqs:ChangeMessageVisibility", changed), ("sqs:DeleteMessage", deleted)];
    for (permission, outcome) in tried {
        if let Err(error) = outcome {
            facts.refusals.push(Refusal { permission, error });
        }
    }
}

/// Whether the bodies that are there are JSON objects. None where no worker shows them.
async fn bodies(args: &CheckArgs, config: &Config, mapping: &MappingSpec) -> Vec<bool> {
    if mapping.filter_patterns.is_empty() || config.admin.listen.port() == 0 {
        return Vec::new();
    }
    let wanted = PeekArgs {
        queue: mapping.source.queue_name().to_owned(),
        max: SAMPLE,
        state: None,
        admin_url: format!("http://{}", config.admin.listen),
        receive: false,
        visibility_timeout: 0,
        endpoint_url: args.endpoint_url.clone(),
        json: false,
    };
    let is_object = |message: &Value| {
        let body = message["body"].as_str().unwrap_or_default();
        serde_json::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(body).is_ok()
    };
    peek::messages(&wanted).await.map(|messages| messages.iter().map(is_object).collect()).unwrap_or_default()
}

/// Whether the word stands in the handler's own file: a module's data, or a source.
fn tells_failures(function: &FunctionSpec) -> bool {
    let file = match function.runtime {
        Runtime::Wasm => Some(function.code.clone()),
        _ if function.code.is_file() => Some(function.code.clone()),
        runtime => runtime.file_of(&function.code, &function.handler),
    };
    file.is_some_and(|file| holds(&file, FAILURES))
}

fn holds(file: &Path, word: &[u8]) -> bool {
    let is_small = std::fs::metadata(file).is_ok_and(|found| found.len() <= CODE_BYTES_MAX);
    is_small && std::fs::read(file).is_ok_and(|bytes| bytes.windows(word.len()).any(|part| part == word))
}

/// None where the system does not tell it as Linux does.
fn machine_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
