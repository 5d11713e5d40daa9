//! What a callback may ask of the process, and what it may know about it.

use super::{Net, request::Request};
use crate::{
    cause::Cause,
    net::{conn::ConnState, datagram::Datagrams, leaving::LeaveReason, listen::Listener},
    plan::{Engine, Restart},
    stats::Stats,
    workers::Worker,
};

impl Net {
    /// Waits for nobody's work any more, nor for what an `on_close` may begin.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
        self.abort_dials();
    }

    pub(crate) fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// Whether nothing is left that a draining process has to wait for. A control connection has had its
    /// answer when its output is gone; nobody waits for its FIN.
    pub(crate) fn is_empty(&self) -> bool {
        let is_done = |conn: &ConnState| conn.output.is_empty();
        self.hurried
            || (self.connections() == 0
                && self.holds.len() == 0
                && self.deferred.is_empty()
                && !self.mail.waits
                && self.words.is_idle()
                && self.conns.iter().all(|(_, conn)| is_done(conn))
                && !self.datagrams.iter().any(Datagrams::has_unsent))
    }

    /// Asks for a new generation. It is begun later in this turn, when no callback is under way; how it
    /// went is told to [`on_restart_ended`](crate::Service::on_restart_ended).
    pub fn restart(&mut self, how: Restart) {
        self.requests.push(Request::Restart { how, by: None, cause: Cause::Callback });
    }

    /// Asks that the restart which made this process be undone, while it is in its
    /// [probation](Restart::probation): the old generation accepts again, with everything that this one
    /// [hands back](crate::guide::fork_or_exec#what-becomes-of-the-state), and this one serves what it
    /// has left. For a service that finds out only at work that it cannot do it.
    ///
    /// If the old generation cannot take it back, this one goes on, in a probation that begins anew; the log says
    /// why.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// Of an alarm that `on_start` has set.
    /// fn on_alarm(net: &mut Net, has_upstream: bool) {
    ///     if !has_upstream {
    ///         net.roll_back("no upstream to be reached"); // whoever has asked for the restart reads it
    ///     }
    /// }
    /// ```
    pub fn roll_back(&mut self, reason: impl Into<String>) {
        let (reason, cause) = (reason.into(), Cause::Callback);
        self.requests.push(Request::RollBack { reason, by: None, cause });
    }

    /// Asks this process to stop accepting, serve what it has, and exit; and all older generations to do
    /// the same.
    ///
    /// The time for it is that of [`drain_on_stop`](crate::Server::drain_on_stop). Asked for a second
    /// time, it means [`stop`](Self::stop), as with SIGTERM.
    pub fn drain(&mut self) {
        self.requests.push(Request::Drain { cause: Cause::Callback });
    }

    /// Asks this process to abort what it has and exit.
    pub fn stop(&mut self) {
        self.requests.push(Request::Stop { cause: Cause::Callback });
    }

    /// Asks for a checkpoint: what [`save`](crate::Service::save) writes, when the callbacks of this turn are through, is to outlive all processes
    /// of this service. If they all end without a word (a crash, `kill -9`, the last of the memory), the next first
    /// generation is given it by [`load`](crate::Service::load) before it serves.
    ///
    /// It is kept in memory, never in a file, by the service manager, if that has a [store](crate::guide::systemd_and_containers#a-crash-of-everything)
    /// for this service; otherwise nothing is done. Each takes the place of the one before. What the service learns after it, connections, alarms
    /// and words are lost with the processes, and a stop that was told leaves no checkpoint behind. In a
    /// [probation](Restart::probation) the process waits with it until it stays.
    ///
    /// `save` runs in the loop here and not in a scribe, so everybody waits for it: it is for a state that is written in
    /// milliseconds. How often is up to the service.
    ///
    /// ```
    /// use heirloom::{Alarm, Net};
    /// use std::time::Duration;
    ///
    /// const SAVE: Alarm = Alarm(1);
    ///
    /// fn on_start(net: &mut Net) {
    ///     net.set_interval(SAVE, Duration::from_secs(5));
    /// }
    ///
    /// fn on_alarm(net: &mut Net, alarm: Alarm) {
    ///     if alarm == SAVE {
    ///         net.checkpoint();
    ///     }
    /// }
    /// ```
    pub fn checkpoint(&mut self) {
        self.requests.push(Request::Checkpoint);
    }

    /// The number of this process in the succession. The one that was started first is 0.
    ///
    /// A restart gives its new side the next number. Once the new side is ready the number is used up, also
    /// if it then dies in its [probation](Restart::probation) or is rolled back: the next one has
    /// a higher number. A new side that was never ready leaves its number to the next attempt. So no two
    /// processes that have served have the same number, and there may be gaps among those that stayed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Which of the server's [workers](crate::Server::workers) this process is; `None` where one alone serves. A new
    /// generation is the same worker as the one before.
    pub fn worker(&self) -> Option<Worker> {
        self.worker
    }

    /// How this process was made; `None` for one that was started by hand or by its
    /// supervisor.
    pub fn engine(&self) -> Option<Engine> {
        self.engine
    }

    /// Where this service can be reached: its listeners in the order in which they were
    /// [asked for](crate::Server::listen), as `ip:port`, `unix:/path` or `unix:@name`, then its datagram
    /// sockets, as `udp:ip:port`, `unixgram:/path` or `unixgram:@name`. A port that was left to the system is the one that it chose. A
    /// process that leaves has given its listeners up.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// From `on_start`, for an operator who has asked for port 0.
    /// fn greet(net: &Net) {
    ///     println!("listening on {}", net.addresses().join(", "));
    /// }
    /// ```
    pub fn addresses(&self) -> Vec<String> {
        let of_clients = |listener: &&Listener| listener.caller.is_client();
        let listeners = self.listeners.iter().filter(of_clients);
        let datagrams = self.datagrams.iter().map(Datagrams::address);
        listeners.map(|listener| listener.address.to_string()).chain(datagrams).collect()
    }

    /// Whether this process is leaving.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Why this process is leaving, if it is: for callbacks that are not told, as
    /// [`on_drain`](crate::Service::on_drain) and its [`Leaving`](crate::Leaving) are. It is known from before
    /// [`on_retire`](crate::Service::on_retire) on, and a restart may become a stop later.
    ///
    /// ```
    /// use heirloom::{LeaveReason, Net};
    ///
    /// /// From `on_close`: whether the others are to hear that somebody has left.
    /// fn is_news(net: &Net) -> bool {
    ///     net.leaving() != Some(LeaveReason::Stop)
    /// }
    /// ```
    pub fn leaving(&self) -> Option<LeaveReason> {
        self.leaving
    }

    /// What this process has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
