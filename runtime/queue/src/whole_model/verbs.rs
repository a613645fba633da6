//! Each verb, done by the queue and, from the rules, by the flat list.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{Known, MAX_RECEIVES, World, is_fifo};
use crate::contract::{Queue, ReceiveRequest};
use crate::error::{PurgeError, QueueError};
use crate::fixtures::{bury, delete, hide, release, request};
use crate::message::{Message, OutgoingMessage};
use crate::move_task::MoveTaskStatus;

const VISIBILITY_MS: u64 = 600_000;
const WINDOW_MS: u64 = 300_000;

impl World {
    pub(super) async fn send(&mut self, queue: usize, group: u8, deduplication: &[u8]) {
        let group = Some(group.to_string()).filter(|_| is_fifo(queue) || group > 0);
        let messages = deduplication.iter().map(|id| OutgoingMessage {
            body: format!("message {}", self.next_place()),
            group_id: group.clone(),
            deduplication_id: is_fifo(queue).then(|| id.to_string()),
            ..OutgoingMessage::default()
        });
        let messages: Vec<OutgoingMessage> = messages.collect();
        let sent = self.queue(queue).send(messages.clone()).await.unwrap();
        for ((message, id), sent) in messages.into_iter().zip(deduplication).zip(sent) {
            let sent = sent.unwrap();
            let remembered = |(of, _, sent_ms): &&(u8, String, u64)| of == id && self.now_ms < sent_ms + WINDOW_MS;
            if let Some((_, original, _)) = self.originals.iter().find(remembered).filter(|_| is_fifo(queue)) {
                assert_eq!(sent.id.as_str(), original, "a duplicate is answered with the first one's id");
                continue;
            }
            if is_fifo(queue) {
                self.originals.retain(|(of, ..)| of != id);
                self.originals.push((*id, sent.id.to_string(), self.now_ms));
            }
            let place = self.next_place();
            self.known.push(Known {
                body: message.body,
                id: sent.id.to_string(),
                queue,
                group: group.clone(),
                count: 0,
                place,
                hidden_until_ms: 0,
                is_dead: false,
                receipt: None,
            });
        }
    }

    pub(super) async fn receive(&mut self, queue: usize, max: u32, looks_only: bool) {
        let receivable = self.receivable(queue);
        let visibility_timeout_seconds = looks_only.then_some(0);
        let asked = ReceiveRequest { visibility_timeout_seconds, ..request(max, 0) };
        let messages = self.queue(queue).receive(asked).await.unwrap();
        self.settle().await;
        let leads_on = queue == 0 || queue == 2;
        let is_dead = |known: &&Known| leads_on && known.count >= MAX_RECEIVES;
        assert!(messages.len() <= max as usize);
        let mut groups: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for known in receivable.iter().filter(|known| !is_dead(known)) {
            groups.entry(known.group.clone()).or_default().push(known.body.clone());
        }
        for message in &messages {
            let group = groups.get_mut(&message.system.group_id).expect("nothing of the group may be received");
            let place = group.iter().position(|body| *body == message.body).expect("hidden, behind one, or too often");
            assert!(!is_fifo(queue) || place == 0, "out of order");
            group.remove(place);
            let until_ms = self.now_ms + if looks_only { 0 } else { VISIBILITY_MS };
            let known = self.find(&message.body);
            (known.count, known.hidden_until_ms) = (known.count + 1, until_ms);
            known.receipt = Some(message.receipt.as_str().to_owned());
            assert_eq!((message.id.as_str(), message.system.receive_count), (known.id.as_str(), known.count));
            self.handed_out.push((queue, message.clone()));
        }
        let is_short = messages.len() < max as usize;
        assert!(!is_short || groups.values().all(Vec::is_empty), "a short answer left something behind");
        let moved = if leads_on { self.shown(queue + 1).await } else { BTreeMap::new() };
        for known in receivable.iter().filter(is_dead) {
            if moved.contains_key(&known.body) {
                self.moved(&known.body, queue + 1);
            } else {
                assert!(!is_short, "it was received too often and is not moved");
            }
        }
    }

    fn moved(&mut self, body: &str, to: usize) {
        let place = self.next_place();
        let known = self.find(body);
        known.place = place;
        (known.queue, known.is_dead, known.hidden_until_ms, known.receipt) = (to, true, 0, None);
    }

    /// The handle handed out so long ago, the message that it is of while that is there, and whether it is the latest.
    fn named(&self, age: usize) -> Option<(usize, Message, Option<Known>, bool)> {
        let (queue, message) = self.handed_out.iter().rev().nth(age).cloned()?;
        let known = self.known.iter().find(|known| known.body == message.body && known.queue == queue).cloned();
        let known = known.filter(|known| known.id == message.id.as_str());
        let is_latest = known.as_ref().is_some_and(|known| known.receipt.as_deref() == Some(message.receipt.as_str()));
        Some((queue, message, known, is_latest))
    }

    pub(super) async fn delete(&mut self, age: usize) {
        let Some((queue, message, known, is_latest)) = self.named(age) else { return };
        let deleted = delete(&self.queue(queue), &message.receipt).await;
        let Some(known) = known else { return assert_eq!(deleted, Ok(())) };
        if is_fifo(queue) && (!is_latest || self.is_visible(&known)) {
            assert!(matches!(deleted, Err(QueueError::ReceiptExpired { .. })), "{deleted:?}");
            return;
        }
        assert_eq!(deleted, Ok(()));
        // A given-back delivery may still delete on a standard queue, if nobody received the message since.
        let gone = !self.shown(queue).await.contains_key(&message.body);
        assert!(gone || !is_latest);
        self.known.retain(|known| !gone || known.body != message.body);
    }

    pub(super) async fn hide(&mut self, age: usize, seconds: u32) {
        let Some((queue, message, known, is_latest)) = self.named(age) else { return };
        let hidden = hide(&self.queue(queue), &message.receipt, seconds).await;
        let may = known.is_some_and(|known| {
            let older = !is_fifo(queue) && known.receipt.is_some();
            older || is_latest && !self.is_visible(&known)
        });
        assert_eq!(hidden.is_ok(), may, "{hidden:?}");
        if may {
            self.find(&message.body).hidden_until_ms = self.now_ms + u64::from(seconds) * 1000;
        }
    }

    pub(super) async fn release(&mut self, age: usize) {
        let Some((queue, message, known, is_latest)) = self.named(age) else { return };
        let released = release(&self.queue(queue), &message.receipt).await;
        let may = is_latest && known.is_some_and(|known| !self.is_visible(&known));
        assert_eq!(released.is_ok(), may, "{released:?}");
        if may {
            let known = self.find(&message.body);
            (known.count, known.hidden_until_ms, known.receipt) = (known.count - 1, 0, None);
        }
    }

    pub(super) async fn bury(&mut self, age: usize) {
        let Some((queue, message, known, is_latest)) = self.named(age) else { return };
        let buried = bury(&self.queue(queue), &message, "why").await;
        if queue == 1 || queue == 3 {
            return assert!(matches!(buried, Err(QueueError::Unsupported(_))));
        }
        let may = is_latest && known.is_some_and(|known| !is_fifo(queue) || !self.is_visible(&known));
        assert_eq!(buried.is_ok(), may, "{buried:?}");
        if may {
            self.moved(&message.body, queue + 1);
        }
    }

    pub(super) async fn purge(&mut self, queue: usize) {
        let purged = self.queue(queue).purge().await;
        if self.purged_ms.get(&queue).is_some_and(|purged_ms| self.now_ms < purged_ms + 60_000) {
            return assert_eq!(purged, Err(PurgeError::InProgress));
        }
        assert_eq!(purged, Ok(()));
        self.purged_ms.insert(queue, self.now_ms);
        self.known.retain(|known| known.queue != queue);
        if queue == 2 {
            self.originals.clear();
        }
    }

    pub(super) async fn redrive(&mut self, queue: usize, reopens: bool) {
        let arn = self.queue(queue).arn().clone();
        self.broker.start_move_task(&arn, None, reopens.then_some(500)).await.unwrap();
        if reopens {
            self.reopen(false, 0).await;
        }
        let status = loop {
            let status = self.broker.move_tasks(&arn).unwrap()[0].status;
            if status != MoveTaskStatus::Running {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!(status, MoveTaskStatus::Completed);
        let mut visible: Vec<Known> =
            self.known.iter().filter(|known| known.queue == queue && self.is_visible(known)).cloned().collect();
        visible.sort_by_key(|known| known.place);
        let shown = self.shown(queue - 1).await;
        for moved in visible {
            self.moved(&moved.body, queue - 1);
            let (id, known) = (shown[&moved.body].id.clone(), self.find(&moved.body));
            assert_ne!(id, known.id, "it is a new message");
            (known.id, known.is_dead, known.count) = (id, false, 0);
        }
    }
}
