//! Descriptors of others, which a service has watched, as it asks for them. How they are registered is in
//! `watched`.

use std::os::fd::{AsFd, AsRawFd};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent},
};

use super::{
    Net,
    watched::{Reported, Watched, Watches},
};
use crate::{
    error::{Error, Result},
    log_target::NET,
    net::{
        id::Source,
        watch::{Interest, Readiness, Watch},
    },
};

impl Net {
    /// Has [`on_ready`](crate::Service::on_ready) called with `key` when `fd` is ready: a descriptor that is no
    /// connection of this server, such as an inotify, a timerfd, an eventfd, a serial line, a pipe to a child,
    /// or the socket of a library. A key that is watched already is so for this one from now on.
    ///
    /// Nothing is read here, and nothing is closed: the descriptor stays its owner's. The reactor watches it by a
    /// copy of its own (`dup(2)`), so [`unwatch`](Self::unwatch) it before it is closed. Should that be
    /// forgotten, no other descriptor is ever taken for it, but the file stays open, and who is at its other
    /// end hears of no end. It costs one descriptor, and one more for all of them.
    ///
    /// At most [`limits::WATCH_BUDGET`](crate::limits::WATCH_BUDGET) calls come in one turn; who has had one
    /// waits behind the others. While connections are on their way to another process, and before
    /// [`on_start`](crate::Service::on_start), none comes.
    ///
    /// **A watch belongs to its process.** A new generation begins with none, by either engine, and the old
    /// one has its own until it ends: it does not stay for them ([`hold`](Self::hold) does that). After a fork
    /// the descriptor itself is in both processes, and is one queue: what one reads the other never sees. So
    /// either a new process makes its own in [`on_start`](crate::Service::on_start), or it watches the one that it
    /// has inherited, and the old one unwatches in [`on_retire`](crate::Service::on_retire), which comes before.
    /// Then each event is handled by exactly one of them, and what comes in between waits in the kernel.
    /// [What a service holds](crate::guide::what_a_service_holds#descriptors-that-are-watched) has a table.
    ///
    /// # Errors
    /// When the kernel has no events for it: a regular file or a directory is always ready (`epoll_ctl(2)`).
    /// When there is no room for a descriptor.
    ///
    /// ```
    /// use heirloom::{Connection, Interest, Net, Origin, Readiness, Result, Service, Start, Watch};
    /// use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    /// use std::time::Duration;
    ///
    /// const TICK: Watch = Watch(1);
    ///
    /// /// Counts seconds of the wall clock, suspended ones as well.
    /// struct Seconds {
    ///     timer: TimerFd,
    ///     count: u64,
    /// }
    ///
    /// impl Seconds {
    ///     fn new() -> Result<Seconds> {
    ///         let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    ///         let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags).map_err(heirloom::Error::other)?;
    ///         let each = Expiration::Interval(Duration::from_secs(1).into());
    ///         timer.set(each, TimerSetTimeFlags::empty()).map_err(heirloom::Error::other)?;
    ///         Ok(Seconds { timer, count: 0 })
    ///     }
    /// }
    ///
    /// impl Service for Seconds {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
    ///     fn on_start(&mut self, net: &mut Net, _start: Start) {
    ///         net.watch(&self.timer, Interest::READABLE, TICK).expect("a timer can be watched");
    ///     }
    ///     fn on_ready(&mut self, _net: &mut Net, _key: Watch, _ready: Readiness) {
    ///         self.count += u64::from(self.timer.wait().is_ok());
    ///     }
    ///     fn on_retire(&mut self, net: &mut Net) {
    ///         net.unwatch(TICK); // it goes on in the child
    ///     }
    /// }
    /// # heirloom::testing::Harness::new(Seconds::new()?);
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn watch(&mut self, fd: impl AsFd, interest: Interest, key: Watch) -> Result {
        let fd = fd.as_fd();
        let number = fd.as_raw_fd();
        let failed = |e: Errno| match e {
            Errno::EPERM => Error::invalid(
                "watch",
                format_args!("descriptor {number}"),
                "a regular file or a directory is always ready (epoll_ctl(2)); inotify(7) tells of changes",
            ),
            e => Error::io("watch", format_args!("descriptor {number}"), e),
        };
        self.watches.last += 1;
        let registration = self.watches.last;
        let own = if self.poll.is_some() {
            let own = fd.try_clone_to_owned();
            let own =
                own.map_err(|e| Error::io("watch", format_args!("descriptor {number}"), e))?;
            let event = EpollEvent::new(interest.flags(), registration);
            self.set_of_watches()?.add(&own, event).map_err(failed)?;
            Some(own)
        } else {
            None
        };
        self.unwatch(key);
        self.watches.keys.insert(registration, key);
        self.watches.watched.insert(key, Watched { registration, interest, number, own });
        Ok(())
    }

    /// Asks for something else of a descriptor that is watched, with one system call. What it is ready for
    /// by now is told, edge-triggered as well.
    ///
    /// # Errors
    /// When nothing is watched under this key.
    ///
    /// ```
    /// # use heirloom::{Interest, Net, Result, Watch};
    /// /// What a database's library waits for (`PQflush` and `PQconsumeInput` of libpq).
    /// fn wait_for(net: &mut Net, database: Watch, has_unsent: bool) -> Result {
    ///     let interest = Interest::READABLE;
    ///     net.rewatch(database, if has_unsent { interest | Interest::WRITABLE } else { interest })
    /// }
    /// ```
    pub fn rewatch(&mut self, key: Watch, interest: Interest) -> Result {
        let Watches { set, watched, .. } = &mut self.watches;
        let target = || format!("{key:?}");
        let Some(it) = watched.get_mut(&key) else {
            return Err(Error::invalid("watch", target(), "nothing is watched under this key"));
        };
        if let (Some(set), Some(own)) = (set, &it.own) {
            let mut event = EpollEvent::new(interest.flags(), it.registration);
            set.modify(own, &mut event).map_err(|e| Error::io("watch", target(), e))?;
        }
        it.interest = interest;
        Ok(())
    }

    /// Watches a descriptor no more; nothing happens if it was not watched. From here on
    /// [`on_ready`](crate::Service::on_ready) does not come for it, not even in this turn.
    pub fn unwatch(&mut self, key: Watch) {
        let Some(it) = self.watches.watched.remove(&key) else { return };
        self.watches.keys.remove(&it.registration);
        if let (Some(set), Some(own)) = (&self.watches.set, &it.own)
            && let Err(e) = set.delete(own)
        {
            log::error!(target: NET, "{key:?} is watched still: {e}"); // it was registered
        }
    }

    /// What is watched in this process, by key.
    pub fn watches(&self) -> Vec<Watch> {
        self.watches.watched.keys().copied().collect()
    }

    /// Made when it is needed.
    fn set_of_watches(&mut self) -> Result<&Epoll> {
        if self.watches.set.is_none() {
            let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
            let set = set.map_err(|e| Error::io("make", "an epoll set", e))?;
            self.register(&set.0, Source::Watches)?;
            self.watches.set = Some(set);
        }
        self.watches.set.as_ref().ok_or_else(|| "no epoll set".into())
    }

    /// Some of them are ready, says the loop's own set.
    pub(crate) fn expect_watches(&mut self) {
        self.watches.ready = true;
    }

    pub(crate) fn watches_wait(&self) -> bool {
        self.watches.ready
    }

    /// Which are ready, up to the budget.
    pub(crate) fn report_watches(&mut self) -> Reported {
        self.watches.report()
    }

    /// Whose registration this is, if it is still there.
    pub(crate) fn watched_by(&self, registration: u64) -> Option<Watch> {
        self.watches.keys.get(&registration).copied()
    }

    /// In a test: the kernel would report this.
    pub(crate) fn stage_ready(&mut self, key: Watch, ready: Readiness) {
        self.watches.staged.push_back((key, ready));
        self.watches.ready = true;
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream, time::Instant};

    use mio::Poll;
    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::*;
    use crate::limits::WATCH_BUDGET;

    const KEY: Watch = Watch(7);

    fn net() -> Net {
        Net::new(Some(Poll::new().unwrap()), Instant::now())
    }

    fn told(net: &mut Net) -> Vec<(Option<Watch>, Readiness)> {
        net.report_watches().iter().map(|(it, ready)| (net.watched_by(it), ready)).collect()
    }

    fn ready_event() -> EventFd {
        EventFd::from_value_and_flags(1, EfdFlags::EFD_NONBLOCK).unwrap()
    }

    #[test]
    fn a_level_is_told_as_long_as_it_lasts_and_an_edge_once() {
        let (mut net, event) = (net(), ready_event());
        net.watch(&event, Interest::READABLE, KEY).unwrap();
        for _ in 0..3 {
            assert_eq!(told(&mut net), [(Some(KEY), Readiness::READABLE)]);
        }
        net.rewatch(KEY, Interest::READABLE.edge_triggered()).unwrap();
        assert_eq!(told(&mut net).len(), 1, "what is so by now is told");
        assert!(told(&mut net).is_empty() && !net.watches_wait());
        event.write(1).unwrap();
        assert_eq!(told(&mut net).len(), 1);
        net.rewatch(KEY, Interest::READABLE).unwrap();
        event.read().unwrap();
        assert!(told(&mut net).is_empty());
    }

    #[test]
    fn what_was_reported_before_a_change_finds_nobody() {
        let (mut net, event) = (net(), ready_event());
        net.watch(&event, Interest::READABLE, KEY).unwrap();
        let reported = net.report_watches();
        net.watch(&event, Interest::WRITABLE, KEY).unwrap(); // another registration
        let old = reported.iter().next().expect("an event").0;
        assert_eq!(net.watched_by(old), None);
        assert_eq!(told(&mut net), [(Some(KEY), Readiness::WRITABLE)]);
        net.unwatch(KEY);
        assert!(told(&mut net).is_empty() && net.watches().is_empty());
    }

    /// The file lives on in the copy of somebody else, and its number is another's by now.
    #[test]
    fn a_closed_number_is_never_taken_for_another() {
        let (mut net, event) = (net(), ready_event());
        let elsewhere = event.as_fd().try_clone_to_owned().unwrap();
        let number = event.as_fd().as_raw_fd();
        net.watch(&event, Interest::READABLE, KEY).unwrap();
        drop(event);
        let mut others: Vec<EventFd> = Vec::new();
        while others.last().is_none_or(|it| it.as_fd().as_raw_fd() < number) {
            others.push(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        }
        net.unwatch(KEY);
        assert!(told(&mut net).is_empty(), "nobody is woken, though the file is ready");
        drop(elsewhere);
    }

    #[test]
    fn a_budget_brings_everybody_to_be_heard() {
        let mut net = net();
        let events: Vec<_> = (0..=2 * WATCH_BUDGET).map(|_| ready_event()).collect();
        for (key, event) in events.iter().enumerate() {
            net.watch(event, Interest::READABLE, Watch(key as u64)).unwrap();
        }
        let mut heard: Vec<_> = (0..3).flat_map(|_| told(&mut net)).map(|it| it.0).collect();
        heard.sort_unstable();
        heard.dedup();
        assert_eq!(heard.len(), events.len());
    }

    #[test]
    fn a_file_is_refused_in_words_and_the_key_keeps_what_it_had() {
        let (mut net, event) = (net(), ready_event());
        net.watch(&event, Interest::READABLE, KEY).unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let why = net.watch(&file, Interest::READABLE, KEY).unwrap_err().to_string();
        assert!(why.contains("a regular file or a directory is always ready"), "{why}");
        assert_eq!(told(&mut net), [(Some(KEY), Readiness::READABLE)]);
        assert!(net.rewatch(Watch(1), Interest::READABLE).is_err());
    }

    #[test]
    fn the_end_of_the_other_side_is_told_with_what_it_has_written() {
        let (mut net, (ours, mut theirs)) = (net(), UnixStream::pair().unwrap());
        net.watch(&ours, Interest::READABLE, KEY).unwrap();
        theirs.write_all(b"last words").unwrap();
        drop(theirs);
        let [(Some(KEY), ready)] = told(&mut net)[..] else { panic!("one event") };
        assert!(ready.is_readable() && ready.is_hangup());
    }
}
