//! How often one kind of line is said: what others can cause as often as they like is counted, not
//! repeated.

use std::{
    fmt,
    time::{Duration, Instant},
};

use log::Level;

use super::Quoted;
use crate::limits::{LOG_BURST, LOG_WINDOW};

/// What has been said lately. One for a process that has a loop; the time is the loop's own.
///
/// The first [`LOG_BURST`] lines of a kind are said as they are. Those that follow within the same
/// [`LOG_WINDOW`] are counted, and at its end one line says how many there were.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: &'static str,
    target: &'static str,
    level: Level,
    /// When its window began.
    since: Instant,
    said: u32,
    /// Counted and not said.
    more: u64,
}

impl Repeats {
    /// Says a line of this kind, or counts it. Answers when [`tell`](Self::tell) has to be called, if it has
    /// to be because of this one.
    pub fn log(
        &mut self,
        now: Instant,
        target: &'static str,
        level: Level,
        name: &'static str,
        line: fmt::Arguments<'_>,
    ) -> Option<Instant> {
        if !log::log_enabled!(target: target, level) {
            return None;
        }
        let due = self.count(now, target, level, name);
        if due.is_none() {
            log::log!(target: target, level, "{line}");
        }
        due.filter(|_| self.kinds.iter().any(|kind| kind.name == name && kind.more == 1))
    }

    /// `None`: the line may be said. Otherwise it was counted, and the window ends then.
    fn count(
        &mut self,
        now: Instant,
        target: &'static str,
        level: Level,
        name: &'static str,
    ) -> Option<Instant> {
        self.tell(now);
        let known = self.kinds.iter().position(|kind| kind.name == name);
        let at = known.unwrap_or_else(|| {
            self.kinds.push(Kind { name, target, level, since: now, said: 0, more: 0 });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[at];
        if kind.said < LOG_BURST {
            kind.said += 1;
            return None;
        }
        kind.more += 1;
        Some(kind.since + LOG_WINDOW)
    }

    /// Says how many lines were counted in the windows that are over by now.
    pub fn tell(&mut self, now: Instant) {
        self.kinds.retain(|kind| {
            let window = now.saturating_duration_since(kind.since);
            let is_over = window >= LOG_WINDOW;
            if is_over {
                kind.tell(window);
            }
            !is_over
        });
    }

    /// The same of all windows: this process says no more.
    pub fn tell_all(&mut self, now: Instant) {
        for kind in std::mem::take(&mut self.kinds) {
            kind.tell(now.saturating_duration_since(kind.since));
        }
    }
}

impl Kind {
    fn tell(&self, window: Duration) {
        if self.more > 0 {
            log::log!(
                target: self.target,
                self.level,
                "repeated: kind={} more={} within={:.3}s",
                Quoted(self.name),
                self.more,
                window.as_secs_f64(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(repeats: &mut Repeats, now: Instant, name: &'static str) -> bool {
        repeats.count(now, "here", Level::Info, name).is_none()
    }

    #[test]
    fn a_burst_is_said_and_the_rest_is_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let said = (0..1000).filter(|_| count(&mut repeats, start, "flood")).count();
        assert_eq!(said, LOG_BURST as usize);
        assert!(count(&mut repeats, start, "another"), "it has its own count");
        assert_eq!(repeats.kinds[0].more, 1000 - u64::from(LOG_BURST));
    }

    #[test]
    fn a_new_window_begins_when_the_old_one_is_over() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        while count(&mut repeats, start, "flood") {}
        let late = start + LOG_WINDOW - Duration::from_nanos(1);
        assert!(!count(&mut repeats, late, "flood"));
        assert!(count(&mut repeats, start + LOG_WINDOW, "flood"));
        assert_eq!((repeats.kinds[0].said, repeats.kinds[0].more), (1, 0));
    }

    #[test]
    fn what_is_rare_is_never_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let step = LOG_WINDOW / (LOG_BURST - 1);
        assert!((0..1000).all(|number| count(&mut repeats, start + step * number, "now and then")));
    }

    #[test]
    fn nothing_is_kept_of_what_is_over() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        count(&mut repeats, start, "once");
        repeats.tell(start + LOG_WINDOW);
        assert!(repeats.kinds.is_empty());
    }
}
