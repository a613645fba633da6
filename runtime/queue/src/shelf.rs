//! One queue's messages, as a pure machine: ready, delayed, in flight, leaving.
//!
//! No clock, no I/O, no async: every call is told the tick. Whose message goes next is the line's to say: `fair.rs` for a
//! standard queue, `fifo.rs` for a FIFO queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::effect::{DeliveryState, Seq};
use crate::fair::FairLine;
use crate::fifo::{FifoLine, Walk};
use crate::groups::{GroupNumber, Groups};
use crate::limits::VISIBILITY_MAX_SECONDS;
use crate::peek::MessageState;

/// Outdated notes that the heap of hidden messages may carry before it is swept.
const SLACK: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// May be received.
    Ready,
    /// Waits for its first visibility.
    Delayed,
    /// Handed out and hidden.
    InFlight,
    /// On its way out, for this reason; gone once that is durable.
    Leaving(Leaving),
}

/// Why a message leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Deleted, purged or too old.
    Removed,
    /// It goes to another queue.
    Moved,
}

#[derive(Debug, Clone)]
struct Entry {
    enqueued_tick_ms: u64,
    delivery: DeliveryState,
    group: GroupNumber,
    phase: Phase,
}

impl Entry {
    fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving(_))
    }
}

/// The counters that SQS shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
    pub(crate) delayed: u64,
}

/// What a receipt turned out to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The latest delivery, and its visibility timeout runs.
    Current,
    /// The latest delivery, whose visibility timeout ran out.
    Expired,
    /// The latest delivery, and it was given back: all it may still do is delete.
    Released,
    /// It was handed out again since.
    Superseded,
    /// It is being deleted, which is not durable yet.
    Leaving,
    /// Deleted, moved or expired.
    Gone,
}

/// A message as it leaves for another queue.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) enqueued_tick_ms: u64,
    pub(crate) delivery: DeliveryState,
    pub(crate) group: Option<Arc<str>>,
}

/// A message as a peek sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) seq: Seq,
    pub(crate) state: MessageState,
    pub(crate) delivery: DeliveryState,
}

#[derive(Debug)]
enum Line {
    Fair(FairLine),
    Fifo(FifoLine),
}

#[derive(Debug)]
pub(crate) struct Shelf {
    entries: BTreeMap<Seq, Entry>,
    groups: Groups,
    line: Line,
    /// When hidden messages become visible. May hold outdated ones: checked when due.
    hidden: BinaryHeap<Reverse<(u64, Seq)>>,
    counts: Counts,
}

impl Shelf {
    pub(crate) fn standard() -> Self {
        Self::with_line(Line::Fair(FairLine::default()))
    }

    pub(crate) fn fifo() -> Self {
        Self::with_line(Line::Fifo(FifoLine::default()))
    }

    fn with_line(line: Line) -> Self {
        Self {
            entries: BTreeMap::new(),
            groups: Groups::default(),
            line,
            hidden: BinaryHeap::new(),
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// True when a receive would find something.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.line {
            Line::Fair(_) => self.counts.visible > 0,
            Line::Fifo(line) => line.is_open(),
        }
    }

    /// Whether a message is here, also while it is leaving.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// How many messages are held in all, leaving ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many message groups have messages.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The tick of the oldest message that has not left.
    pub(crate) fn oldest_tick_ms(&self) -> Option<u64> {
        self.entries.values().find(|entry| !entry.is_leaving()).map(|entry| entry.enqueued_tick_ms)
    }

    /// When the next hidden message becomes visible, at the earliest.
    pub(crate) fn next_visible_tick_ms(&self) -> Option<u64> {
        self.hidden.peek().map(|Reverse((tick_ms, _))| *tick_ms)
    }

    /// Puts a message on the shelf: new, moved here, or found in the store.
    pub(crate) fn put(
        &mut self,
        seq: Seq,
        enqueued_tick_ms: u64,
        delivery: DeliveryState,
        group: Option<&str>,
        tick_ms: u64,
    ) {
        let phase = if delivery.visible_tick_ms <= tick_ms { Phase::Ready } else { hidden(delivery) };
        let group = self.groups.join(group);
        self.entries.insert(seq, Entry { enqueued_tick_ms, delivery, group, phase });
        self.enter(seq, group, phase, delivery.visible_tick_ms, false);
    }

    /// Lets hidden messages whose time has come become visible.
    pub(crate) fn advance(&mut self, tick_ms: u64) {
        let mut first_returns = Vec::new();
        // A FIFO queue has its own order, and its groups come back in the order in which their timeouts ended.
        let is_fair = matches!(self.line, Line::Fair(_));
        while let Some(Reverse((due_ms, seq))) = self.hidden.peek().copied() {
            if due_ms > tick_ms {
                break;
            }
            self.hidden.pop();
            let Some(entry) = self.entries.get(&seq) else { continue };
            let still_waits = matches!(entry.phase, Phase::Delayed | Phase::InFlight);
            if !still_waits || entry.delivery.visible_tick_ms != due_ms {
                continue;
            }
            let delivery = &entry.delivery;
            if is_fair && delivery.receive_count == 1 && delivery.received_tick_ms < due_ms {
                first_returns.push(seq);
            } else {
                self.set_phase(seq, Phase::Ready);
            }
        }
        // The one that waited longest stands in front in the end.
        for seq in first_returns.into_iter().rev() {
            self.change_phase(seq, Phase::Ready, true);
        }
    }

    /// Sets aside the messages that are older than the retention, whatever state they are in.
    pub(crate) fn expire(&mut self, enqueued_before_tick_ms: u64) -> Vec<Seq> {
        let mut expired = Vec::new();
        for (seq, entry) in &self.entries {
            if entry.enqueued_tick_ms >= enqueued_before_tick_ms {
                break;
            }
            if !entry.is_leaving() {
                expired.push(*seq);
            }
        }
        for seq in &expired {
            self.set_leaving(*seq, Leaving::Removed);
        }
        expired
    }

    /// Sets up to `max` messages aside that are numbered `from` or above and below `below`. The last one's number comes
    /// with them: where the next call goes on.
    pub(crate) fn clear_some(&mut self, from: Seq, below: Seq, max: usize) -> (Vec<Seq>, Option<Seq>) {
        let walked: Vec<(Seq, bool)> =
            self.entries.range(from..below).take(max).map(|(seq, entry)| (*seq, entry.is_leaving())).collect();
        let last = walked.last().map(|(seq, _)| *seq);
        let cleared: Vec<Seq> = walked.into_iter().filter_map(|(seq, leaving)| (!leaving).then_some(seq)).collect();
        for seq in &cleared {
            self.set_leaving(*seq, Leaving::Removed);
        }
        (cleared, last)
    }

    /// The next message to be handed out, still on the shelf. `walk` belongs to one receive.
    pub(crate) fn next_ready(&mut self, walk: &mut Walk) -> Option<(Seq, DeliveryState)> {
        let entries = &self.entries;
        let is_ready = |seq: Seq| entries.get(&seq).is_some_and(|entry| entry.phase == Phase::Ready);
        let seq = match &mut self.line {
            Line::Fair(line) => line.next(is_ready),
            Line::Fifo(line) => line.next(walk),
        }?;
        self.entries.get(&seq).map(|entry| (seq, entry.delivery))
    }

    /// Hands a ready message out until `visible_tick_ms`. One that is visible at once is so after the next `advance`.
    pub(crate) fn hand_out(&mut self, seq: Seq, tick_ms: u64, unix_ms: u64, visible_tick_ms: u64) -> DeliveryState {
        let Some(entry) = self.entries.get_mut(&seq) else { return DeliveryState::default() };
        let delivery = &mut entry.delivery;
        delivery.issued += 1;
        delivery.receive_count += 1;
        delivery.received_tick_ms = tick_ms;
        delivery.visible_tick_ms = visible_tick_ms;
        if delivery.first_received_unix_ms == 0 {
            delivery.first_received_unix_ms = unix_ms;
        }
        let (delivery, group) = (*delivery, entry.group);
        if let Line::Fair(line) = &mut self.line {
            line.pop(seq, group);
            line.charge(group);
        }
        self.set_phase(seq, Phase::InFlight);
        delivery
    }

    /// What a receipt's delivery number means by now. A number above the stored one comes from before a crash that lost
    /// the count: it names the latest delivery.
    pub(crate) fn standing(&self, seq: Seq, issue: u32) -> Standing {
        let Some(entry) = self.entries.get(&seq) else { return Standing::Gone };
        match entry.phase {
            Phase::Leaving(Leaving::Moved) => Standing::Gone,
            Phase::Leaving(Leaving::Removed) => Standing::Leaving,
            _ if issue < entry.delivery.issued => Standing::Superseded,
            _ if issue == entry.delivery.issued && entry.delivery.received_tick_ms == 0 => Standing::Released,
            Phase::Ready => Standing::Expired,
            Phase::Delayed | Phase::InFlight => Standing::Current,
        }
    }

    /// True when the latest delivery was not given back.
    pub(crate) fn was_received(&self, seq: Seq) -> bool {
        self.entries.get(&seq).is_some_and(|entry| entry.delivery.received_tick_ms > 0)
    }

    /// The delivery of a message that is in flight.
    pub(crate) fn in_flight(&self, seq: Seq) -> Option<DeliveryState> {
        self.entries.get(&seq).filter(|entry| entry.phase == Phase::InFlight).map(|entry| entry.delivery)
    }

    /// Makes up for the deliveries that a crash lost, of which a receipt brings the news.
    pub(crate) fn catch_up(&mut self, seq: Seq, issue: u32, tick_ms: u64, unix_ms: u64) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        let delivery = &mut entry.delivery;
        let lost = issue.saturating_sub(delivery.issued);
        if lost == 0 {
            return;
        }
        delivery.issued = issue;
        delivery.receive_count += lost;
        delivery.received_tick_ms = tick_ms;
        if delivery.first_received_unix_ms == 0 {
            delivery.first_received_unix_ms = unix_ms;
        }
        if entry.phase == Phase::Delayed {
            self.set_phase(seq, Phase::InFlight);
        }
    }

    /// How long the current delivery may still be hidden, so that it stays within 12 hours of its receive.
    pub(crate) fn visibility_left_ms(&self, seq: Seq, tick_ms: u64) -> u64 {
        let received_tick_ms = self.entries.get(&seq).map_or(0, |entry| entry.delivery.received_tick_ms);
        (received_tick_ms + u64::from(VISIBILITY_MAX_SECONDS) * 1000).saturating_sub(tick_ms)
    }

    /// Hides a message until `visible_tick_ms`, or shows it at once.
    pub(crate) fn set_visible_at(&mut self, seq: Seq, visible_tick_ms: u64, tick_ms: u64) -> Option<DeliveryState> {
        let entry = self.entries.get_mut(&seq)?;
        entry.delivery.visible_tick_ms = visible_tick_ms;
        let delivery = entry.delivery;
        let phase = if visible_tick_ms > tick_ms { Phase::InFlight } else { Phase::Ready };
        // What is visible and stays so keeps its place.
        if entry.phase != Phase::Ready || phase != Phase::Ready {
            self.set_phase(seq, phase);
        }
        Some(delivery)
    }

    /// Gives every message that was never handed out its first visibility anew: `delay_ms` after it was sent.
    pub(crate) fn set_delay(&mut self, delay_ms: u64, tick_ms: u64) {
        let fresh = |entry: &Entry| entry.delivery.issued == 0 && !entry.is_leaving();
        let seqs: Vec<Seq> = self.entries.iter().filter_map(|(seq, entry)| fresh(entry).then_some(*seq)).collect();
        for seq in seqs {
            let Some(entry) = self.entries.get_mut(&seq) else { continue };
            entry.delivery.visible_tick_ms = entry.enqueued_tick_ms + delay_ms;
            let phase = if entry.delivery.visible_tick_ms > tick_ms { Phase::Delayed } else { Phase::Ready };
            self.set_phase(seq, phase);
        }
    }

    /// Gives a delivery back as if it had not been received; none if it is not in flight. The receipt's number is not
    /// used again.
    pub(crate) fn release(&mut self, seq: Seq, tick_ms: u64) -> Option<DeliveryState> {
        let entry = self.entries.get_mut(&seq).filter(|entry| entry.phase == Phase::InFlight)?;
        entry.delivery.receive_count = entry.delivery.receive_count.saturating_sub(1);
        entry.delivery.received_tick_ms = 0;
        self.set_visible_at(seq, tick_ms, tick_ms)
    }

    /// Sets a message aside until its leaving is durable: not visible, not in flight, not counted.
    pub(crate) fn set_leaving(&mut self, seq: Seq, reason: Leaving) {
        self.set_phase(seq, Phase::Leaving(reason));
    }

    /// A leaving could not be made durable: the message is hidden again, until `not_before_tick_ms` at least. Nothing
    /// happens to one that is leaving for another reason by now.
    pub(crate) fn stay(&mut self, seq: Seq, reason: Leaving, not_before_tick_ms: u64) {
        let leaving = Phase::Leaving(reason);
        let Some(entry) = self.entries.get_mut(&seq).filter(|entry| entry.phase == leaving) else { return };
        entry.delivery.visible_tick_ms = entry.delivery.visible_tick_ms.max(not_before_tick_ms);
        // On a FIFO queue it holds its group meanwhile, also if nobody ever received it: no later one may overtake it.
        let phase = if matches!(self.line, Line::Fifo(_)) { Phase::InFlight } else { hidden(entry.delivery) };
        self.set_phase(seq, phase);
    }

    /// True while the message is here, whatever becomes of it.
    pub(crate) fn has(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// True when the message may be received.
    pub(crate) fn is_visible(&self, seq: Seq) -> bool {
        self.entries.get(&seq).is_some_and(|entry| entry.phase == Phase::Ready)
    }

    /// The numbers of up to `max` messages that may be received, from `from` to below `below`, by number.
    pub(crate) fn visible_from(&self, from: Seq, below: Seq, max: usize) -> Vec<Seq> {
        let visible = self.entries.range(from..below).filter(|(_, entry)| entry.phase == Phase::Ready);
        visible.take(max).map(|(seq, _)| *seq).collect()
    }

    /// Up to `max` messages in that state, or in any, numbered above `after`.
    pub(crate) fn look(&self, after: Seq, state: Option<MessageState>, max: usize) -> Vec<Seen> {
        let seen = self.entries.range(after.saturating_add(1)..).filter_map(|(seq, entry)| {
            let state = match entry.phase {
                Phase::Ready => MessageState::Visible,
                Phase::Delayed => MessageState::Delayed,
                Phase::InFlight => MessageState::InFlight,
                Phase::Leaving(_) => return None,
            };
            Some(Seen { seq: *seq, state, delivery: entry.delivery })
        });
        seen.filter(|seen| state.is_none_or(|wanted| seen.state == wanted)).take(max).collect()
    }

    /// Removes a message for good, with what it carries to another queue.
    pub(crate) fn take(&mut self, seq: Seq) -> Option<Taken> {
        let entry = self.entries.remove(&seq)?;
        self.leave(seq, entry.group, entry.phase);
        let group = self.groups.name(entry.group).cloned();
        self.leave_group(entry.group);
        Some(Taken { enqueued_tick_ms: entry.enqueued_tick_ms, delivery: entry.delivery, group })
    }

    /// The numbers of all messages, leaving ones included.
    pub(crate) fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.entries.keys().copied()
    }

    fn leave_group(&mut self, group: GroupNumber) {
        if self.groups.leave(group)
            && let Line::Fair(line) = &mut self.line
        {
            line.forget(group);
        }
    }

    fn set_phase(&mut self, seq: Seq, phase: Phase) {
        self.change_phase(seq, phase, false);
    }

    fn change_phase(&mut self, seq: Seq, phase: Phase, in_front: bool) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        let before = std::mem::replace(&mut entry.phase, phase);
        let (group, visible_tick_ms) = (entry.group, entry.delivery.visible_tick_ms);
        self.leave(seq, group, before);
        self.enter(seq, group, phase, visible_tick_ms, in_front);
    }

    fn enter(&mut self, seq: Seq, group: GroupNumber, phase: Phase, visible_tick_ms: u64, in_front: bool) {
        match phase {
            Phase::Ready => self.counts.visible += 1,
            Phase::Delayed => self.counts.delayed += 1,
            Phase::InFlight => self.counts.in_flight += 1,
            Phase::Leaving(_) => {}
        }
        let entries = &self.entries;
        let is_ready = |seq: Seq| entries.get(&seq).is_some_and(|entry| entry.phase == Phase::Ready);
        match (&mut self.line, phase) {
            (Line::Fair(line), Phase::Ready) => line.appear(seq, group, in_front, is_ready),
            (Line::Fair(line), Phase::InFlight) => line.held(group),
            (Line::Fifo(line), Phase::Ready) => line.appear(seq, group),
            (Line::Fifo(line), Phase::InFlight | Phase::Leaving(_)) => line.hold(seq, group),
            (_, Phase::Delayed | Phase::Leaving(_)) => {}
        }
        if matches!(phase, Phase::Delayed | Phase::InFlight) {
            self.hide(seq, visible_tick_ms);
        }
    }

    fn leave(&mut self, seq: Seq, group: GroupNumber, phase: Phase) {
        match phase {
            Phase::Ready => self.counts.visible -= 1,
            Phase::Delayed => self.counts.delayed -= 1,
            Phase::InFlight => self.counts.in_flight -= 1,
            Phase::Leaving(_) => {}
        }
        match (&mut self.line, phase) {
            (Line::Fair(line), Phase::Ready) => line.vanish(group),
            (Line::Fair(line), Phase::InFlight) => line.unheld(group),
            (Line::Fifo(line), Phase::Ready) => line.vanish(seq, group),
            (Line::Fifo(line), Phase::InFlight | Phase::Leaving(_)) => line.unhold(seq, group),
            (_, Phase::Delayed | Phase::Leaving(_)) => {}
        }
    }

    /// Notes when a message becomes visible, and sweeps out the notes that no longer hold once they are the majority.
    fn hide(&mut self, seq: Seq, visible_tick_ms: u64) {
        self.hidden.push(Reverse((visible_tick_ms, seq)));
        // What is leaving keeps its note: were it not counted, each message that is handed out meanwhile would sweep.
        let visible = usize::try_from(self.counts.visible).unwrap_or(usize::MAX);
        let waiting = self.entries.len().saturating_sub(visible);
        if self.hidden.len() <= waiting.saturating_mul(2).saturating_add(SLACK) {
            return;
        }
        let entries = &self.entries;
        self.hidden.retain(|Reverse((due_ms, seq))| {
            entries.get(seq).is_some_and(|entry| entry.delivery.visible_tick_ms == *due_ms)
        });
    }
}

/// What a message is that is not visible: waiting for its first time, or handed out.
fn hidden(delivery: DeliveryState) -> Phase {
    if delivery.issued == 0 { Phase::Delayed } else { Phase::InFlight }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn fresh(visible_tick_ms: u64) -> DeliveryState {
        DeliveryState { visible_tick_ms, ..DeliveryState::default() }
    }

    fn shelf_of(seqs: &[Seq]) -> Shelf {
        let mut shelf = Shelf::standard();
        for seq in seqs {
            shelf.put(*seq, 0, fresh(0), None, 0);
        }
        shelf
    }

    fn receive_one(shelf: &mut Shelf, tick_ms: u64, until_ms: u64) -> Option<Seq> {
        shelf.advance(tick_ms);
        let (seq, _) = shelf.next_ready(&mut Walk::default())?;
        shelf.hand_out(seq, tick_ms, tick_ms, until_ms);
        Some(seq)
    }

    #[test]
    fn a_message_that_was_given_back_goes_behind_those_that_wait() {
        let mut shelf = shelf_of(&[1, 2, 3]);
        for expected in [1, 2, 3, 1, 2] {
            assert_eq!(receive_one(&mut shelf, 0, 0), Some(expected));
        }
    }

    #[test]
    fn a_message_whose_timeout_ran_out_for_the_first_time_goes_in_front_and_behind_later() {
        let mut shelf = shelf_of(&[1, 2, 3, 4]);
        assert_eq!(receive_one(&mut shelf, 0, 10), Some(1));
        assert_eq!(receive_one(&mut shelf, 0, 10), Some(2));
        assert_eq!(receive_one(&mut shelf, 10, 20), Some(1), "the oldest first");
        assert_eq!(receive_one(&mut shelf, 10, 20), Some(2));
        assert_eq!(receive_one(&mut shelf, 20, 30), Some(3), "what fails again waits its turn");
    }

    #[test]
    fn counts_follow_every_move_and_a_renewed_message_stays_hidden_past_its_old_time() {
        let mut shelf = shelf_of(&[1]);
        shelf.put(2, 0, fresh(50), None, 0);
        assert_eq!(shelf.counts(), Counts { visible: 1, in_flight: 0, delayed: 1 });
        assert_eq!(receive_one(&mut shelf, 0, 100), Some(1));
        shelf.set_visible_at(1, 200, 90).unwrap();
        shelf.advance(100);
        assert_eq!(shelf.counts(), Counts { visible: 1, in_flight: 1, delayed: 0 });
        shelf.advance(200);
        assert_eq!(shelf.counts(), Counts { visible: 2, in_flight: 0, delayed: 0 });
        shelf.set_leaving(1, Leaving::Removed);
        assert_eq!(shelf.counts(), Counts { visible: 1, in_flight: 0, delayed: 0 });
        shelf.stay(1, Leaving::Moved, 300);
        assert_eq!(shelf.counts(), Counts { visible: 1, in_flight: 0, delayed: 0 });
        shelf.stay(1, Leaving::Removed, 300);
        shelf.advance(299);
        assert_eq!(shelf.counts(), Counts { visible: 1, in_flight: 1, delayed: 0 });
        shelf.advance(300);
        assert_eq!(shelf.counts(), Counts { visible: 2, in_flight: 0, delayed: 0 });
    }

    #[test]
    fn a_released_delivery_does_not_count_and_its_receipt_is_superseded_by_the_next() {
        let mut shelf = shelf_of(&[1]);
        receive_one(&mut shelf, 0, 100).unwrap();
        assert_eq!(shelf.release(1, 5).unwrap().receive_count, 0);
        assert_eq!(shelf.standing(1, 1), Standing::Released);
        assert!(shelf.release(1, 6).is_none(), "not twice");
        receive_one(&mut shelf, 5, 100).unwrap();
        assert_eq!(shelf.standing(1, 1), Standing::Superseded);
        assert_eq!(shelf.standing(1, 2), Standing::Current);
        assert_eq!(shelf.take(1).unwrap().delivery.receive_count, 1);
        assert_eq!(shelf.standing(1, 2), Standing::Gone);
    }

    #[test]
    fn hiding_and_showing_one_message_for_ever_does_not_grow_the_lines() {
        let mut shelf = shelf_of(&[1, 2]);
        for tick_ms in 0..10_000 {
            shelf.set_visible_at(1, tick_ms + 1, tick_ms);
            shelf.set_visible_at(1, tick_ms, tick_ms);
        }
        let Line::Fair(line) = &shelf.line else { panic!("a standard queue's") };
        assert!(line.notes() <= 2 * 2 + SLACK + 1);
        assert!(shelf.hidden.len() <= 2 * 2 + SLACK + 1);
        assert_eq!(shelf.counts(), Counts { visible: 2, in_flight: 0, delayed: 0 });
    }

    #[test]
    fn a_message_whose_removal_failed_is_not_overtaken_by_a_later_one_of_its_group() {
        let mut shelf = Shelf::fifo();
        (1..=2).for_each(|seq| shelf.put(seq, 0, fresh(0), Some("g"), 0));
        shelf.set_leaving(1, Leaving::Removed);
        shelf.stay(1, Leaving::Removed, 1000);
        assert_eq!(shelf.next_ready(&mut Walk::default()), None);
        assert_eq!(receive_one(&mut shelf, 1000, 2000), Some(1));
    }

    #[test]
    fn purge_and_expiry_take_hidden_messages_too() {
        let mut shelf = shelf_of(&[1, 2]);
        shelf.put(3, 10, fresh(500), None, 0);
        receive_one(&mut shelf, 0, 1000);
        assert_eq!(shelf.expire(5), [1, 2]);
        assert_eq!(shelf.counts(), Counts { visible: 0, in_flight: 0, delayed: 1 });
        assert!(shelf.expire(5).is_empty(), "they are on their way");
        assert_eq!(shelf.clear_some(0, 4, 10), (vec![3], Some(3)));
        (1..4).for_each(|seq| drop(shelf.take(seq)));
        assert_eq!(shelf.counts(), Counts::default());
        assert_eq!(shelf.next_ready(&mut Walk::default()), None);
    }
}
