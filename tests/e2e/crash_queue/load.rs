//! Clients that use a queue as many programs at once would, and write down all that they ask and are answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
};
use support::Sqs;
use support::seed::Chance;
use support::sqs::arn;

use super::desk::{Desk, Holding, KEY_ATTRIBUTE, Outgoing, attribute, delay, delivery, entry, number_of};
use super::history::{At, Change, Delete, Fate, MoveTask, Purge, Receive, Send, Span, TaskEnd};

const GROUPS: u64 = 5;
/// Senders pause while more than so many messages wait.
const BACKLOG_MAX: i64 = 800;
/// How long what is held over a crash stays hidden.
const HOLD_SECONDS: i32 = 4;
/// The queue that is purged now and then.
pub(super) const PURGED: &str = "scratch";

/// One client of one round. It ends at the first call without an answer, or when it is told to.
#[derive(Clone)]
pub(super) struct Caller {
    desk: Arc<Desk>,
    sqs: Sqs,
    stop: Arc<AtomicBool>,
    chance: Chance,
}

impl Caller {
    pub(super) fn new(desk: &Arc<Desk>, endpoint: &str, chance: Chance) -> Self {
        Self { desk: Arc::clone(desk), sqs: Sqs::without_retries(endpoint), stop: Arc::default(), chance }
    }

    /// Another one of the same round.
    pub(super) fn another(&mut self) -> Self {
        Self { chance: self.chance.fork(), ..self.clone() }
    }

    /// Tells all of the round that it is over.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn client(&self) -> &Client {
        self.sqs.client()
    }

    fn goes_on(&self, span: &Span) -> Option<()> {
        (span.fate != Fate::Unknown && !self.stop.load(Ordering::Relaxed)).then_some(())
    }

    async fn pause(&mut self, ms_max: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.below(ms_max + 1))).await;
    }

    // --- sending

    pub(super) async fn send_for_ever(mut self, queue: &'static str) {
        while self.send_some(queue).await.is_some() {
            self.pause(5).await;
        }
    }

    async fn send_some(&mut self, queue: &'static str) -> Option<()> {
        let is_fifo = queue.ends_with(".fifo");
        let again = if is_fifo { self.desk.unanswered.lock().unwrap().pop() } else { None };
        if let Some(again) = again {
            return self.send(vec![again]).await;
        }
        if self.desk.backlog.load(Ordering::Relaxed) > BACKLOG_MAX {
            self.pause(50).await;
            return (!self.stop.load(Ordering::Relaxed)).then_some(());
        }
        let count = if self.chance.percent(40) { 1 } else { self.chance.within(2, 10) };
        let batch: Vec<Outgoing> = (0..count).map(|_| self.compose(queue, is_fifo)).collect();
        self.send(batch.clone()).await?;
        if is_fifo && self.chance.percent(5) {
            // A program that missed the answer asks again.
            return self.send(batch).await;
        }
        Some(())
    }

    fn compose(&mut self, queue: &'static str, is_fifo: bool) -> Outgoing {
        let serial = self.desk.serial.fetch_add(1, Ordering::Relaxed);
        self.desk.backlog.fetch_add(i64::from(queue != PURGED), Ordering::Relaxed);
        let kind = if self.chance.percent(6) { "poison" } else { "good" };
        let padding = if self.chance.percent(5) { self.chance.below(20_000) } else { self.chance.below(300) };
        let delay_seconds = if !is_fifo && self.chance.percent(10) { 1 } else { 0 };
        let group = is_fifo.then(|| format!("g{}", self.chance.below(GROUPS)));
        Outgoing { queue, key: format!("{serial}-{kind}-{padding}"), group, delay_seconds }
    }

    /// Sends one by itself and more in a batch.
    async fn send(&self, batch: Vec<Outgoing>) -> Option<()> {
        let url = self.sqs.url(batch[0].queue);
        let (span, answers) = match &batch[..] {
            [one] => {
                let call = self.client().send_message().queue_url(url).message_body(one.body());
                let call = call.message_attributes(KEY_ATTRIBUTE, attribute(&one.key));
                let call = call.set_message_group_id(one.group.clone()).set_delay_seconds(delay(one));
                let call = call.set_message_deduplication_id(one.group.as_ref().map(|_| one.key.clone()));
                let (span, answer) = self.desk.timed(call.send()).await;
                let answers =
                    answer.map(|answer| BTreeMap::from([(0, (answer.message_id.unwrap(), answer.sequence_number))]));
                (span, answers)
            }
            many => {
                let entries = many.iter().enumerate().map(|(place, one)| entry(place, one)).collect();
                let call = self.client().send_message_batch().queue_url(url).set_entries(Some(entries));
                let (span, answer) = self.desk.timed(call.send()).await;
                let answers = answer.map(|answer| {
                    assert!(answer.failed().is_empty(), "{:?}", answer.failed());
                    let successful = answer.successful().iter();
                    successful
                        .map(|entry| {
                            let number = entry.sequence_number().map(str::to_owned);
                            (entry.id().parse().unwrap(), (entry.message_id().to_owned(), number))
                        })
                        .collect()
                });
                (span, answers)
            }
        };
        assert!(span.fate != Fate::Refused, "a send was refused");
        let mut answers: BTreeMap<usize, (String, Option<String>)> = answers.unwrap_or_default();
        let mut history = self.desk.history();
        for (place, one) in batch.iter().enumerate() {
            let (message_id, number) = answers.remove(&place).unwrap_or_default();
            assert!(span.fate != Fate::Done || !message_id.is_empty(), "an entry without an answer");
            let sequence = number.map(|number| number.parse().unwrap());
            let Outgoing { queue, key, group, delay_seconds } = one.clone();
            let delay = At::try_from(delay_seconds).unwrap() * 1_000_000;
            history.sends.push(Send { span, queue, key, group, delay, message_id, sequence });
        }
        drop(history);
        if span.fate == Fate::Unknown && batch[0].group.is_some() {
            self.desk.unanswered.lock().unwrap().extend(batch);
        }
        self.goes_on(&span)
    }

    // --- receiving

    pub(super) async fn consume_for_ever(mut self, queue: &'static str) {
        while self.consume_some(queue).await.is_some() {
            self.pause(8).await;
        }
    }

    async fn consume_some(&mut self, queue: &'static str) -> Option<()> {
        let seconds = if self.chance.percent(5) { 0 } else { i32::try_from(self.chance.within(1, 3)).unwrap() };
        let (span, holdings) = self.receive(queue, 10, seconds, 1).await;
        self.goes_on(&span)?;
        let (mut deletes, mut changes) = (Vec::new(), Vec::new());
        for (holding, key) in holdings {
            let fate = self.chance.below(100);
            if key.contains("poison") && self.chance.percent(80) {
                changes.push((holding, 0));
            } else if fate < 70 {
                deletes.push(holding);
            } else if fate < 78 {
                changes.push((holding, 0));
            } else if fate < 86 {
                changes.push((holding, i32::try_from(self.chance.within(1, 3)).unwrap()));
            } else if fate < 94 {
                self.desk.held.lock().unwrap().push(holding.clone());
                changes.push((holding, HOLD_SECONDS));
            }
        }
        // Some work, during which anything may happen.
        self.pause(10).await;
        self.delete(queue, deletes).await?;
        self.change(queue, changes).await
    }

    /// Keeps messages to itself by renewals, each in the last moment of a process for one of them.
    pub(super) async fn hold_for_ever(mut self, queue: &'static str) {
        loop {
            let (span, holdings) = self.receive(queue, 1, 1, 1).await;
            let holdings: Vec<_> = holdings.into_iter().map(|(holding, _)| (holding, HOLD_SECONDS)).collect();
            self.desk.held.lock().unwrap().extend(holdings.iter().map(|(holding, _)| holding.clone()));
            if self.goes_on(&span).is_none() || self.change(queue, holdings).await.is_none() {
                return;
            }
            self.pause(15).await;
        }
    }

    /// Receives up to `max`, and writes them down.
    async fn receive(
        &self,
        queue: &'static str,
        max: i32,
        seconds: i32,
        wait_seconds: i32,
    ) -> (Span, Vec<(Holding, String)>) {
        let call = self.client().receive_message().queue_url(self.sqs.url(queue)).max_number_of_messages(max);
        let call = call.visibility_timeout(seconds).wait_time_seconds(wait_seconds).message_attribute_names("All");
        let call = call.message_system_attribute_names(MessageSystemAttributeName::All);
        let (span, answer) = self.desk.timed(call.send()).await;
        let messages = answer.and_then(|answer| answer.messages).unwrap_or_default();
        let visibility = At::try_from(seconds).unwrap() * 1_000_000;
        let mut history = self.desk.history();
        history.receives.push(Receive { span, queue, visibility });
        let receive = history.receives.len() - 1;
        let mut holdings = Vec::new();
        for message in messages {
            let delivery = delivery(&history, receive, &message);
            let key = delivery.key.clone();
            history.deliveries.push(delivery);
            let holding =
                Holding { delivery: history.deliveries.len() - 1, queue, handle: message.receipt_handle.unwrap() };
            holdings.push((holding, key));
        }
        (span, holdings)
    }

    async fn delete(&self, queue: &'static str, holdings: Vec<Holding>) -> Option<()> {
        if holdings.is_empty() {
            return Some(());
        }
        let entry = |(place, holding): (usize, &Holding)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            entry.receipt_handle(&holding.handle).build().unwrap()
        };
        let entries = holdings.iter().enumerate().map(entry).collect();
        let call = self.client().delete_message_batch().queue_url(self.sqs.url(queue)).set_entries(Some(entries));
        let (span, answer) = self.desk.timed(call.send()).await;
        let refused: Vec<usize> = answer.iter().flat_map(|answer| answer.failed()).map(number_of).collect();
        let mut history = self.desk.history();
        for (place, holding) in holdings.iter().enumerate() {
            let fate = if refused.contains(&place) { Fate::Refused } else { span.fate };
            let is_first = !history.deletes.iter().rev().take(500).any(|delete| delete.delivery == holding.delivery);
            if is_first && fate == Fate::Done && queue != PURGED {
                self.desk.backlog.fetch_sub(1, Ordering::Relaxed);
            }
            history.deletes.push(Delete { span: Span { fate, ..span }, delivery: holding.delivery });
        }
        drop(history);
        self.goes_on(&span)
    }

    async fn change(&self, queue: &'static str, changes: Vec<(Holding, i32)>) -> Option<()> {
        if changes.is_empty() {
            return Some(());
        }
        let entry = |(place, (holding, seconds)): (usize, &(Holding, i32))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            entry.receipt_handle(&holding.handle).visibility_timeout(*seconds).build().unwrap()
        };
        let entries = changes.iter().enumerate().map(entry).collect();
        let call = self.client().change_message_visibility_batch().queue_url(self.sqs.url(queue));
        let (span, answer) = self.desk.timed(call.set_entries(Some(entries)).send()).await;
        let refused: Vec<usize> = answer.iter().flat_map(|answer| answer.failed()).map(number_of).collect();
        let mut history = self.desk.history();
        for (place, (holding, seconds)) in changes.iter().enumerate() {
            let fate = if refused.contains(&place) { Fate::Refused } else { span.fate };
            let visibility = At::try_from(*seconds).unwrap() * 1_000_000;
            history.changes.push(Change { span: Span { fate, ..span }, delivery: holding.delivery, visibility });
        }
        drop(history);
        self.goes_on(&span)
    }

    /// Settles most of what was held over a crash, by the handles of before it.
    pub(super) async fn settle_held(mut self) {
        let held = std::mem::take(&mut *self.desk.held.lock().unwrap());
        for holding in held {
            let queue = holding.queue;
            let settled = match self.chance.below(10) {
                0..5 => self.delete(queue, vec![holding]).await,
                5..7 => self.change(queue, vec![(holding, 0)]).await,
                _ => {
                    self.desk.held.lock().unwrap().push(holding);
                    Some(())
                }
            };
            if settled.is_none() {
                return;
            }
            self.pause(5).await;
        }
    }

    // --- managing

    pub(super) async fn purge_now_and_then(mut self, queue: &'static str) {
        loop {
            self.pause(800).await;
            let call = self.client().purge_queue().queue_url(self.sqs.url(queue));
            let (span, _) = self.desk.timed(call.send()).await;
            self.desk.history().purges.push(Purge { span, queue });
            if self.goes_on(&span).is_none() {
                return;
            }
        }
    }

    /// Moves dead letters back, slowly, so that a crash falls into it.
    pub(super) async fn move_dead_letters(mut self, source: &'static str) {
        loop {
            self.pause(600).await;
            let rate = i32::try_from(self.chance.within(5, 60)).unwrap();
            let call = self.client().start_message_move_task().source_arn(arn(source));
            let (span, answer) = self.desk.timed(call.max_number_of_messages_per_second(rate).send()).await;
            self.desk.history().tasks.push(MoveTask { span, source });
            if self.goes_on(&span).is_none() {
                return;
            }
            let handle = answer.and_then(|answer| answer.task_handle).filter(|_| self.chance.percent(15));
            if let Some(handle) = handle {
                self.pause(200).await;
                let call = self.client().cancel_message_move_task().task_handle(handle);
                let (span, _) = self.desk.timed(call.send()).await;
                if self.goes_on(&span).is_none() {
                    return;
                }
            }
        }
    }

    // --- the end

    /// Receives and deletes one round of everything.
    pub(super) async fn drain(&self, queues: &[&'static str]) {
        for queue in queues {
            loop {
                let (span, holdings) = self.receive(queue, 10, 30, 0).await;
                assert!(span.is_done(), "a receive of the drain failed");
                if holdings.is_empty() {
                    break;
                }
                let holdings = holdings.into_iter().map(|(holding, _)| holding).collect();
                self.delete(queue, holdings).await.unwrap();
            }
        }
    }

    /// What became of the move tasks of these queues.
    pub(super) async fn task_ends(&self, sources: &[&'static str]) -> Vec<TaskEnd> {
        let mut ends = Vec::new();
        for source in sources {
            let call = self.client().list_message_move_tasks().source_arn(arn(source)).max_results(10);
            let tasks = call.send().await.unwrap().results.unwrap_or_default();
            let end = |status: Option<String>| TaskEnd { source, status: status.unwrap_or_default() };
            ends.extend(tasks.into_iter().map(|task| end(task.status)));
        }
        ends
    }
}
