//! What a server may use, and how it comes and goes: the builder's plain settings.

use std::{os::fd::AsFd, time::Duration};

use super::Server;
use crate::{
    error::{Error, Result},
    limits::FAR_FUTURE,
    plan::Drain,
    service::{Mail, Service},
    tasks::Inbox,
    timeouts::Timeouts,
    turn::AtMax,
};

impl<S: Service> Server<S> {
    /// How long a connection may be silent and take over each step, for all that have no timeouts
    /// [of their own](crate::Connection::set_timeouts) or [of their listener](Self::listener_timeouts). [`Timeouts`]
    /// has each with its default, and an example.
    ///
    /// A connection that moves has those of the new program.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Server<S> {
        self.net.set_timeouts_of_all(timeouts);
        self
    }

    /// The same for the connections that come by one listener: `listener` is its number, as
    /// [`Origin::Accepted`](crate::Origin::Accepted) has it. What is not named has the default of
    /// [`Timeouts::new`], whatever all others have. A connection that moves to another program counts as come by that one's
    /// listener of the same number.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service, Timeouts};
    /// # use std::time::Duration;
    /// /// Neighbours may be silent, strangers may not.
    /// fn listen<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     let strangers = Timeouts::new().all_idle(Duration::from_secs(75));
    ///     let server = server.listen("unix:/run/app/socket")?.listen("0.0.0.0:7777")?;
    ///     Ok(server.listener_timeouts(1, strangers))
    /// }
    /// ```
    pub fn listener_timeouts(mut self, listener: usize, timeouts: Timeouts) -> Server<S> {
        self.net.timeouts.set_of_listener(listener, timeouts);
        self
    }

    /// Gives a [dialed](crate::Net::dial) connection this long to be established (10 s).
    ///
    /// After it [`on_dial_failed`](Service::on_dial_failed) is told `TimedOut`. Where a name is dialed, the time for
    /// its look-up is part of it.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// # use std::time::Duration;
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.dial_timeout(Duration::from_secs(1)).max_per_destination(8) // neighbours in a rack
    /// }
    /// ```
    pub fn dial_timeout(mut self, limit: Duration) -> Server<S> {
        self.net.limits.dial = limit.min(FAR_FUTURE);
        self
    }

    /// Lets at most this many [dialed](crate::Net::dial) connections lead to one destination at a time (no limit):
    /// an address, or a name, as it was dialed, those that are not established yet included; one that has had its
    /// [`on_close`](Service::on_close) counts no more. One more is refused:
    /// [`on_dial_failed`](Service::on_dial_failed) is told `QuotaExceeded`.
    ///
    /// A peer that is slow to answer then costs a known number of descriptors. Each process counts its
    /// own: while an old one drains, both have as many. A count of zero means one;
    /// [`dial_timeout`](Self::dial_timeout) has an example.
    pub fn max_per_destination(mut self, count: usize) -> Server<S> {
        self.net.limits.per_destination = count.max(1);
        self
    }

    /// Serves at most this many connections at a time (a million); more wait in the accept queue
    /// until the count has fallen to 90 %.
    ///
    /// Connections that are closing and those that were dialed count, too. A limit of zero means one.
    ///
    /// Each generation counts its own: while an old one drains, the service as a whole may have twice as many,
    /// and as often as there are [generations](Self::max_generations). Where the sum matters, for memory
    /// or for a database behind it, let connections [move](crate::Restart::move_connections), or give drains a
    /// short [deadline](Self::drain_on_restart).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_connections(10_000)
    /// }
    /// ```
    pub fn max_connections(mut self, limit: usize) -> Server<S> {
        self.net.limits.connections = limit.clamp(1, crate::net::ConnId::MAX_SLOT);
        self
    }

    /// Keeps at most this many bytes of one incomplete message (16 MiB). A connection that goes over
    /// is closed with [`Reason::TooLong`](crate::Reason::TooLong).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_message(64 * 1024)
    /// }
    /// ```
    pub fn max_message(mut self, bytes: usize) -> Server<S> {
        self.net.limits.message = bytes;
        self
    }

    /// Queues at most this many bytes of output for one connection (16 MiB). One that goes over is
    /// ended with [`Reason::TooSlow`](crate::Reason::TooSlow).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_output(1024 * 1024)
    /// }
    /// ```
    pub fn max_output(mut self, bytes: usize) -> Server<S> {
        self.net.limits.output = bytes;
        self
    }

    /// Takes the messages of a [mailbox](crate::mailbox()) to [`on_mail`](Mail::on_mail). May be called
    /// several times, also for messages of several types. One that nobody can post to is dropped.
    ///
    /// # Errors
    /// When the system refuses the event by which other threads wake the loop.
    ///
    /// ```
    /// # use heirloom::{Inbox, Mail, Result, Server};
    /// fn open<S>(server: Server<S>, done: Inbox<u64>, log: Inbox<String>) -> Result<Server<S>>
    /// where
    ///     S: Mail<u64> + Mail<String>,
    /// {
    ///     server.inbox(done)?.inbox(log)
    /// }
    /// ```
    pub fn inbox<M: 'static>(mut self, inbox: Inbox<M>) -> Result<Server<S>>
    where
        S: Mail<M>,
    {
        if inbox.exists() {
            let waker = self.net.mail_waker();
            inbox.attach(waker.map_err(|e| Error::io("make", "a waker for mail", e))?);
            self.inboxes.add(inbox);
        }
        Ok(self)
    }

    /// Says by name what the processes of a [fork](crate::Restart::if_shared) are meant to share, though heirloom does not know it:
    /// a path, with everything below it (one that is not absolute begins in the working directory), or the peer of a socket (`ip:port`, the path of a Unix socket, or
    /// `@name`). A memfd called `cache` is `/memfd:cache`. May be called several times.
    ///
    /// It stands for files that are opened and sockets that are connected at any time, also by a library that
    /// tells no descriptor. Name what two processes may well have in common: a log that is appended to, datagrams
    /// to a collector. A lock, a stream, or a file that is read by and by is none of these.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.shares("/var/log/app").shares("127.0.0.1:8125")
    /// }
    /// ```
    pub fn shares(mut self, name: impl Into<String>) -> Server<S> {
        self.net.shares(name);
        self
    }

    /// Says that a descriptor is meant to be shared by the processes of a fork:
    /// see [`Net::shares_descriptor`](crate::Net::shares_descriptor).
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>, counters: &std::fs::File) -> Server<S> {
    ///     server.shares_descriptor(counters)
    /// }
    /// ```
    pub fn shares_descriptor(mut self, fd: &impl AsFd) -> Server<S> {
        self.net.shares_descriptor(fd);
        self
    }

    /// Puts a small process in front of the generations, which never serves and keeps its process id
    /// through all restarts: for a container, whose first process must not end, and for supervisors
    /// that track the process that they have started.
    ///
    /// It takes effect in [`run`](Self::run), which in this first process does not return: it starts
    /// the program once more, as generation 0, and ends with the exit status of the last generation,
    /// or with an error if none could be started. What it does meanwhile:
    ///
    /// - It passes signals on to the generation that serves, whichever it is, so signals go to one process
    ///   id, always: those of [`restart_on`](Self::restart_on) and [`signal`](Self::signal), and all whose
    ///   default would end it. The [pid file](Self::pid_file) holds that one, too.
    /// - It holds the listeners. When the generation that serves crashes, clients wait in the accept
    ///   queue, none is refused, and the program that is at its path by then is started: after
    ///   100 ms, and after twice as long each time it dies again within 10 s, up to 30 s. Older
    ///   generations that still drain go on, and are handed to the new one.
    /// - It reaps the orphans of its descendants, as the first process of a container must.
    ///
    /// A generation that is told to drain or to stop, by signal, by the control socket or by its
    /// service, ends the supervisor as well. A first generation that ends before it serves does the
    /// same. Should the supervisor be killed, the generations serve on, without one.
    ///
    /// The first process runs `main` up to `run`, so a configuration that is wrong or an address in
    /// use ends it as it would end any server; its service is dropped then.
    ///
    /// ```no_run
    /// # use heirloom::{Restart, Result, Server, Service};
    /// fn serve<S: Service>(service: S) -> Result {
    ///     Server::new(service)?
    ///         .listen("0.0.0.0:7777")?
    ///         .restart_on(libc::SIGUSR2, Restart::fork_exec())
    ///         .supervised()
    ///         .run()
    /// }
    /// ```
    pub fn supervised(mut self) -> Server<S> {
        self.is_supervised = true;
        self
    }

    /// Lets a panic of a callback end the process, as a panic ends any program, in place of
    /// [what it leads to otherwise](Service#a-callback-that-panics): for a service that would rather not go on
    /// with a state that may be half changed. One in a [scribe](crate::Restart::copy_within) ends the scribe, and the
    /// restart, as otherwise: what it has left half changed is a copy.
    ///
    /// The panic goes on out of [`run`](Self::run). Its pid file, its control path and the paths of its Unix
    /// sockets are removed before, unless another generation or a supervisor still serves there. It is the
    /// default where the program is built with `panic = "abort"`: then nothing is removed.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.propagate_panics().supervised() // which starts it anew
    /// }
    /// ```
    pub fn propagate_panics(mut self) -> Server<S> {
        self.net.propagates_panics = true;
        self
    }

    /// How a process that was replaced treats the connections that it still has (aborts them after
    /// an hour). See [`Drain`] for an example.
    pub fn drain_on_restart(mut self, how: Drain) -> Server<S> {
        self.succession.drain_on_restart = how;
        self
    }

    /// How a process that was told to stop treats its connections (aborts them after 30 s). The older
    /// generations are told to leave within the same time. See [`Drain`] for an example.
    pub fn drain_on_stop(mut self, how: Drain) -> Server<S> {
        self.succession.drain_on_stop = how;
        self
    }

    /// Lets a service that is told to drain accept for this long before it does (not at all), while monitors are told
    /// that it leaves: [`/readyz`](#method.health) answers 503 and an [agent check](Self::agent_check) `drain`. Envoy and Finagle call it the drain
    /// time, the SRE book a lame duck.
    ///
    /// It is for a server behind a balancer, which learns only by its next checks that it is to send clients elsewhere: until
    /// then they must not find the door closed. So let it be longer than the balancer takes: the time between two checks, times the number
    /// that has to fail, and one check's own time. [More than one machine](crate::guide::more_than_one_machine) has the sums.
    ///
    /// The service is told ([`on_lame_duck`](crate::Service::on_lame_duck)), and can tell its clients. A restart
    /// is refused meanwhile, and one that is being made is given up; whichever side of a restart in its probation
    /// is told, both leave. A second SIGTERM, or [`drain`](crate::Net::drain), means now, as always, and
    /// [`stop`](crate::Net::stop) does not wait. A supervisor passes the signal on, and is part of it.
    ///
    /// ```
    /// # use heirloom::{Drain, Server, Service};
    /// # use std::time::Duration;
    /// /// Checked every 2 s, out after the third: 6 s, and some for the check. Then 20 s for those who are left.
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.lame_duck(Duration::from_secs(8)).drain_on_stop(Drain::deadline(Duration::from_secs(20)))
    /// }
    /// ```
    pub fn lame_duck(mut self, within: Duration) -> Server<S> {
        self.succession.lame_duck = within.min(FAR_FUTURE);
        self
    }

    /// Lets at most this many generations live at a time (50): one that serves, and those that still
    /// drain. A restart that would make one more is refused with
    /// [`RestartError::TooMany`](crate::RestartError::TooMany). A limit of one allows no restart.
    ///
    /// ```
    /// # use heirloom::{Server, Service};
    /// # use std::time::Duration;
    /// /// One that serves and two that drain; the older of these has ten seconds when a fourth is due.
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.max_generations(3).dismiss_oldest(Duration::from_secs(10))
    /// }
    /// ```
    pub fn max_generations(mut self, count: usize) -> Server<S> {
        self.succession.max_generations = count.max(1);
        self
    }

    /// Instead of refusing a restart at [`max_generations`](Self::max_generations), tells the oldest
    /// generation to leave within `limit` and begins the restart when it is gone. One that is still
    /// there a second after that is killed. [`max_generations`](Self::max_generations) has an example.
    pub fn dismiss_oldest(mut self, limit: Duration) -> Server<S> {
        self.succession.at_max = AtMax::DismissOldest(limit.min(FAR_FUTURE));
        self
    }
}
