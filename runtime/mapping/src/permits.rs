//! Permits: the right to run one invocation, taken before anything is received for it.
//!
//! A function has as many as its reserved concurrency, shared out among its mappings by weight; a mapping may be held to
//! fewer. A permit that waits for a remote queue to answer is only reserved: it is taken away for whoever has work in
//! hand, so no idle poll keeps one. Nothing is received that cannot start, so the receive count means attempts that ran.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

/// The permits of one function, shared by its mappings and by those who call it themselves.
#[derive(Debug, Clone)]
pub struct Permits {
    pool: Arc<Pool>,
    /// The part of those who call it themselves: one for all of them.
    callers: Arc<OnceLock<MappingPermits>>,
}

#[derive(Debug)]
struct Pool {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: usize,
    held: usize,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    /// Counts grants, so that equals take turns.
    grants: u64,
}

/// One mapping's part.
#[derive(Debug)]
struct Member {
    weight: u64,
    /// `maximum_concurrency`.
    cap: Option<usize>,
    /// The function's limit, or the cap below it.
    most: usize,
    /// What a failing function is held to for now, at most `most`.
    allowed: usize,
    held: usize,
    waiting: VecDeque<Waiting>,
    /// Those among the held ones that wait for a queue's answer.
    reserved: Vec<Arc<Reserved>>,
    last_grant: u64,
    /// Its mapping has ended: it is forgotten with its last permit.
    is_over: bool,
}

#[derive(Debug)]
struct Waiting {
    grant: oneshot::Sender<Permit>,
    /// It holds messages already: an idle poll makes way, even one of its own mapping.
    in_hand: bool,
}

#[derive(Debug, Default)]
struct Reserved {
    taken_away: AtomicBool,
}

impl Permits {
    /// `invocations` at a time, at least one.
    #[must_use]
    pub fn new(invocations: u32) -> Self {
        let limit = invocations.max(1) as usize;
        let state = State { limit, held: 0, members: BTreeMap::new(), next_member: 0, grants: 0 };
        Self { pool: Arc::new(Pool { state: Mutex::new(state) }), callers: Arc::default() }
    }

    /// From now on so many at a time; with 0 nothing is begun. What runs is not stopped: where it is more than that, nothing is
    /// handed out until enough have ended.
    pub fn set_limit(&self, invocations: u32) {
        {
            let mut state = self.pool.lock();
            state.limit = invocations as usize;
            let limit = state.limit;
            for member in state.members.values_mut() {
                let before = std::mem::replace(&mut member.most, member.cap.map_or(limit, |cap| cap.min(limit)));
                // One that is held to fewer, as the function fails, still is.
                member.allowed = if member.allowed >= before { member.most } else { member.allowed.min(member.most) };
            }
            state.take_back();
        }
        hand_out(&self.pool);
    }

    /// How many at a time.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.pool.lock().limit
    }

    /// A permit for a call that comes from no mapping; none when none came free within that time. All such calls together
    /// share with the mappings as one of them does.
    pub async fn acquire_within(&self, patience: Duration) -> Option<Permit> {
        if self.limit() == 0 {
            return None;
        }
        let callers = self.callers.get_or_init(|| self.of_mapping(None, 1)).clone();
        tokio::time::timeout(patience, callers.acquire_in_hand()).await.ok()
    }

    /// How many are taken; as many as its mappings say each.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let state = self.pool.lock();
        assert_eq!(state.held, state.members.values().map(|member| member.held).sum::<usize>());
        assert!(state.held <= state.limit);
        state.held
    }

    /// One mapping's view: its share of the function's permits by `weight` while others want them too, and at most
    /// `maximum_concurrency` of them at a time.
    pub(crate) fn of_mapping(&self, maximum_concurrency: Option<u32>, weight: u32) -> MappingPermits {
        let mut state = self.pool.lock();
        let cap = maximum_concurrency.map(|most| most.max(1) as usize);
        let most = cap.map_or(state.limit, |cap| cap.min(state.limit));
        let member = Member {
            weight: u64::from(weight.max(1)),
            cap,
            most,
            allowed: most,
            held: 0,
            waiting: VecDeque::new(),
            reserved: Vec::new(),
            last_grant: 0,
            is_over: false,
        };
        let id = state.next_member;
        state.next_member += 1;
        state.members.insert(id, member);
        MappingPermits { membership: Arc::new(Membership { pool: Arc::clone(&self.pool), id }) }
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Hands out what can be handed out. Grants are sent by the caller, who holds no lock then.
    fn grants(&mut self, pool: &Arc<Pool>) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut granted = Vec::new();
        if self.members.values().all(|member| member.waiting.is_empty()) {
            return granted;
        }
        while let Some(id) = self.in_turn().into_iter().find(|id| self.has_one_for(*id)) {
            self.grants += 1;
            let grants = self.grants;
            let Some(member) = self.members.get_mut(&id) else { break };
            let Some(waiting) = member.waiting.pop_front() else { break };
            member.held += 1;
            member.last_grant = grants;
            self.held += 1;
            granted.push((waiting.grant, Permit { pool: Arc::clone(pool), member: id }));
        }
        granted
    }

    /// The mappings that may get the next permit: first the one with the fewest for its weight, among equals the one that
    /// waited longest.
    fn in_turn(&mut self) -> Vec<u64> {
        for member in self.members.values_mut() {
            // Whoever stopped waiting is passed over.
            member.waiting.retain(|waiting| !waiting.grant.is_closed());
            if member.held >= member.allowed && member.waiting.iter().any(|waiting| waiting.in_hand) {
                member.give_up_reserved();
            }
        }
        self.held = self.members.values().map(|member| member.held).sum();
        let mut in_turn: Vec<(&u64, &Member)> =
            self.members.iter().filter(|(_, member)| member.may_get_one()).collect();
        in_turn.sort_by_key(|(_, member)| (member.share(), member.last_grant));
        in_turn.into_iter().map(|(id, _)| *id).collect()
    }

    /// Whether there is one to be had: a free one, or an idle poll's.
    fn has_one_for(&mut self, wanting: u64) -> bool {
        self.held < self.limit || (self.held == self.limit && self.take_one_away(wanting))
    }

    /// Takes permits back from idle polls until no more are held than may be.
    fn take_back(&mut self) {
        while self.held > self.limit {
            let idle = self.members.values_mut().filter(|member| !member.reserved.is_empty());
            let Some(richest) = idle.max_by_key(|member| member.share()) else { return };
            richest.give_up_reserved();
            self.held -= 1;
        }
    }

    fn forget_if_over(&mut self, id: u64) {
        if self.members.get(&id).is_some_and(|member| member.is_over && member.held == 0) {
            self.members.remove(&id);
        }
    }

    /// Takes a reserved permit from an idle poll, for `wanting`. False when there is none.
    fn take_one_away(&mut self, wanting: u64) -> bool {
        let in_hand = self
            .members
            .get(&wanting)
            .is_some_and(|member| member.waiting.front().is_some_and(|waiting| waiting.in_hand));
        let others =
            self.members.iter_mut().filter(|(id, member)| (**id != wanting || in_hand) && !member.reserved.is_empty());
        let Some((_, richest)) = others.max_by_key(|(_, member)| member.share()) else {
            return false;
        };
        richest.give_up_reserved();
        self.held -= 1;
        true
    }
}

/// Shares are compared as whole numbers.
const SHARE_SCALE: u64 = 1 << 20;

impl Member {
    /// How much it holds for its weight.
    fn share(&self) -> u64 {
        (self.held as u64 * SHARE_SCALE) / self.weight
    }

    /// Whether it waits, and not only at its own cap.
    fn may_get_one(&self) -> bool {
        self.held < self.allowed && self.waiting.iter().any(|waiting| !waiting.grant.is_closed())
    }

    fn give_up_reserved(&mut self) {
        if let Some(reserved) = self.reserved.pop() {
            reserved.taken_away.store(true, Ordering::Relaxed);
            self.held -= 1;
        }
    }
}

/// The permits that one mapping draws from.
#[derive(Debug, Clone)]
pub(crate) struct MappingPermits {
    membership: Arc<Membership>,
}

#[derive(Debug)]
struct Membership {
    pool: Arc<Pool>,
    id: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Its permits may outlive it: they count until they are dropped.
        let mut state = self.pool.lock();
        if let Some(member) = state.members.get_mut(&self.id) {
            member.waiting.clear();
            member.is_over = true;
        }
        state.forget_if_over(self.id);
    }
}

impl MappingPermits {
    /// Waits for a permit to receive with. Cancel-safe.
    pub(crate) async fn acquire(&self) -> Permit {
        self.wait(false).await
    }

    /// Waits for a permit for messages that are here already. Cancel-safe.
    pub(crate) async fn acquire_in_hand(&self) -> Permit {
        self.wait(true).await
    }

    /// A permit, if one is free and nobody waits for it.
    pub(crate) fn try_acquire(&self) -> Option<Permit> {
        let (pool, id) = (&self.membership.pool, self.membership.id);
        let mut state = pool.lock();
        let free = state.held < state.limit && !state.members.values().any(Member::may_get_one);
        let member = state.members.get_mut(&id).filter(|member| free && member.held < member.allowed)?;
        member.held += 1;
        state.held += 1;
        Some(Permit { pool: Arc::clone(pool), member: id })
    }

    async fn wait(&self, in_hand: bool) -> Permit {
        let (grant, granted) = oneshot::channel();
        {
            let mut state = self.membership.pool.lock();
            if let Some(member) = state.members.get_mut(&self.membership.id) {
                let waiting = Waiting { grant, in_hand };
                // Those with messages in hand come before those that would receive more.
                let place = if in_hand {
                    member.waiting.iter().take_while(|one| one.in_hand).count()
                } else {
                    member.waiting.len()
                };
                member.waiting.insert(place, waiting);
            }
        }
        hand_out(&self.membership.pool);
        granted.await.expect("a membership outlives those who wait by it")
    }

    /// Notes that the function failed: it gets half as many at a time, one at least (esm-semantics §7).
    pub(crate) fn shrink(&self) {
        self.adjust(|member| member.allowed = (member.allowed.min(member.held.max(1)) / 2).max(1).min(member.most));
    }

    /// Notes that the function succeeded: one more at a time, until all are allowed again.
    pub(crate) fn grow(&self) {
        self.adjust(|member| member.allowed = (member.allowed + 1).min(member.most));
    }

    fn adjust(&self, change: impl FnOnce(&mut Member)) {
        let grew = {
            let mut state = self.membership.pool.lock();
            let Some(member) = state.members.get_mut(&self.membership.id) else { return };
            let before = member.allowed;
            change(member);
            member.allowed > before
        };
        if grew {
            hand_out(&self.membership.pool);
        }
    }

    /// How many this mapping may hold when the function does not fail.
    pub(crate) fn most(&self) -> usize {
        self.membership.pool.lock().members.get(&self.membership.id).map_or(0, |member| member.most)
    }

    /// How many this mapping may hold now.
    #[cfg(test)]
    pub(crate) fn allowed(&self) -> usize {
        self.membership.pool.lock().members.get(&self.membership.id).map_or(0, |member| member.allowed)
    }

    /// For looking at them without keeping them.
    pub(crate) fn watcher(&self) -> Watcher {
        Watcher(Arc::downgrade(&self.membership))
    }
}

/// Looks at a mapping's permits for as long as the mapping is there.
#[derive(Debug)]
pub(crate) struct Watcher(Weak<Membership>);

/// How a mapping's permits stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The most it may ever hold at a time.
    pub(crate) limit: usize,
    /// What it may hold now.
    pub(crate) allowed: usize,
    pub(crate) in_use: usize,
    /// Set aside for a poll.
    pub(crate) reserved: usize,
    /// Who waits for one.
    pub(crate) waiting: usize,
}

impl Watcher {
    /// None: the mapping has ended.
    pub(crate) fn read(&self) -> Option<Standing> {
        let membership = self.0.upgrade()?;
        let state = membership.pool.lock();
        let member = state.members.get(&membership.id)?;
        Some(Standing {
            limit: member.most,
            allowed: member.allowed,
            in_use: member.held.saturating_sub(member.reserved.len()),
            reserved: member.reserved.len(),
            waiting: member.waiting.iter().filter(|waiting| !waiting.grant.is_closed()).count(),
        })
    }
}

/// Sends grants outside the lock: one that finds nobody waiting any more comes back through its drop.
fn hand_out(pool: &Arc<Pool>) {
    let granted = pool.lock().grants(pool);
    for (grant, permit) in granted {
        let _ = grant.send(permit);
    }
}

/// The right to run one invocation, until dropped.
#[derive(Debug)]
pub struct Permit {
    pool: Arc<Pool>,
    member: u64,
}

impl Permit {
    /// Sets the permit aside for a poll: it is taken away when it is wanted before the poll has something.
    pub(crate) fn reserve(self) -> Reservation {
        let reserved = Arc::new(Reserved::default());
        {
            let mut state = self.pool.lock();
            if let Some(member) = state.members.get_mut(&self.member) {
                member.reserved.push(Arc::clone(&reserved));
            }
            // There may have come to be fewer while it was firm.
            state.take_back();
        }
        hand_out(&self.pool);
        Reservation { permit: Some(self), reserved }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.pool.lock();
            if let Some(member) = state.members.get_mut(&self.member) {
                member.held = member.held.saturating_sub(1);
                state.held = state.held.saturating_sub(1);
            }
            state.forget_if_over(self.member);
        }
        hand_out(&self.pool);
    }
}

/// A permit that may be taken away.
#[derive(Debug)]
pub(crate) struct Reservation {
    permit: Option<Permit>,
    reserved: Arc<Reserved>,
}

impl Reservation {
    /// The permit, unless it was taken away meanwhile.
    pub(crate) fn claim(mut self) -> Option<Permit> {
        self.settle()
    }

    fn settle(&mut self) -> Option<Permit> {
        let permit = self.permit.take()?;
        let mut state = permit.pool.lock();
        if let Some(member) = state.members.get_mut(&permit.member) {
            member.reserved.retain(|reserved| !Arc::ptr_eq(reserved, &self.reserved));
        }
        let taken_away = self.reserved.taken_away.load(Ordering::Relaxed);
        if taken_away && let Some(member) = state.members.get_mut(&permit.member) {
            // It does not count any more: dropping it must not count it off again.
            member.held += 1;
            state.held += 1;
        }
        drop(state);
        (!taken_away).then_some(permit)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        drop(self.settle());
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mapping_gets_no_more_than_its_own_and_the_functions_permits() {
        let function = Permits::new(3);
        let narrow = function.of_mapping(Some(2), 1);
        let wide = function.of_mapping(None, 1);
        let held = [narrow.acquire().await, narrow.acquire().await];
        assert!(timeout(Duration::from_secs(9), narrow.acquire()).await.is_err(), "the mapping's cap");
        let last = wide.acquire().await;
        assert!(timeout(Duration::from_secs(9), wide.acquire()).await.is_err(), "the function's permits");
        drop(held);
        drop(last);
        let _again = wide.acquire().await;
    }

    #[tokio::test]
    async fn contending_mappings_share_by_weight() {
        let function = Permits::new(4);
        let (light, heavy) = (function.of_mapping(None, 1), function.of_mapping(None, 3));
        let mut all = vec![light.acquire().await, light.acquire().await, light.acquire().await, light.acquire().await];
        let mut light_waits: Vec<_> = (0..4).map(|_| Box::pin(light.acquire())).collect();
        let mut heavy_waits: Vec<_> = (0..4).map(|_| Box::pin(heavy.acquire())).collect();
        assert!(light_waits.iter_mut().chain(&mut heavy_waits).all(|wait| wait.now_or_never().is_none()));
        all.clear();
        let light_held: Vec<_> = light_waits.iter_mut().filter_map(|wait| wait.now_or_never()).collect();
        let heavy_held: Vec<_> = heavy_waits.iter_mut().filter_map(|wait| wait.now_or_never()).collect();
        assert_eq!((light_held.len(), heavy_held.len()), (1, 3));
    }

    #[tokio::test]
    async fn an_idle_polls_permit_goes_to_a_sibling_that_wants_it_and_to_nobody_twice() {
        let function = Permits::new(1);
        let (idle, busy) = (function.of_mapping(None, 1), function.of_mapping(None, 1));
        let reservation = idle.acquire().await.reserve();
        let permit = busy.acquire().now_or_never();
        assert!(permit.is_some(), "taken away from the idle poll");
        assert!(reservation.claim().is_none());
        assert!(idle.acquire_in_hand().now_or_never().is_none(), "a permit that runs is not taken away");
        drop(permit);
        let _again = idle.acquire_in_hand().await;
        assert!(busy.try_acquire().is_none());
    }

    #[tokio::test]
    async fn messages_in_hand_take_the_permit_of_their_own_mappings_idle_poll_and_polls_do_not() {
        let function = Permits::new(1);
        let mapping = function.of_mapping(None, 1);
        let reservation = mapping.acquire().await.reserve();
        let mut waits = Box::pin(mapping.acquire());
        assert!(waits.as_mut().now_or_never().is_none());
        let standing = Standing { limit: 1, allowed: 1, in_use: 0, reserved: 1, waiting: 1 };
        assert_eq!(mapping.watcher().read(), Some(standing));
        drop(waits);
        let permit = mapping.acquire_in_hand().now_or_never();
        assert!(permit.is_some());
        assert!(reservation.claim().is_none());
        drop(permit);
        assert!(mapping.acquire().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_permit_that_came_too_late_for_who_waited_goes_on_to_the_next() {
        let function = Permits::new(1);
        let mapping = function.of_mapping(None, 1);
        let held = mapping.acquire().await;
        let mut gone = Box::pin(mapping.acquire());
        assert!((&mut gone).now_or_never().is_none());
        let mut next = Box::pin(mapping.acquire());
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!((&mut next).now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_waits_at_its_own_cap_or_has_given_up_waiting_keeps_nothing_from_the_others() {
        let function = Permits::new(3);
        let (capped, wide) = (function.of_mapping(Some(1), 1), function.of_mapping(None, 1));
        let held = capped.acquire().await;
        let mut waits = Box::pin(capped.acquire());
        assert!((&mut waits).now_or_never().is_none());
        assert!(wide.try_acquire().is_some());
        drop(waits);
        assert!(wide.try_acquire().is_some());
        drop(held);
    }

    #[tokio::test]
    async fn who_may_not_take_a_reserved_permit_does_not_stand_in_front_of_one_who_may() {
        let function = Permits::new(2);
        let (idle, busy) = (function.of_mapping(None, 1), function.of_mapping(None, 1));
        let _runs = busy.acquire().await;
        let _reservation = idle.acquire().await.reserve();
        // The poll that waits has no more than the other mapping, but only its own mapping's poll has one to give.
        let mut polls = Box::pin(idle.acquire());
        assert!((&mut polls).now_or_never().is_none());
        assert!(busy.acquire_in_hand().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_mapping_that_has_ended_is_forgotten_with_its_last_permit() {
        let function = Permits::new(1);
        let mapping = function.of_mapping(None, 1);
        let held = mapping.acquire().await;
        drop(mapping);
        assert_eq!(function.held(), 1);
        drop(held);
        assert_eq!((function.held(), function.pool.lock().members.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_lower_limit_holds_once_enough_have_ended_and_a_higher_one_at_once() {
        let function = Permits::new(3);
        let mapping = function.of_mapping(None, 1);
        let mut held = vec![mapping.acquire().await, mapping.acquire().await, mapping.acquire().await];
        function.set_limit(1);
        let mut waits = Box::pin(mapping.acquire());
        for _ in 0..2 {
            held.pop();
            assert!((&mut waits).now_or_never().is_none(), "{} run, and one may", held.len());
        }
        held.pop();
        let again = (&mut waits).now_or_never();
        assert!(again.is_some());
        let mut waits = Box::pin(mapping.acquire());
        assert!((&mut waits).now_or_never().is_none());
        function.set_limit(2);
        assert!((&mut waits).now_or_never().is_some());
        assert_eq!((mapping.most(), mapping.allowed()), (2, 2));
    }

    #[tokio::test]
    async fn with_a_limit_of_none_nothing_begins_and_idle_polls_give_theirs_back() {
        let function = Permits::new(2);
        let (idle, other) = (function.of_mapping(None, 1), function.of_mapping(Some(1), 1));
        let firm = idle.acquire().await;
        let reservation = idle.acquire().await.reserve();
        function.set_limit(0);
        assert!(reservation.claim().is_none());
        assert!(firm.reserve().claim().is_none(), "it was firm when the limit fell");
        assert_eq!(function.held(), 0);
        assert!(other.try_acquire().is_none() && idle.acquire_in_hand().now_or_never().is_none());
        assert!(function.acquire_within(Duration::from_secs(9)).now_or_never().is_some_and(|none| none.is_none()));
        other.shrink();
        other.grow();
        assert_eq!(other.allowed(), 0);
        function.set_limit(5);
        assert_eq!((other.allowed(), idle.allowed()), (1, 5), "each its own cap");
        assert!(other.try_acquire().is_some());
    }

    #[tokio::test]
    async fn a_new_limit_leaves_a_failing_function_held_to_fewer() {
        let function = Permits::new(8);
        let mapping = function.of_mapping(None, 1);
        let held: Vec<_> = futures::future::join_all((0..8).map(|_| mapping.acquire())).await;
        mapping.shrink();
        function.set_limit(16);
        assert_eq!((mapping.allowed(), mapping.most()), (4, 16));
        function.set_limit(2);
        assert_eq!(mapping.allowed(), 2);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_call_a_function_themselves_share_as_one_mapping_and_wait_no_longer_than_they_will() {
        let function = Permits::new(2);
        let mapping = function.of_mapping(None, 1);
        let mut held = vec![mapping.acquire().await, mapping.acquire().await];
        assert!(function.acquire_within(Duration::from_secs(1)).await.is_none());
        let mut polls: Vec<_> = (0..3).map(|_| Box::pin(mapping.acquire_in_hand())).collect();
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(function.acquire_within(Duration::from_secs(1)))).collect();
        assert!(polls.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(calls.iter_mut().all(|wait| wait.now_or_never().is_none()));
        held.clear();
        let polled: Vec<_> = polls.iter_mut().filter_map(|wait| wait.now_or_never()).collect();
        let called: Vec<_> = calls.iter_mut().filter_map(|wait| wait.now_or_never()?).collect();
        assert_eq!((polled.len(), called.len()), (1, 1));
    }

    #[tokio::test]
    async fn a_failing_function_gets_half_as_many_each_time_and_one_more_for_each_success() {
        let function = Permits::new(8);
        let mapping = function.of_mapping(None, 1);
        let held: Vec<_> = futures::future::join_all((0..8).map(|_| mapping.acquire())).await;
        for allowed in [4, 2, 1, 1] {
            mapping.shrink();
            assert_eq!(mapping.allowed(), allowed);
        }
        drop(held);
        let _one = mapping.acquire().await;
        assert!(mapping.acquire().now_or_never().is_none());
        mapping.grow();
        assert!(mapping.acquire().now_or_never().is_some());
        for _ in 0..20 {
            mapping.grow();
        }
        assert_eq!(mapping.allowed(), 8);
    }
}
