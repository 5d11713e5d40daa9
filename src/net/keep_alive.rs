//! Whether and when the kernel asks silent peers whether they are there.

use std::{io, os::fd::AsFd, time::Duration};

use super::{
    address::Address,
    sockopt::{SO_KEEPALIVE, Setting, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, set_all},
};
use crate::limits::{KEEP_ALIVE_IDLE, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_PROBES};

/// Whether and when the kernel asks a peer that says nothing whether it is still there (`tcp(7)`). So a connection
/// whose peer has lost its power or its network ends, also where no timeout of the server applies.
///
/// Where none is said of a listener or a dial, it asks after
/// [`KEEP_ALIVE_IDLE`](crate::limits::KEEP_ALIVE_IDLE). What one does not say is the system's: after two hours, every
/// 75 s, nine times.
///
/// ```
/// use heirloom::KeepAlive;
/// use std::time::Duration;
///
/// // Who is gone is found out within 60 + 3 * 10 s.
/// let patient = KeepAlive::new().idle(Duration::from_secs(60)).interval(Duration::from_secs(10)).count(3);
/// assert_ne!(patient, KeepAlive::off());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    on: bool,
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive { on: true, idle: None, interval: None, count: None }
    }
}

impl KeepAlive {
    /// It asks, at the times that the system has.
    pub fn new() -> KeepAlive {
        KeepAlive::default()
    }

    /// It does not ask.
    pub fn off() -> KeepAlive {
        KeepAlive { on: false, ..KeepAlive::default() }
    }

    /// So long nothing came before it asks for the first time (`TCP_KEEPIDLE`): 1 s to 32,767 s, whole seconds.
    #[must_use]
    pub fn idle(mut self, time: Duration) -> KeepAlive {
        self.idle = Some(time);
        self
    }

    /// And so long it waits for an answer before it asks again (`TCP_KEEPINTVL`): 1 s to 32,767 s, whole seconds.
    #[must_use]
    pub fn interval(mut self, time: Duration) -> KeepAlive {
        self.interval = Some(time);
        self
    }

    /// So often it asks before the connection is broken (`TCP_KEEPCNT`): 1 to 127.
    #[must_use]
    pub fn count(mut self, times: u32) -> KeepAlive {
        self.count = Some(times);
        self
    }

    /// # Errors
    /// What makes no sense, in words.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, String> {
        let mut settings = vec![(SO_KEEPALIVE, i32::from(self.on))];
        for (what, option, time) in
            [("idle time", TCP_KEEPIDLE, self.idle), ("interval", TCP_KEEPINTVL, self.interval)]
        {
            let Some(time) = time else { continue };
            let seconds = whole_seconds(time);
            if !(1..=32_767).contains(&seconds) {
                return Err(format!("the {what} of keep-alive is 1 s to 32767 s, not {time:?}"));
            }
            settings.push((option, seconds));
        }
        match self.count {
            Some(count @ 1..=127) => settings.push((TCP_KEEPCNT, count as i32)),
            Some(count) => return Err(format!("keep-alive asks 1 to 127 times, not {count}")),
            None => {}
        }
        Ok(settings)
    }
}

/// Where an author says nothing: peers of TCP are asked at our times, so that nobody waits for ever for one that is gone without a
/// word. Set on a socket that listens, it holds for whoever comes there, without a system call for each. One that is
/// set already, by a service manager or an older generation, is left as it is. Of a Unix socket the system knows.
pub(crate) fn ask_the_silent(socket: &impl AsFd, address: &Address) -> io::Result<()> {
    const OURS: [Setting; 4] = [
        (TCP_KEEPIDLE, KEEP_ALIVE_IDLE.as_secs() as i32),
        (TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL.as_secs() as i32),
        (TCP_KEEPCNT, KEEP_ALIVE_PROBES as i32),
        (SO_KEEPALIVE, 1),
    ];
    match address {
        Address::Tcp(_) if SO_KEEPALIVE.get(socket)? == 0 => set_all(socket, &OURS),
        _ => Ok(()),
    }
}

/// As the kernel counts some times: what is begun counts whole, and what is too long is too long.
pub(crate) fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(i32::MAX)
}
