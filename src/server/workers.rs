//! Several processes that serve, and the one that has them all.

use std::process;

use super::Server;
use crate::{
    error::Result,
    log_target::RESTART,
    net::{CONTROL, Datagrams, ListenOptions, Listener, obtain},
    operate::supervisor::{self, Orders},
    plan::{Engine, Restart},
    service::Service,
    system::seed::fresh_seed,
    turn::Trigger,
    workers::Workers,
};

impl<S: Service> Server<S> {
    /// Has so many processes serve, each with one thread and a service of its own, behind a
    /// [supervisor](Self::supervised): for a service **whose connections have nothing to do with each other**, so that it makes no
    /// difference which process a client comes to. The [guide](crate::guide::more_than_one_core) says what others do.
    ///
    /// Each worker is a line of generations, numbered from 0, with all that [`supervised`](Self::supervised) promises: a crash of one costs its
    /// connections, and nobody else notices. In `run` the first is started, and when it serves all others. What is
    /// different with several:
    ///
    /// - Each has a socket of its own at the same address (`SO_REUSEPORT`, `socket(7)`), and the kernel deals clients out by a hash of
    ///   their addresses. The supervisor has all of them, so a client that is in the queue of a worker which crashes, or is being
    ///   replaced, waits there for the next generation. With [`Workers::shared`] there is one queue. Paths of Unix sockets and what
    ///   the service manager has opened are shared in any case. Of datagrams each worker has those of its own flows.
    /// - **A restart goes through the workers one after the other**, each with its [probation](crate::Restart::probation), whether a signal asks for it or an
    ///   operator. The first that is not replaced ends it, and those behind it stay as they are, so a bad version costs one
    ///   worker's restart. One that its service asks for ([`Net::restart`](crate::Net::restart)) is that worker's alone.
    /// - Operators come to the supervisor by the [control socket](Self::control), and are told of all workers; each has its own beside it, with its number behind
    ///   the path (`control.0`). Signals of the service reach each worker. The [pid file](Self::pid_file) is the supervisor's.
    /// - An address that a new program asks for anew is bound by each worker as its turn comes. A path of a Unix socket cannot be, so the second
    ///   worker's restart fails: such a program needs a new supervisor.
    /// - A worker that is told to drain or stop speaks for all of them.
    /// - The keys of [tickets](Self::tickets) are the same in all, so TLS sessions are resumed wherever a client comes to.
    ///
    /// How many there are is decided when the supervisor starts: a new program that asks for more is told so in the log. One worker is
    /// what [`supervised`](Self::supervised) is. Where the supervisor is killed, the workers serve on, each by itself.
    ///
    /// ```no_run
    /// # use heirloom::{Restart, Result, Server, Service, Workers};
    /// fn serve<S: Service>(service: S) -> Result {
    ///     Server::new(service)?
    ///         .workers(Workers::one_per_core())
    ///         .listen("0.0.0.0:7777")?
    ///         .restart_on(libc::SIGUSR2, Restart::fork_exec())
    ///         .run()
    /// }
    /// ```
    pub fn workers(mut self, workers: impl Into<Workers>) -> Server<S> {
        (self.workers, self.is_supervised) = (workers.into(), true);
        self
    }

    /// As one of several workers: the supervisor has bound where it answers operators, and has the pid file.
    pub(super) fn take_place(&mut self) {
        if self.net.worker.is_some() {
            let control = self.unclaimed.iter().position(|listener| listener.caller.is_operator());
            self.own.extend(control.map(|at| self.unclaimed.remove(at)));
        }
    }

    /// Whether this is one of several.
    pub(super) fn is_worker(&self) -> bool {
        self.net.worker.is_some()
    }

    /// What was decided when the supervisor was started stays.
    pub(super) fn compare_workers(&self) {
        let count = self.net.worker.map_or(1, |worker| worker.count);
        let is_first = self.net.worker.is_none_or(|worker| worker.index == 0);
        let wanted = self.workers.count;
        if self.is_supervised && self.succession.supervisor.is_some() && count != wanted && is_first
        {
            log::warn!(
                target: RESTART,
                "{wanted} workers are asked for, and there are {count}: stop the server and start it anew to change that"
            );
        }
    }

    /// Makes this process the supervisor of those that serve. Only an error comes back.
    pub(super) fn supervise(mut self) -> Result {
        let listeners = self.deal_out().inspect_err(|_| self.withdraw())?;
        let control = (listeners.len() > 1).then(|| self.take_control()).flatten();
        let Server { service, succession, net, workers, .. } = self;
        drop(service);
        let mut how = succession.triggers.iter().filter_map(|(_, trigger)| match trigger {
            Trigger::Restart(how) if how.engine == Engine::ForkExec => Some(how.clone()),
            Trigger::Restart(_) | Trigger::Leave | Trigger::Service => None,
        });
        let never = supervisor::run(Orders {
            how: how.next().unwrap_or(Restart::fork_exec()),
            signals: succession.claimed(|_| true),
            leave: succession.claimed(|meaning| *meaning == Trigger::Leave),
            restarts: succession.claimed(|meaning| matches!(meaning, Trigger::Restart(_))),
            listeners,
            control,
            pinned: workers.pinned,
            tickets: net.tickets,
            metrics: net.metrics,
            launch: succession.launch,
            manager: succession.manager,
            pid_file: succession.pid_file,
            stop_within: succession.drain_on_stop.deadline,
        })?;
        match never {}
    }

    fn take_control(&mut self) -> Option<Listener> {
        let at = self.net.listeners.iter().position(|listener| listener.caller.is_operator())?;
        Some(self.net.listeners.remove(at))
    }

    /// What each worker listens on. Of several, each has a control socket of its own.
    fn deal_out(&mut self) -> Result<Vec<Vec<Listener>>> {
        let Workers { count, shared, .. } = self.workers;
        let control = self.net.listeners.iter().find(|listener| listener.caller.is_operator());
        let mut all = Vec::new();
        for index in (0..count).filter(|_| count > 1) {
            // In no file system where none is wanted there: then only the supervisor asks.
            let name = match control {
                Some(control) => format!("{CONTROL}{}.{index}", control.address),
                None => {
                    let (own, seed) = (process::id(), fresh_seed());
                    format!("{CONTROL}unix:@heirloom-{own}-{seed:016x}.{index}")
                }
            };
            let options = ListenOptions::default();
            all.push(obtain(&name, &options, &mut Vec::new(), self.net.listeners.iter())?);
        }
        all.resize_with(count as usize, Vec::new);
        let datagrams = std::mem::take(&mut self.net.datagrams);
        let sockets = datagrams.into_iter().filter_map(Datagrams::into_socket);
        let is_common = |listener: &mut Listener| count == 1 || !listener.caller.is_operator();
        let listeners: Vec<_> = self.net.listeners.extract_if(.., is_common).collect();
        for listener in listeners.into_iter().chain(sockets) {
            for (own, copy) in
                all.iter_mut().zip(listener.for_each(count, shared, &mut self.unclaimed)?)
            {
                own.push(copy);
            }
        }
        Ok(all)
    }
}
