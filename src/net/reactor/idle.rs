//! Silence of one connection: what its author may set at any time, and what follows when the service was asked.

use std::time::Duration;

use super::{Connection, Net};
use crate::{
    net::{conn::Phase, id::ConnId, reason::Reason},
    timeouts::{Direction, Idle, Timeouts},
};

impl Connection<'_> {
    /// The timeouts that hold for this connection now: its own, its listener's, or those of all.
    ///
    /// [`set_timeouts`](Self::set_timeouts) has an example.
    pub fn timeouts(&self) -> Timeouts {
        *self.net.conns[self.id.slot()].timeouts(&self.net.timeouts)
    }

    /// Gives this connection timeouts of its own, which go along with it in a restart.
    ///
    /// A limit to silence that changes counts from now; the others from when they always do. It is meant for what is
    /// learned of a client: each call costs a look at the timeouts, and the first one some memory.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// # use std::time::Duration;
    /// /// It has logged in: it may be slower, and is asked whether it is there.
    /// fn trust(conn: &mut Connection<'_>) {
    ///     let limits = conn.timeouts().write_stall(Duration::from_secs(120));
    ///     conn.set_timeouts(limits.read_idle(Duration::from_secs(60)));
    /// }
    /// ```
    pub fn set_timeouts(&mut self, timeouts: Timeouts) {
        self.net.change_timeouts(self.id, |own| *own = timeouts);
    }

    /// Changes [`read_idle`](Timeouts::read_idle) of this connection; `None`: it may say nothing for ever.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// # use std::time::Duration;
    /// /// MQTT: one and a half times the keep-alive that the client has named, and zero turns it off.
    /// fn keep_alive(conn: &mut Connection<'_>, seconds: u16) {
    ///     let limit = Duration::from_millis(1500 * u64::from(seconds));
    ///     conn.set_read_idle(Some(limit).filter(|limit| !limit.is_zero()));
    /// }
    /// ```
    pub fn set_read_idle(&mut self, limit: impl Into<Option<Duration>>) {
        self.set_idle(Direction::Read, limit.into());
    }

    /// Changes [`write_idle`](Timeouts::write_idle) of this connection; `None`: there is no heartbeat.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// # use std::time::Duration;
    /// /// It subscribes to a stream of events, and is to hear something every 15 s.
    /// fn subscribe(conn: &mut Connection<'_>) {
    ///     conn.set_write_idle(Duration::from_secs(15));
    /// }
    /// ```
    pub fn set_write_idle(&mut self, limit: impl Into<Option<Duration>>) {
        self.set_idle(Direction::Write, limit.into());
    }

    /// Changes [`all_idle`](Timeouts::all_idle) of this connection; `None`: never.
    ///
    /// ```
    /// # use heirloom::Connection;
    /// # use std::time::Duration;
    /// fn answered(conn: &mut Connection<'_>, keep_alive: bool) {
    ///     conn.set_all_idle(keep_alive.then_some(Duration::from_secs(75)));
    /// }
    /// ```
    pub fn set_all_idle(&mut self, limit: impl Into<Option<Duration>>) {
        self.set_idle(Direction::All, limit.into());
    }

    fn set_idle(&mut self, direction: Direction, limit: Option<Duration>) {
        self.net.change_timeouts(self.id, |own| own.set_idle(direction, limit));
    }
}

impl Net {
    /// The service of a connection was asked what to do about its silence: it has closed it, for this reason, or
    /// is asked again after another period.
    pub(crate) fn idle_told(&mut self, id: ConnId, idle: Idle) {
        let now = self.stamp;
        let Some(conn) = self.conn(id) else { return };
        if conn.phase != Phase::Open {
            let reason = &mut conn.rare_mut().reason;
            if matches!(reason, Some(Reason::Closed | Reason::PeerClosed)) {
                *reason = Some(Reason::Idle(idle));
            }
            return;
        }
        // What it has said has begun the next period already.
        if conn.silent_since(idle.direction) < now {
            conn.count_from(idle.direction, now);
        }
        self.schedule_check(id);
    }

    /// Changes the timeouts of one connection. A limit to silence that is another one counts from now. One who is to be
    /// asked after a while and ended after another is given the second limit when asked, and the first one again when it answers;
    /// a flag in the session says which it is.
    fn change_timeouts(&mut self, id: ConnId, change: impl FnOnce(&mut Timeouts)) {
        let now = self.stamp;
        let conn = &mut self.conns[id.slot()];
        let before = *conn.timeouts(&self.timeouts);
        let mut after = before;
        change(&mut after);
        conn.patience_mut().own = Some(after);
        for direction in Direction::EACH {
            if after.idle(direction) != before.idle(direction) && conn.silent_since(direction) < now
            {
                conn.count_from(direction, now);
            }
        }
        self.schedule_check(id);
    }
}
