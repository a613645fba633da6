//! Which faults a soak has, and when, drawn from its seed before it begins. The same seed and length give the same plan. What is
//! sent is `support::workload`'s.

use support::seed::Chance;

/// What is done to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, and a start on the same folder.
    Kill,
    /// SIGTERM, and a start when the drain has ended.
    Drain,
    /// SIGHUP, which ends nothing.
    Reload,
}

/// A fault and its moment, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at_ms: u64,
    pub(crate) fault: Fault,
}

/// The faults of a soak of this length, in order. From 30 % to 80 % of it the process is only told to read its config
/// again: this is the stretch in which its memory is watched.
pub(crate) fn events(seed: u64, seconds: u64) -> Vec<Event> {
    let mut chance = Chance::new(!seed);
    let (end_ms, mut at_ms) = (seconds * 1000, 0);
    let mut events = Vec::new();
    loop {
        at_ms += chance.within(1500, 6000);
        if at_ms >= end_ms {
            return events;
        }
        let is_quiet = (seconds * 300..seconds * 800).contains(&at_ms);
        let fault = match chance.below(100) {
            _ if is_quiet => Fault::Reload,
            0..55 => Fault::Kill,
            55..80 => Fault::Drain,
            _ => Fault::Reload,
        };
        events.push(Event { at_ms, fault });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_faults_and_another_gives_others() {
        assert_eq!(events(7, 120), events(7, 120));
        assert_ne!(events(7, 120), events(8, 120));
    }

    #[test]
    fn the_quiet_stretch_ends_no_process_and_the_rest_has_kills_and_drains() {
        for seed in 0..50 {
            let events = events(seed, 600);
            assert!(events.windows(2).all(|two| two[0].at_ms < two[1].at_ms));
            let (quiet, other): (Vec<&Event>, Vec<&Event>) =
                events.iter().partition(|event| (180_000..480_000).contains(&event.at_ms));
            assert!(quiet.iter().all(|event| event.fault == Fault::Reload));
            for fault in [Fault::Kill, Fault::Drain, Fault::Reload] {
                assert!(other.iter().any(|event| event.fault == fault), "seed {seed}: no {fault:?}");
            }
        }
    }
}
