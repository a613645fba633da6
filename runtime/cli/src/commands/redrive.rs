//! `wasmill queue redrive`: a message move task of the service, started, waited for or cancelled; or one of our own, which chooses.

mod journal;
mod progress;
mod selected;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use wasmill_queue::{Queue, QueueError};
use wasmill_sqs::{RemoteMoveTask, RemoteQueue};

use crate::args::RedriveArgs;
use crate::commands::print_line;
use crate::commands::queue::{connect, failed, find};
use crate::error::CliError;

/// Between two looks at a task that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How long a cancelled task may take to stop before the command ends without it.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// Starts a task, and with `--wait` stays with it; or cancels one.
pub(super) async fn redrive(args: &RedriveArgs) -> Result<ExitCode, CliError> {
    if args.pattern.is_some() || args.edit || args.dry_run {
        return selected::redrive(args).await;
    }
    let url = &args.endpoint.endpoint_url;
    let service = connect(url).await?;
    let queue = find(&service, &args.queue, url).await?;
    let at_queue = |error: QueueError| failed(&error, url, Some(&args.queue));
    if args.cancel {
        cancel(&queue, args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let destination = match &args.to {
        Some(name) => Some(find(&service, name, url).await?.arn().clone()),
        None => None,
    };
    let handle = queue.start_move_task(destination.as_ref(), args.max_per_second).await.map_err(at_queue)?;
    if args.wait {
        let task = wait(&queue).await.map_err(at_queue)?;
        return print_task(&task, args);
    }
    if args.endpoint.json {
        print_line(json!({ "task_handle": handle }))?;
    } else {
        print_line(format_args!("started to move the messages of {}", queue.arn().name()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest task is the one that was just started: there is only one at a time.
async fn newest(queue: &RemoteQueue) -> Result<RemoteMoveTask, QueueError> {
    let newest = queue.move_tasks().await?.into_iter().next();
    newest.ok_or_else(|| QueueError::Unavailable("the service tells no task any more".to_owned()))
}

async fn wait(queue: &RemoteQueue) -> Result<RemoteMoveTask, QueueError> {
    loop {
        let task = newest(queue).await?;
        if !task.is_under_way() {
            return Ok(task);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Tells the task to stop, and gives it a moment to do so: until then no other can be started.
async fn cancel(queue: &RemoteQueue, args: &RedriveArgs) -> Result<(), CliError> {
    let at_queue = |error: QueueError| failed(&error, &args.endpoint.endpoint_url, Some(&args.queue));
    let tasks = queue.move_tasks().await.map_err(at_queue)?;
    let Some(running) = tasks.into_iter().find(RemoteMoveTask::is_under_way) else {
        let what = "no task moves messages out of this queue, so there is nothing to cancel";
        return Err(CliError::failure(what).at(format!("queue {} at {}", args.queue, args.endpoint.endpoint_url)));
    };
    // One that is told to stop already has no handle any more.
    if let Some(handle) = &running.handle {
        queue.cancel_move_task(handle).await.map_err(at_queue)?;
    }
    let stopped = tokio::time::timeout(CANCEL_PATIENCE, wait(queue)).await;
    let task = match stopped {
        Ok(stopped) => stopped.map_err(at_queue)?,
        Err(_) => newest(queue).await.map_err(at_queue)?,
    };
    if args.endpoint.json {
        return print_line(task_json(&task));
    }
    print_line(told(&task))
}

/// A task that is over. Only a completed one is a success.
fn print_task(task: &RemoteMoveTask, args: &RedriveArgs) -> Result<ExitCode, CliError> {
    if args.endpoint.json {
        print_line(task_json(task))?;
    } else {
        print_line(told(task))?;
    }
    Ok(if task.status == "COMPLETED" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `completed, 3 of 3 messages moved`.
fn told(task: &RemoteMoveTask) -> String {
    let of = task.to_move.map(|to_move| format!(" of {to_move}")).unwrap_or_default();
    let why = task.failure_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{}, {}{of} messages moved{why}", task.status.to_ascii_lowercase(), task.moved)
}

fn task_json(task: &RemoteMoveTask) -> Value {
    json!({
        "status": task.status,
        "source_arn": task.source_arn,
        "destination_arn": task.destination_arn,
        "max_per_second": task.max_per_second,
        "moved": task.moved,
        "to_move": task.to_move,
        "started_unix_ms": task.started_unix_ms,
        "failure_reason": task.failure_reason,
    })
}
