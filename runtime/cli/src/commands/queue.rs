//! `wasmill queue ls | stats | send | purge`: on any SQS endpoint, through the AWS SDK. The other queue commands have
//! files of their own.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use wasmill_queue::{AttributeValue, MessageAttribute, OutgoingMessage, Queue, QueueError};
use wasmill_sqs::{NO_CONNECTION, QueueStats, RemoteOptions, RemoteQueue, RemoteSqs};

use crate::args::{LsArgs, PurgeArgs, QueueCommand, SendArgs, StatsArgs};
use crate::commands::{peek, print_line, redrive, serve};
use crate::error::CliError;

/// One MiB is the longest message; a little more is read to tell a long one from a cut one.
const BODY_BYTES_MAX: u64 = (1 << 20) + 1;

/// What an endpoint says to a request that was signed with the wrong key, or for the wrong region.
const NOT_LET_IN: [&str; 3] = ["InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken"];

/// Does one of the queue commands.
pub(crate) async fn queue(command: QueueCommand) -> Result<ExitCode, CliError> {
    match command {
        QueueCommand::Serve(args) => return serve::serve(args).await,
        QueueCommand::Ls(args) => ls(&args).await?,
        QueueCommand::Stats(args) => stats(&args).await?,
        QueueCommand::Send(args) => send(args).await?,
        QueueCommand::Peek(args) => peek::peek(&args).await?,
        QueueCommand::Redrive(args) => return redrive::redrive(&args).await,
        QueueCommand::Purge(args) => purge(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn ls(args: &LsArgs) -> Result<(), CliError> {
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let queues = service.list_queues("").await.map_err(|error| failed(&error, url, None))?;
    if args.endpoint.json {
        let rows: Vec<_> = queues.iter().map(|queue| json!({"name": queue.name, "url": queue.url})).collect();
        return print_line(json!(rows));
    }
    for queue in queues {
        print_line(queue.name)?;
    }
    Ok(())
}

async fn stats(args: &StatsArgs) -> Result<(), CliError> {
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let names = match &args.queue {
        Some(queue) => vec![queue.clone()],
        None => {
            let listed = service.list_queues("").await.map_err(|error| failed(&error, url, None))?;
            listed.into_iter().map(|queue| queue.url).collect()
        }
    };
    let mut rows = Vec::new();
    for name in &names {
        let queue = find(&service, name, url).await?;
        rows.push(queue.stats().await.map_err(|error| failed(&error, url, Some(name)))?);
    }
    if args.endpoint.json {
        return print_line(json!(rows.iter().map(stats_json).collect::<Vec<_>>()));
    }
    let width = rows.iter().map(|row| row.arn.name().len()).max().unwrap_or(0).max("QUEUE".len());
    print_line(format_args!("{:width$}  {:>9}  {:>9}  {:>9}", "QUEUE", "VISIBLE", "IN FLIGHT", "DELAYED"))?;
    for row in rows {
        let QueueStats { arn, visible, in_flight, delayed, .. } = row;
        print_line(format_args!("{:width$}  {visible:>9}  {in_flight:>9}  {delayed:>9}", arn.name()))?;
    }
    Ok(())
}

fn stats_json(row: &QueueStats) -> serde_json::Value {
    json!({
        "name": row.arn.name(),
        "arn": row.arn.as_str(),
        "visible": row.visible,
        "in_flight": row.in_flight,
        "delayed": row.delayed,
        "attributes": row.attributes,
    })
}

async fn send(args: SendArgs) -> Result<(), CliError> {
    let body = match (args.body, &args.body_file) {
        (Some(body), _) => body,
        (None, Some(path)) => read_body(path)?,
        (None, None) => return Err(CliError::usage("no body was given")),
    };
    let attribute =
        |(name, value)| MessageAttribute { name, data_type: "String".to_owned(), value: AttributeValue::Text(value) };
    let message = OutgoingMessage {
        body,
        delay_seconds: args.delay_seconds,
        attributes: args.attribute.into_iter().map(attribute).collect(),
        group_id: args.group_id,
        deduplication_id: args.deduplication_id,
        ..OutgoingMessage::default()
    };
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let queue = find(&service, &args.queue, url).await?;
    let at_queue = |error: &QueueError| failed(error, url, Some(&args.queue));
    let results = queue.send(vec![message]).await.map_err(|error| at_queue(&error))?;
    for result in results {
        let sent = result.map_err(|error| at_queue(&error))?;
        if args.endpoint.json {
            let mut shown = json!({"message_id": sent.id.as_str(), "md5_of_body": sent.md5_of_body});
            if let Some(number) = sent.sequence_number {
                shown["sequence_number"] = json!(number);
            }
            print_line(shown)?;
        } else {
            print_line(sent.id)?;
        }
    }
    Ok(())
}

async fn purge(args: &PurgeArgs) -> Result<(), CliError> {
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let queue = find(&service, &args.queue, url).await?;
    queue.purge().await.map_err(|error| failed(&error, url, Some(&args.queue)))?;
    if args.endpoint.json {
        return print_line(json!({"purged": queue.arn().name()}));
    }
    print_line(format_args!("purged {}", queue.arn().name()))
}

/// A client of the service at a URL.
pub(super) async fn connect(endpoint_url: &str) -> Result<RemoteSqs, CliError> {
    let options = RemoteOptions { endpoint_url: Some(endpoint_url.to_owned()), region: None, anonymous_local: true };
    RemoteSqs::connect(options).await.map_err(|error| CliError::usage(error.to_string()))
}

/// A queue by name or URL.
pub(super) async fn find(service: &RemoteSqs, name: &str, endpoint_url: &str) -> Result<RemoteQueue, CliError> {
    let found = if name.contains("://") { service.queue_by_url(name).await } else { service.queue_by_name(name).await };
    found.map_err(|error| failed(&error, endpoint_url, Some(name)))
}

/// A failed call as the command's end.
pub(super) fn failed(error: &QueueError, endpoint_url: &str, queue: Option<&str>) -> CliError {
    let place = queue.map_or_else(|| endpoint_url.to_owned(), |queue| format!("queue {queue} at {endpoint_url}"));
    let error_here = match error {
        QueueError::NoSuchQueue => {
            CliError::unavailable(error.to_string()).with_mend("`wasmill queue ls` lists the queues that are there")
        }
        QueueError::Unavailable(what) if what.starts_with(NO_CONNECTION) => CliError::unavailable(what.clone())
            .with_mend("start one with `wasmill dev`, `wasmill run` or `wasmill queue serve`, or give its --endpoint-url"),
        QueueError::Unavailable(what) => CliError::unavailable(what.clone()),
        QueueError::Refused { code, .. } if NOT_LET_IN.contains(&code.as_str()) => {
            CliError::failure(error.to_string()).with_mend(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that the endpoint knows, and AWS_REGION to its \
                 region",
            )
        }
        _ => CliError::failure(error.to_string()),
    };
    error_here.at(place)
}

fn read_body(path: &Path) -> Result<String, CliError> {
    let failed = |what: String| CliError::usage(what).at(format!("--body-file {}", path.display()));
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(BODY_BYTES_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(BODY_BYTES_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|error| failed(format!("the body cannot be read: {error}")))?;
    if bytes.len() as u64 == BODY_BYTES_MAX {
        return Err(failed("the body is longer than 1 MiB, the longest that SQS takes".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| failed("the body is not UTF-8 text, which is all that SQS takes".to_owned()))
}
