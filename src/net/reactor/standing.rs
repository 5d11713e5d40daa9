//! How the service stands, as balancers and other monitors are told: what it says of itself, and whether it is about to
//! leave.

use std::time::Duration;

use super::Net;

impl Net {
    /// Says whether this service can do its work, as far as it knows itself: its database is away, its cache is cold.
    /// A process begins as one that can.
    ///
    /// Monitors are told: `/readyz` answers 503 (see `Server::health`, of the feature `health`), and an
    /// [agent check](crate::Server::agent_check) says `down`. Whoever comes all the same is served as before. `/livez` is
    /// not touched by it: a new process would not bring the database back.
    ///
    /// It is part of what a fork has; a new program says it anew in [`on_start`](crate::Service::on_start), before anybody
    /// asks.
    ///
    /// ```
    /// # use heirloom::{Connection, ConnId};
    /// struct Front {
    ///     database: Option<ConnId>,
    /// }
    ///
    /// impl Front {
    ///     /// Of `on_open`, where the origin is a dial; the other way round in `on_close`.
    ///     fn database_is_there(&mut self, conn: &mut Connection<'_>) {
    ///         self.database = Some(conn.id());
    ///         conn.net.set_ready(true);
    ///     }
    /// }
    /// ```
    pub fn set_ready(&mut self, is_ready: bool) {
        self.standing.is_ready = is_ready;
    }

    /// Whether this service has said that it can do its work. See [`set_ready`](Self::set_ready).
    pub fn is_ready(&self) -> bool {
        self.standing.is_ready
    }

    /// Says which share of its usual work this process would like to have, in percent (100): an
    /// [agent check](crate::Server::agent_check) passes it on, and HAProxy multiplies the weight that is configured for
    /// this server by it. With 0 it gets no new clients.
    ///
    /// As with [`set_ready`](Self::set_ready), a fork has it and a new program says it anew.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// Of an alarm that comes each second: the fuller it is, the fewer are to come.
    /// fn on_alarm(net: &mut Net) {
    ///     const MOST: usize = 10_000;
    ///     let free = MOST.saturating_sub(net.connections()) * 100 / MOST;
    ///     net.set_weight(free.max(1) as u8);
    /// }
    /// ```
    pub fn set_weight(&mut self, percent: u8) {
        self.standing.weight = percent;
    }

    /// How long this service goes on to accept although it was told to stop, if it was: see
    /// [`Server::lame_duck`](crate::Server::lame_duck). `None` is said before that, and never again after it; when the
    /// time is over, zero.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// Of a reply: whether the client is to come back by another connection, which then leads elsewhere.
    /// fn says_close(net: &Net) -> bool {
    ///     net.is_draining() || net.lame_duck().is_some()
    /// }
    /// ```
    pub fn lame_duck(&self) -> Option<Duration> {
        let until = self.standing.lame_duck?;
        Some(until.saturating_duration_since(self.now))
    }
}
