//! What a supervisor owes to the service manager, as data.

use std::{
    cmp::Reverse,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use crate::{restart::transfer::checkpoint, system::systemd::Manager};

#[derive(Debug)]
pub(super) struct Duty {
    pub manager: Manager,
    /// When the next ping is due, if one is.
    pub next: Option<Instant>,
    /// When this process did something last.
    awake: Instant,
}

impl Duty {
    pub fn new(mut manager: Manager, now: Instant) -> Duty {
        manager.take_over();
        let next = manager.ping_every().map(|_| now);
        Duty { manager, next, awake: now }
    }

    /// Whether this process was stopped for so long that others may have been as well, of whom it has heard nothing meanwhile.
    pub fn was_deaf(&mut self, now: Instant, half: Duration) -> bool {
        let before = std::mem::replace(&mut self.awake, now);
        now.saturating_duration_since(before) > half + half / 2
    }

    /// What the manager has kept of the state of each worker: the newest that is whole.
    pub fn states(&mut self) -> Vec<(u32, OwnedFd)> {
        let kept = std::mem::take(&mut self.manager.store.states);
        let dated = kept.into_iter().filter_map(|(worker, memory)| {
            let at = checkpoint::open(memory.try_clone().ok()?).ok()?.at;
            Some((worker, at, memory))
        });
        let mut dated: Vec<_> = dated.collect();
        dated.sort_by_key(|(worker, at, _)| (*worker, Reverse(*at)));
        dated.dedup_by_key(|(worker, ..)| *worker);
        dated.into_iter().map(|(worker, _, memory)| (worker, memory)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn of_each_worker_the_newest_state_is_taken() {
        let mut duty = Duty::new(Manager::default(), Instant::now());
        let state = |at| {
            let save = |out: &mut dyn Write| write!(out, "{at}").map_err(|e| e.to_string());
            checkpoint::write(Duration::from_secs(at), save).unwrap()
        };
        let cut = std::fs::File::open("/dev/null").unwrap().into();
        let states = [(1, state(5)), (0, state(2)), (0, state(9)), (1, state(4)), (0, cut)];
        duty.manager.store.states.extend(states);
        let found = duty
            .states()
            .into_iter()
            .map(|(worker, memory)| (worker, checkpoint::open(memory).unwrap().at.as_secs()));
        assert_eq!(found.collect::<Vec<_>>(), [(0, 9), (1, 5)]);
    }

    #[test]
    fn who_was_stopped_has_heard_nobody() {
        let (begun, half) = (Instant::now(), Duration::from_secs(5));
        let mut duty = Duty::new(Manager::default(), begun);
        assert!(!duty.was_deaf(begun + half, half));
        assert!(duty.was_deaf(begun + half * 3, half));
        assert!(!duty.was_deaf(begun + half * 4, half));
    }
}
