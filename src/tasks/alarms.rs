//! Alarms: timers of the service. Set, taken back, going off, and on their way from one process to
//! another. Pure: time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::{Duration, Instant},
};

use crate::{
    limits::{FAR_FUTURE, INTERVAL_MIN},
    timer::{TimerQueue, later},
};

/// Names a timer of the service, which belongs to no connection. Set by [`Net::set_alarm`](crate::Net::set_alarm) and
/// [`Net::set_interval`](crate::Net::set_interval).
///
/// ```
/// # use heirloom::{Alarm, Net};
/// # use std::time::Duration;
/// const SAVE: Alarm = Alarm(0); // once, some time after the first change
///
/// fn changed(net: &mut Net) {
///     if !net.alarms().iter().any(|alarm| alarm.key == SAVE) {
///         net.set_alarm(SAVE, Duration::from_secs(10));
///     }
/// }
///
/// fn saved(net: &mut Net) {
///     net.cancel_alarm(SAVE);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Alarm(pub u64);

/// An alarm that is set, as plain data: to be looked at, or written down and
/// [resumed](crate::Net::resume_alarm) elsewhere.
///
/// ```
/// use heirloom::{Alarm, Net, Start};
///
/// /// In a new program that has other numbers for some: none of the old one's is forgotten.
/// fn on_start(net: &mut Net, start: Start) {
///     if matches!(start, Start::Upgraded { .. }) {
///         for mut alarm in net.alarms() {
///             net.cancel_alarm(alarm.key);
///             alarm.key = Alarm(alarm.key.0 + 100);
///             net.resume_alarm(alarm);
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PendingAlarm {
    /// Its name.
    pub key: Alarm,
    /// How long until it goes off.
    pub left: Duration,
    /// How often it comes after that; `None` for one that comes once.
    pub every: Option<Duration>,
}

/// When an alarm goes off, and how often after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    at: Instant,
    every: Option<Duration>,
}

type Settings = BTreeMap<Alarm, Setting>;

/// The alarms of a process.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    /// Those that go off here.
    set: Settings,
    /// The same by time.
    queue: TimerQueue<Alarm>,
    /// They do not go off here: another process has them, and may hand them back.
    suspended: Settings,
    /// On a new program that does not serve yet: the old one's.
    inherited: Settings,
    /// What has changed since the other side was told; `None` while nobody wants to know.
    changed: Option<BTreeSet<Alarm>>,
}

/// What has changed about an alarm: that it is set like this, or that it is not set any more.
pub(crate) type AlarmChange = (Alarm, Option<(Duration, Option<Duration>)>);

impl Alarms {
    pub fn set(&mut self, key: Alarm, after: Duration, now: Instant) {
        self.place(key, Setting { at: later(now, after), every: None });
    }

    pub fn set_interval(&mut self, key: Alarm, every: Duration, now: Instant) {
        let every = every.clamp(INTERVAL_MIN, FAR_FUTURE);
        self.place(key, Setting { at: later(now, every), every: Some(every) });
    }

    pub fn cancel(&mut self, key: Alarm) {
        self.suspended.remove(&key);
        if let Some(setting) = self.set.remove(&key) {
            self.queue.remove(setting.at, key);
            self.note_change(key);
        }
    }

    /// Those that are set, by key.
    pub fn pending(&self, now: Instant) -> Vec<PendingAlarm> {
        list(&self.set, now)
    }

    pub fn resume(&mut self, PendingAlarm { key, left, every }: PendingAlarm, now: Instant) {
        let every = every.map(|every| every.clamp(INTERVAL_MIN, FAR_FUTURE));
        self.place(key, Setting { at: later(now, left), every });
    }

    /// When the first one goes off.
    pub fn next(&self) -> Option<Instant> {
        self.queue.next()
    }

    /// Takes out one that goes off by `now`, with the number of ticks that it stands for beside its own:
    /// it is over, or comes again.
    pub fn pop(&mut self, now: Instant) -> Option<(Alarm, u64)> {
        let (at, key) = self.queue.pop(now)?;
        let every = self.set.remove(&key).and_then(|setting| setting.every);
        let mut coalesced = 0;
        if let Some(every) = every {
            let (next, missed) = next_tick(at, every, now);
            coalesced = missed;
            self.place(key, Setting { at: next, every: Some(every) });
        }
        self.note_change(key);
        Some((key, coalesced))
    }

    fn place(&mut self, key: Alarm, setting: Setting) {
        if let Some(before) = self.set.insert(key, setting) {
            self.queue.remove(before.at, key);
        }
        self.queue.insert(setting.at, key);
        self.note_change(key);
    }

    fn note_change(&mut self, key: Alarm) {
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
    }

    // From process to process.

    /// From here on the alarms that are set belong to the copy of the state that was just made.
    pub fn suspend_all(&mut self) {
        self.queue = TimerQueue::new();
        self.suspended.append(&mut self.set);
    }

    /// Those that are suspended go on here, but for those that were set anew meanwhile.
    pub fn resume_all(&mut self) {
        for (key, setting) in std::mem::take(&mut self.suspended) {
            if !self.set.contains_key(&key) {
                self.place(key, setting);
            }
        }
    }

    /// They will not come back.
    pub fn forget_suspended(&mut self) {
        self.suspended.clear();
        self.changed = None;
    }

    /// Everything about the alarms that are suspended, for a new program.
    pub fn suspended(&self, now: Instant) -> Vec<AlarmChange> {
        let pending = list(&self.suspended, now).into_iter();
        pending.map(|alarm| (alarm.key, Some((alarm.left, alarm.every)))).collect()
    }

    /// From here on changes are noted down for the other side.
    pub fn track_changes(&mut self) {
        self.changed = Some(BTreeSet::new());
    }

    /// Nobody wants to know any more.
    pub fn stop_tracking(&mut self) {
        self.changed = None;
    }

    /// Whether [`take_changes`](Self::take_changes) has something to tell.
    pub fn has_changes(&self) -> bool {
        self.changed.as_ref().is_some_and(|changed| !changed.is_empty())
    }

    /// What has changed since the last call.
    pub fn take_changes(&mut self, now: Instant) -> Vec<AlarmChange> {
        let Some(changed) = &mut self.changed else { return Vec::new() };
        let changes = std::mem::take(changed).into_iter().map(|key| {
            let setting = self.set.get(&key);
            (key, setting.map(|it| (it.at.saturating_duration_since(now), it.every)))
        });
        changes.collect()
    }

    /// On an old side: what the new one says of the alarms that it has.
    pub fn apply_changes(&mut self, changes: Vec<AlarmChange>, now: Instant) {
        apply(&mut self.suspended, changes, now);
    }

    /// On a new program: what the old one hands over.
    pub fn inherit(&mut self, changes: Vec<AlarmChange>, now: Instant) {
        apply(&mut self.inherited, changes, now);
    }

    /// It serves: they go on here, but for those that it has set itself. The old side knows of them.
    pub fn take_up_inherited(&mut self) {
        for (key, setting) in std::mem::take(&mut self.inherited) {
            if let Entry::Vacant(place) = self.set.entry(key) {
                place.insert(setting);
                self.queue.insert(setting.at, key);
            }
        }
    }
}

fn list(settings: &Settings, now: Instant) -> Vec<PendingAlarm> {
    let pending = settings.iter().map(|(&key, &Setting { at, every })| PendingAlarm {
        key,
        left: at.saturating_duration_since(now),
        every,
    });
    pending.collect()
}

/// Brings a copy up to date.
fn apply(copy: &mut Settings, changes: Vec<AlarmChange>, now: Instant) {
    for (key, change) in changes {
        match change {
            Some((left, every)) => drop(copy.insert(key, Setting { at: now + left, every })),
            None => drop(copy.remove(&key)),
        }
    }
}

/// The first tick after `now` of the beat that had one at `at`, and how many have passed in between.
fn next_tick(at: Instant, every: Duration, now: Instant) -> (Instant, u64) {
    let late = now.saturating_duration_since(at);
    let missed = late.as_nanos() / every.as_nanos();
    let since_tick = Duration::from_nanos((late.as_nanos() % every.as_nanos()) as u64);
    (now.max(at) + (every - since_tick), missed as u64)
}

#[cfg(test)]
#[path = "alarms_tests.rs"]
mod tests;
