//! A redrive that chooses: `--where`, `--edit`, `--dry-run`. The service's own move tasks cannot, so this one receives, sends and
//! deletes, on any SQS service.
//!
//! Every message that is received is accounted for: moved, kept (it did not match, or was left out while editing), or failed.
//! What is not moved is given back, and its receive count went up by one. No more are handled than were visible at the start, so
//! that what fails again and comes back is not moved again. A killed run goes on from its journal.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wasmill_mapping::Filters;
use wasmill_queue::{
    AttributeValue, Message, MessageAttribute, MessageId, OutgoingMessage, Queue, QueueArn, QueueError, ReceiptHandle,
    ReceiveRequest, SystemAttributes,
};
use wasmill_sqs::{RemoteQueue, RemoteSqs};

use super::journal::Journal;
use super::progress::Progress;
use crate::args::{PeekArgs, RedriveArgs};
use crate::commands::queue::{connect, failed, find};
use crate::commands::{peek, print_line};
use crate::error::CliError;

/// What one receive of SQS hands out.
const RECEIVE_MAX: u32 = 10;
/// How long messages are hidden meanwhile; they are given back earlier. While one is edited nobody else may get it.
const HIDE_SECONDS: u32 = 120;
const HIDE_EDITED_SECONDS: u32 = 3600;
/// The most that a dry run looks at.
const LOOK_MAX: u32 = 1000;
/// What wasmill itself added when it moved the message.
const MARKS: &str = "Wasmill";

/// What became of the messages.
#[derive(Debug, Default)]
struct Account {
    moved: u64,
    kept: u64,
    failed: u64,
    /// Of those moved: an earlier run had sent them, and they only had to be deleted.
    already_sent: u64,
    /// Of those moved: an earlier run was stopped while it sent them, so they may be there twice.
    maybe_twice: u64,
    first_problem: Option<String>,
}

impl Account {
    fn handled(&self) -> u64 {
        self.moved + self.kept + self.failed
    }

    fn fail(&mut self, problem: String) {
        self.failed += 1;
        self.first_problem.get_or_insert(problem);
    }
}

/// Moves what matches, or says what would be moved.
pub(super) async fn redrive(args: &RedriveArgs) -> Result<ExitCode, CliError> {
    let patterns: Vec<&String> = args.pattern.iter().collect();
    let filters = Filters::parse(&patterns).map_err(|error| {
        CliError::usage(error.to_string()).at("--where").with_mend(
            "write a filter pattern as event source mappings have, such as '{\"body\":{\"type\":[\"order\"]}}'",
        )
    })?;
    if args.dry_run {
        return dry_run(args, &filters).await;
    }
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let queue = find(&service, &args.queue, url).await?;
    let at_queue = |error: QueueError| failed(&error, url, Some(&args.queue));
    let is_fifo = queue.attributes().await.map_err(at_queue)?.fifo;
    if is_fifo && args.pattern.is_some() {
        return Err(CliError::usage(
            "a FIFO queue hands a group's messages out in order: what does not match would stand in the way",
        )
        .at("--where")
        .with_mend("redrive the queue without it"));
    }
    let destination = match &args.to {
        Some(name) => Some(find(&service, name, url).await?),
        None => None,
    };
    let total = queue.stats().await.map_err(at_queue)?.visible;
    let folder = journal_folder()?;
    let journal = Journal::open(&folder, queue.arn().as_str()).map_err(|error| {
        CliError::unavailable(format!("the journal cannot be used: {error}"))
            .at(folder.display().to_string())
            .with_mend("end the other redrive of this queue, or let this user write there")
    })?;
    let mut run = Run {
        args,
        filters,
        service,
        queue,
        destination,
        sources: Vec::new(),
        journal,
        kept: Vec::new(),
        known: HashSet::new(),
        account: Account::default(),
        progress: Progress::new(total),
        began: Instant::now(),
    };
    let outcome = run.until(total).await;
    run.progress.end();
    // Also after an error: what was received and not moved must not stay hidden.
    let kept = std::mem::take(&mut run.kept);
    let given_back = run.queue.release(&kept).await;
    outcome.map_err(at_queue)?;
    given_back.map_err(at_queue)?;
    let Run { journal, account, .. } = run;
    if account.failed == 0 {
        // Without it the next run would only read more than it needs to.
        let _ = journal.end();
    }
    report(&account, args)?;
    Ok(if account.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(account: &Account, args: &RedriveArgs) -> Result<(), CliError> {
    let Account { moved, kept, failed, already_sent, maybe_twice, first_problem } = account;
    if args.endpoint.json {
        return print_line(json!({
            "moved": moved, "kept": kept, "failed": failed,
            "already_sent": already_sent, "maybe_twice": maybe_twice, "problem": first_problem,
        }));
    }
    let mut line = format!("{moved} moved, {kept} kept, {failed} failed");
    if *already_sent > 0 {
        line.push_str(&format!("; {already_sent} of the moved had been sent by an earlier run"));
    }
    if *maybe_twice > 0 {
        line.push_str(&format!(
            "; {maybe_twice} of the moved may be there twice: an earlier run was stopped as it sent them"
        ));
    }
    if let Some(problem) = first_problem {
        line.push_str(&format!(": {problem}"));
    }
    print_line(line)
}

/// Where journals are: `$XDG_STATE_HOME/wasmill/redrive`, else below `~/.local/state`.
fn journal_folder() -> Result<PathBuf, CliError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("wasmill/redrive")).ok_or_else(|| {
        CliError::unavailable("there is no place for the journal").with_mend("set XDG_STATE_HOME or HOME")
    })
}

struct Run<'a> {
    args: &'a RedriveArgs,
    filters: Filters,
    service: RemoteSqs,
    queue: RemoteQueue,
    destination: Option<RemoteQueue>,
    /// The queues that gave messages up, as far as they were met.
    sources: Vec<(String, RemoteQueue)>,
    journal: Journal,
    /// To be given back.
    kept: Vec<ReceiptHandle>,
    /// The ids of what was handled: what comes again is not counted again.
    known: HashSet<String>,
    account: Account,
    progress: Progress,
    began: Instant,
}

impl Run<'_> {
    async fn until(&mut self, total: u64) -> Result<(), QueueError> {
        let batch = if self.args.edit { 1 } else { RECEIVE_MAX };
        let hide = if self.args.edit { HIDE_EDITED_SECONDS } else { HIDE_SECONDS };
        while self.account.handled() < total {
            let left = u32::try_from(total - self.account.handled()).unwrap_or(u32::MAX);
            let request = ReceiveRequest {
                max_messages: left.min(batch),
                wait: Duration::from_secs(1),
                visibility_timeout_seconds: Some(hide),
                attempt_id: None,
            };
            let received = self.queue.receive(request).await?;
            if received.is_empty() {
                return Ok(());
            }
            self.take(received).await?;
            self.progress.at(self.account.handled(), self.queue.arn().name());
            self.keep_to_the_rate().await;
        }
        Ok(())
    }

    async fn take(&mut self, received: Vec<Message>) -> Result<(), QueueError> {
        let arn = self.queue.arn().clone();
        let (mut done_before, mut chosen) = (Vec::new(), Vec::new());
        for message in received {
            if !self.known.insert(message.id.as_str().to_owned()) {
                self.kept.push(message.receipt);
            } else if self.journal.was_sent(message.id.as_str()) {
                self.account.already_sent += 1;
                done_before.push(message);
            } else if !self.filters.is_empty() && !self.filters.match_message(&message, &arn) {
                self.account.kept += 1;
                self.kept.push(message.receipt);
            } else {
                chosen.push(message);
            }
        }
        if self.args.edit {
            chosen = self.edit(chosen);
        }
        self.delete(&done_before).await?;
        for (destination, messages) in self.by_destination(chosen).await {
            self.send(&destination, messages).await?;
        }
        Ok(())
    }

    /// Lets a person change each body. An emptied one stays where it is.
    fn edit(&mut self, messages: Vec<Message>) -> Vec<Message> {
        self.progress.end();
        let mut chosen = Vec::new();
        for mut message in messages {
            match edited(message.id.as_str(), &message.body) {
                Ok(Some(body)) => {
                    message.body = body;
                    chosen.push(message);
                }
                Ok(None) => {
                    self.account.kept += 1;
                    self.kept.push(message.receipt);
                }
                Err(problem) => {
                    self.account.fail(problem);
                    self.kept.push(message.receipt);
                }
            }
        }
        chosen
    }

    /// Where each message goes. One whose place cannot be found fails, and stays.
    async fn by_destination(&mut self, messages: Vec<Message>) -> Vec<(RemoteQueue, Vec<Message>)> {
        let mut groups: Vec<(RemoteQueue, Vec<Message>)> = Vec::new();
        for message in messages {
            let found = match &self.destination {
                Some(destination) => Ok(destination.clone()),
                None => self.source_of(&message).await,
            };
            match found {
                Ok(queue) => match groups.iter_mut().find(|(known, _)| known.arn() == queue.arn()) {
                    Some((_, group)) => group.push(message),
                    None => groups.push((queue, vec![message])),
                },
                Err(problem) => {
                    self.account.fail(problem);
                    self.kept.push(message.receipt);
                }
            }
        }
        groups
    }

    async fn source_of(&mut self, message: &Message) -> Result<RemoteQueue, String> {
        let marked = message.attributes.iter().find(|attribute| attribute.name == "WasmillSourceArn");
        let marked = marked.and_then(|attribute| match &attribute.value {
            AttributeValue::Text(text) => Some(text.clone()),
            AttributeValue::Binary(_) => None,
        });
        let source = message.system.dead_letter_source_arn.clone().or(marked);
        let source = source.ok_or_else(|| format!("{} does not say where it came from: give --to", message.id))?;
        if let Some((_, queue)) = self.sources.iter().find(|(known, _)| *known == source) {
            return Ok(queue.clone());
        }
        let arn = QueueArn::parse(&source).map_err(|error| format!("{source}: {error}"))?;
        let queue = self.service.queue_by_arn(&arn).await.map_err(|error| format!("{source}: {error}"))?;
        self.sources.push((source, queue.clone()));
        Ok(queue)
    }

    async fn send(&mut self, to: &RemoteQueue, messages: Vec<Message>) -> Result<(), QueueError> {
        let in_journal = |error: std::io::Error| QueueError::Unavailable(format!("the journal: {error}"));
        let is_fifo = to.attributes().await?.fifo;
        let twice = messages.iter().filter(|message| self.journal.may_have_been_sent(message.id.as_str())).count();
        self.journal.note(messages.iter().map(|message| message.id.as_str()), false).map_err(in_journal)?;
        let outgoing = messages.iter().map(|message| outgoing(message, is_fifo)).collect();
        let results = match to.send(outgoing).await {
            Ok(results) => results,
            Err(error) => vec![Err(error); messages.len()],
        };
        let mut arrived = Vec::new();
        for (message, result) in messages.into_iter().zip(results) {
            match result {
                Ok(_) => arrived.push(message),
                Err(error) => {
                    self.account.fail(format!("{} was not sent to {}: {error}", message.id, to.arn().name()));
                    self.kept.push(message.receipt);
                }
            }
        }
        self.journal.note(arrived.iter().map(|message| message.id.as_str()), true).map_err(in_journal)?;
        if !is_fifo {
            self.account.maybe_twice += twice as u64;
        }
        self.delete(&arrived).await
    }

    /// Deletes what was sent. What cannot be is known to the journal, and to be deleted by the next run.
    async fn delete(&mut self, messages: &[Message]) -> Result<(), QueueError> {
        let receipts: Vec<ReceiptHandle> = messages.iter().map(|message| message.receipt.clone()).collect();
        for (message, result) in messages.iter().zip(self.queue.delete(&receipts).await?) {
            match result {
                Ok(()) => self.account.moved += 1,
                Err(error) => {
                    self.account
                        .fail(format!("{} was sent, but is not deleted yet: {error}; run it again", message.id));
                }
            }
        }
        Ok(())
    }

    async fn keep_to_the_rate(&self) {
        if let Some(rate) = self.args.max_per_second {
            let due = Duration::from_secs_f64(self.account.moved as f64 / f64::from(rate));
            tokio::time::sleep(due.saturating_sub(self.began.elapsed())).await;
        }
    }
}

/// The message as it is sent, without what wasmill had added to it. On a FIFO queue its id makes it one, however often it is sent.
fn outgoing(message: &Message, is_fifo: bool) -> OutgoingMessage {
    let own = message.attributes.iter().filter(|attribute| !attribute.name.starts_with(MARKS)).cloned();
    OutgoingMessage {
        body: message.body.clone(),
        delay_seconds: None,
        attributes: own.collect(),
        trace_header: message.system.trace_header.clone(),
        group_id: message.system.group_id.clone().or_else(|| is_fifo.then(|| "redriven".to_owned())),
        deduplication_id: is_fifo.then(|| message.id.as_str().to_owned()),
    }
}

/// A body after its person's editor; none when it was emptied.
fn edited(id: &str, body: &str) -> Result<Option<String>, String> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let name = format!("wasmill-{}-{id}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    let problem = |what: String| format!("{}: {what}", path.display());
    std::fs::write(&path, body).map_err(|error| problem(error.to_string()))?;
    // As git does: the variable may hold arguments.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
    let read = match status {
        Ok(status) if status.success() => std::fs::read_to_string(&path).map_err(|error| problem(error.to_string())),
        Ok(status) => Err(problem(format!("the editor ended with {status}"))),
        Err(error) => Err(problem(format!("{editor} cannot be started: {error}"))),
    };
    let _ = std::fs::remove_file(&path);
    let text = read?;
    // Editors end a file with a newline, which the message did not have.
    let text = match text.strip_suffix('\n') {
        Some(rest) if !body.ends_with('\n') => rest.to_owned(),
        _ => text,
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

/// Says what would be moved, by looking only: nothing is received.
async fn dry_run(args: &RedriveArgs, filters: &Filters) -> Result<ExitCode, CliError> {
    let look = PeekArgs {
        queue: args.queue.clone(),
        max: LOOK_MAX,
        state: None,
        admin_url: args.admin_url.clone(),
        receive: false,
        visibility_timeout: 30,
        endpoint_url: args.endpoint.endpoint_url.clone(),
        json: false,
    };
    let seen = peek::messages(&look).await?;
    // A pattern sees what a mapping on the queue would; its ARN is of no interest to it.
    let arn = QueueArn::new("us-east-1", "000000000000", args.queue.rsplit('/').next().unwrap_or_default());
    let matches = |shown: &&Value| filters.is_empty() || filters.match_message(&message_of(shown), &arn);
    let chosen: Vec<&Value> = seen.iter().filter(matches).collect();
    if args.endpoint.json {
        let ids: Vec<&Value> = chosen.iter().map(|message| &message["message_id"]).collect();
        print_line(json!({ "would_move": ids, "would_keep": seen.len() - chosen.len() }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for message in &chosen {
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        let to = args.to.as_deref().unwrap_or_else(|| text("dead_letter_source_arn").rsplit(':').next().unwrap_or("?"));
        print_line(format_args!("{}  to {to}  {}", text("message_id"), first_line(text("body"))))?;
    }
    let first = if seen.len() >= LOOK_MAX as usize { format!(" of the first {LOOK_MAX}") } else { String::new() };
    print_line(format_args!("would move {} and keep {}{first}", chosen.len(), seen.len() - chosen.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn first_line(body: &str) -> String {
    const SHOWN: usize = 100;
    let line: String = body.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    if line.len() < body.len() { format!("{line}…") } else { line }
}

/// A message as the admin listener shows it, as a filter sees it.
fn message_of(shown: &Value) -> Message {
    let text = |key: &str| shown[key].as_str().map(str::to_owned);
    let number = |key: &str| shown[key].as_u64().unwrap_or_default();
    let attributes = shown["attributes"].as_object().into_iter().flatten().map(|(name, value)| MessageAttribute {
        name: name.clone(),
        data_type: value["data_type"].as_str().unwrap_or_default().to_owned(),
        value: match value["text"].as_str() {
            Some(text) => AttributeValue::Text(text.to_owned()),
            None => {
                AttributeValue::Binary(BASE64.decode(value["base64"].as_str().unwrap_or_default()).unwrap_or_default())
            }
        },
    });
    Message {
        id: MessageId::new(text("message_id").unwrap_or_default()),
        receipt: ReceiptHandle::new(""),
        body: text("body").unwrap_or_default(),
        md5_of_body: text("md5_of_body").unwrap_or_default(),
        system: SystemAttributes {
            sender_id: text("sender_id"),
            sent_unix_ms: number("sent_unix_ms"),
            receive_count: u32::try_from(number("receive_count")).unwrap_or(u32::MAX),
            first_received_unix_ms: number("first_received_unix_ms"),
            trace_header: text("trace_header"),
            group_id: text("group_id"),
            deduplication_id: text("deduplication_id"),
            sequence_number: text("sequence_number"),
            dead_letter_source_arn: text("dead_letter_source_arn"),
        },
        attributes: attributes.collect(),
    }
}
