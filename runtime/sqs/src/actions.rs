//! What each action does: a typed request in, a verb of the broker or of a queue, a typed response out.
//!
//! Protocol-independent: nothing here knows JSON, XML or HTTP. Validation of messages and of queue attributes is absent
//! too, it is the queue's; here are the rules of the wire: required members, ranges, batches.

mod batch;
mod filter;
mod move_tasks;
mod permissions;
mod queues;
mod receive;
mod send;
mod settle;
mod tags;

use tokio_util::sync::CancellationToken;
use wasmill_queue::{Broker, LocalQueue};

use crate::error::ActionError;
use crate::urls;
use crate::wire::{Request, Response};

/// What actions work with.
#[derive(Debug)]
pub(crate) struct Actions {
    broker: Broker,
    /// Set when the server stops: long polls end then with what they have.
    stopping: CancellationToken,
}

/// What an action must know of the request that carried it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// Host and port that the client used, to build queue URLs with.
    pub(crate) host: &'a str,
    /// The path it posted to: a queue's, or `/`.
    pub(crate) path: &'a str,
    /// The `X-Amzn-Trace-Id` that it came with.
    pub(crate) trace_header: Option<&'a str>,
}

impl Actions {
    pub(crate) fn new(broker: Broker, stopping: CancellationToken) -> Self {
        Self { broker, stopping }
    }

    /// Does one action.
    pub(crate) async fn run(&self, caller: Caller<'_>, request: Request) -> Result<Response, ActionError> {
        match request {
            Request::SendMessage(request) => self.send_message(caller, request).await.map(Response::SendMessage),
            Request::SendMessageBatch(request) => {
                self.send_message_batch(caller, request).await.map(Response::SendMessageBatch)
            }
            Request::ReceiveMessage(request) => {
                self.receive_message(caller, request).await.map(Response::ReceiveMessage)
            }
            Request::DeleteMessage(request) => self.delete_message(caller, request).await.map(empty),
            Request::DeleteMessageBatch(request) => {
                self.delete_message_batch(caller, request).await.map(Response::SettleBatch)
            }
            Request::ChangeMessageVisibility(request) => {
                self.change_message_visibility(caller, request).await.map(empty)
            }
            Request::ChangeMessageVisibilityBatch(request) => {
                self.change_message_visibility_batch(caller, request).await.map(Response::SettleBatch)
            }
            Request::CreateQueue(request) => self.create_queue(caller, request).await.map(Response::QueueUrl),
            Request::GetQueueUrl(request) => self.get_queue_url(caller, request).map(Response::QueueUrl),
            Request::ListQueues(request) => self.list_queues(caller, request).map(Response::ListQueues),
            Request::DeleteQueue(request) => self.delete_queue(caller, request).await.map(empty),
            Request::GetQueueAttributes(request) => {
                self.get_queue_attributes(caller, request).map(Response::GetQueueAttributes)
            }
            Request::SetQueueAttributes(request) => self.set_queue_attributes(caller, request).await.map(empty),
            Request::PurgeQueue(request) => self.purge_queue(caller, request).await.map(empty),
            Request::TagQueue(request) => self.tag_queue(caller, request).await.map(empty),
            Request::UntagQueue(request) => self.untag_queue(caller, request).await.map(empty),
            Request::ListQueueTags(request) => self.list_queue_tags(caller, &request).map(Response::ListQueueTags),
            Request::AddPermission(request) => self.add_permission(caller, request).await.map(empty),
            Request::RemovePermission(request) => self.remove_permission(caller, request).await.map(empty),
            Request::ListDeadLetterSourceQueues(request) => {
                self.list_dead_letter_sources(caller, request).map(Response::ListDeadLetterSourceQueues)
            }
            Request::StartMessageMoveTask(request) => {
                self.start_move_task(request).await.map(Response::StartMessageMoveTask)
            }
            Request::CancelMessageMoveTask(request) => {
                self.cancel_move_task(request).await.map(Response::CancelMessageMoveTask)
            }
            Request::ListMessageMoveTasks(request) => self.list_move_tasks(request).map(Response::ListMessageMoveTasks),
        }
    }

    /// The queue that a request is for: its `QueueUrl` member wins over the path it was posted to.
    fn queue(&self, caller: Caller<'_>, url: Option<&str>) -> Result<LocalQueue, ActionError> {
        let url = url.filter(|url| !url.is_empty()).or_else(|| (caller.path != "/").then_some(caller.path));
        let url = url.ok_or(ActionError::MissingParameter { name: "QueueUrl" })?;
        // Without a name in it no queue is meant, and AWS says just that.
        let address = urls::parse(url).ok_or(ActionError::NoSuchQueue)?;
        let foreign = address.account.is_some_and(|account| account != self.broker.identity().account);
        if foreign {
            return Err(ActionError::NoSuchQueue);
        }
        Ok(self.broker.queue(address.name)?)
    }

    fn url(&self, caller: Caller<'_>, name: &str) -> String {
        urls::build(caller.host, &self.broker.identity().account, name)
    }
}

fn empty((): ()) -> Response {
    Response::Empty {}
}

/// A member that the action cannot do without. Empty text is as good as none.
fn required(value: Option<String>, name: &'static str) -> Result<String, ActionError> {
    value.filter(|text| !text.is_empty()).ok_or(ActionError::MissingParameter { name })
}
