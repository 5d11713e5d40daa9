//! Alarms of the service: set, taken back, going off, and on their way from one process to another.
//! Knows no service and no link.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Alarm, Key, Net};
use crate::limits::{FAR_FUTURE, INTERVAL_MIN};

/// An alarm that is set, as plain data: to be looked at, or written down and
/// [resumed](Net::resume_alarm) elsewhere.
///
/// ```
/// use heirloom::{Alarm, Net};
///
/// /// In a new program that has other numbers for some: none of the old one's is forgotten.
/// fn on_start(net: &mut Net) {
///     for mut alarm in net.inherited_alarms() {
///         alarm.key = Alarm(alarm.key.0 + 100);
///         net.resume_alarm(alarm);
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Each stands in the queue of timers as well.
    set: Settings,
    /// They do not go off here: another process has them, and may hand them back.
    standing: Settings,
    /// On a new program: the old one's, for `on_start`.
    inherited: Settings,
    /// What has changed since the other side was told; `None` while nobody wants to know.
    changed: Option<BTreeSet<Alarm>>,
}

/// What is new about an alarm: that it is set like this, or that it is not set any more.
pub(crate) type AlarmNews = (Alarm, Option<(Duration, Option<Duration>)>);

impl Net {
    /// Has [`on_alarm`](crate::Service::on_alarm) called with `key`, once, `after` from now. One that
    /// is set already is set anew.
    ///
    /// Alarms belong to the newest generation. From the moment at which the service's state is copied
    /// (at the fork, or with [`save`](crate::Service::save)) those that are set stand still in the old
    /// process; they go on in the new one as soon as it serves. What comes due in between goes off
    /// then. A forked child has them as they are, a new program is
    /// [offered them](Self::inherited_alarms). What a process sets later is its own:
    /// [`on_retire`](crate::Service::on_retire) may set alarms for the work that is left.
    ///
    /// If the new generation fails or is rolled back, the old one goes on with them as they stand then:
    /// it is told of each that goes off, is set or is cleared during the probation (by anything but
    /// `on_start`). A key has to mean the same to both, and one that it does not know a program ignores.
    /// So none is lost, and none goes off in both, with one exception: if the new process dies
    /// within `on_alarm`, nobody knows how far that came, and the old one calls it again.
    ///
    /// ```
    /// # use heirloom::{Alarm, Net};
    /// fn on_alarm(net: &mut Net, key: Alarm) {
    ///     net.set_alarm(key, std::time::Duration::from_secs(1)); // it comes once: set it again
    /// }
    /// ```
    pub fn set_alarm(&mut self, key: Alarm, after: Duration) {
        let at = self.later(after);
        self.place_alarm(key, Setting { at, every: None });
    }

    /// Has [`on_alarm`](crate::Service::on_alarm) called with `key` every time that `every` has
    /// passed, for the first time `every` from now. In all else it is
    /// [an alarm](Self::set_alarm): it goes to the new generation, and keeps its beat there.
    ///
    /// The beat is counted from the first time, so it does not drift. Ticks that were missed, because
    /// a turn or a restart took longer than `every`, are coalesced: `on_alarm` is called once for all of
    /// them, and [`Stats::ticks_missed`](crate::Stats::ticks_missed) counts the others. `every` is at
    /// least [`limits::INTERVAL_MIN`](crate::limits::INTERVAL_MIN).
    ///
    /// ```
    /// # use heirloom::{Alarm, Net, Start};
    /// # use std::time::Duration;
    /// const REPORT: Alarm = Alarm(1);
    ///
    /// fn on_start(net: &mut Net, start: Start) {
    ///     if start == Start::Fresh {
    ///         net.set_interval(REPORT, Duration::from_secs(60));
    ///     }
    /// }
    /// ```
    pub fn set_interval(&mut self, key: Alarm, every: Duration) {
        let every = every.clamp(INTERVAL_MIN, FAR_FUTURE);
        let at = self.later(every);
        self.place_alarm(key, Setting { at, every: Some(every) });
    }

    /// Takes an alarm back; nothing happens if it was not set.
    pub fn clear_alarm(&mut self, key: Alarm) {
        self.alarms.standing.remove(&key);
        if let Some(setting) = self.alarms.set.remove(&key) {
            self.timers.remove(setting.at, Key::Alarm(key));
            self.note_alarm(key);
        }
    }

    /// The alarms that are set in this process, by key.
    pub fn alarms(&self) -> Vec<PendingAlarm> {
        self.pending(&self.alarms.set)
    }

    /// In a new program, from [`on_start`](crate::Service::on_start): the alarms of the old one, as they stand now. New
    /// code may want none of them, so it is asked; what it does not [resume](Self::resume_alarm) there is
    /// forgotten.
    ///
    /// Empty in every other place. A forked child has its alarms already.
    ///
    /// ```
    /// # use heirloom::{Net, Start};
    /// fn on_start(net: &mut Net, _start: Start) {
    ///     for alarm in net.inherited_alarms() {
    ///         net.resume_alarm(alarm);
    ///     }
    /// }
    /// ```
    pub fn inherited_alarms(&self) -> Vec<PendingAlarm> {
        self.pending(&self.alarms.inherited)
    }

    /// Sets an alarm that was [listed](Self::alarms) here or elsewhere, with the time that was left of it.
    pub fn resume_alarm(&mut self, PendingAlarm { key, left, every }: PendingAlarm) {
        let at = self.later(left);
        let every = every.map(|every| every.clamp(INTERVAL_MIN, FAR_FUTURE));
        self.place_alarm(key, Setting { at, every });
    }

    fn pending(&self, settings: &Settings) -> Vec<PendingAlarm> {
        let left = |at: Instant| at.saturating_duration_since(self.now);
        let pending = settings.iter().map(|(&key, &Setting { at, every })| PendingAlarm {
            key,
            left: left(at),
            every,
        });
        pending.collect()
    }

    fn place_alarm(&mut self, key: Alarm, setting: Setting) {
        if let Some(before) = self.alarms.set.insert(key, setting) {
            self.timers.remove(before.at, Key::Alarm(key));
        }
        self.timers.insert(setting.at, Key::Alarm(key));
        self.note_alarm(key);
    }

    fn note_alarm(&mut self, key: Alarm) {
        if let Some(changed) = &mut self.alarms.changed {
            changed.insert(key);
        }
    }

    /// An alarm that was due at `at` goes off: it is over, or comes again.
    pub(super) fn ring(&mut self, key: Alarm, at: Instant) {
        let every = self.alarms.set.remove(&key).and_then(|setting| setting.every);
        if let Some(every) = every {
            let (next, missed) = next_tick(at, every, self.now);
            self.stats.ticks_missed += missed;
            self.place_alarm(key, Setting { at: next, every: Some(every) });
        }
        self.note_alarm(key);
    }

    // From process to process.

    /// From here on the alarms that are set belong to the copy of the state that was just made.
    pub(crate) fn suspend_alarms(&mut self) {
        for (key, setting) in std::mem::take(&mut self.alarms.set) {
            self.timers.remove(setting.at, Key::Alarm(key));
            self.alarms.standing.insert(key, setting);
        }
    }

    /// Alarms that stand still go on here, but for those that were set anew meanwhile.
    pub(crate) fn resume_alarms(&mut self) {
        for (key, setting) in std::mem::take(&mut self.alarms.standing) {
            if !self.alarms.set.contains_key(&key) {
                self.place_alarm(key, setting);
            }
        }
    }

    /// They will not come back.
    pub(crate) fn forget_suspended_alarms(&mut self) {
        self.alarms.standing.clear();
        self.alarms.changed = None;
    }

    /// Everything about the alarms that stand still, for a new program.
    pub(crate) fn suspended_alarms(&self) -> Vec<AlarmNews> {
        let pending = self.pending(&self.alarms.standing).into_iter();
        pending.map(|alarm| (alarm.key, Some((alarm.left, alarm.every)))).collect()
    }

    /// From here on changes are noted down for the other side.
    pub(crate) fn note_alarms(&mut self) {
        self.alarms.changed = Some(BTreeSet::new());
    }

    /// Nobody wants to know any more.
    pub(crate) fn stop_noting_alarms(&mut self) {
        self.alarms.changed = None;
    }

    /// What has changed since the last call.
    pub(crate) fn take_alarm_news(&mut self) -> Vec<AlarmNews> {
        let Some(changed) = &mut self.alarms.changed else { return Vec::new() };
        let now = self.now;
        let news = std::mem::take(changed).into_iter().map(|key| {
            let setting = self.alarms.set.get(&key);
            (key, setting.map(|it| (it.at.saturating_duration_since(now), it.every)))
        });
        news.collect()
    }

    /// On an old side: what the new one says of the alarms that it has.
    pub(crate) fn hear_alarm_news(&mut self, news: Vec<AlarmNews>) {
        let now = self.now;
        follow(&mut self.alarms.standing, news, now);
    }

    /// On a new program: what the old one hands over.
    pub(crate) fn inherit_alarms(&mut self, news: Vec<AlarmNews>) {
        let now = self.now;
        follow(&mut self.alarms.inherited, news, now);
    }

    /// `on_start` has had its choice.
    pub(crate) fn forget_inherited_alarms(&mut self) {
        self.alarms.inherited.clear();
    }
}

/// Brings a copy up to date.
fn follow(copy: &mut Settings, news: Vec<AlarmNews>, now: Instant) {
    for (key, news) in news {
        match news {
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
