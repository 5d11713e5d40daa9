//! What signals mean to a server: a restart, the end, or something that its service knows.

use super::Server;
use crate::{
    error::{Error, Result},
    plan::Restart,
    service::Service,
    system::{
        signal::{Signals, held_back},
        signal_set::{Signal, SignalSet},
    },
    turn::Trigger,
};

impl<S: Service> Server<S> {
    /// Restarts in this way when `signal` comes. SIGTERM and SIGINT can be given that meaning, too. A later
    /// call for the same signal says anew in which way.
    ///
    /// # Panics
    /// When `signal` is no signal that can be heard, or is the service's: see [`signal`](Self::signal).
    ///
    /// ```
    /// # use heirloom::{Restart, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Server<S> {
    ///     server.restart_on(libc::SIGHUP, Restart::fork().or_fork_exec())
    /// }
    /// ```
    pub fn restart_on(mut self, signal: i32, how: Restart) -> Server<S> {
        match self.claim(signal, Trigger::Restart(how)) {
            Ok(()) => self,
            Err(why) => panic!("{why}"),
        }
    }

    /// Tells the service when `signal` comes, by [`on_signal`](Service::on_signal): a log is to be opened
    /// anew, a configuration to be read again, a child has ended. May be called several times, for one signal
    /// each. SIGTERM and SIGINT are the service's then, if they are named: nobody drains by them but the
    /// service.
    ///
    /// From here on the signal waits until the service can be told, so none is lost and none ends the process
    /// on the way: also in a new program, for which the old one has held it back. A forked child begins with
    /// none: a signal is its process's. A process that serves again after a roll back has not heard what the new one was told: what a
    /// signal has changed, such as a log that is opened anew, is best looked at in [`on_start`](Service::on_start) as well.
    ///
    /// **Several of one kind may be told as one**, since the kernel keeps one of each standard signal that
    /// waits; real-time signals (`SIGRTMIN` and above) are queued and told one by one (`signal(7)`). A
    /// service whose [supervisor](Self::supervised) and which itself are both told, as by a signal to the whole
    /// group, hears it twice.
    ///
    /// A signal without a meaning does what it does to any program. Where it ends the process (HUP, QUIT,
    /// USR1, USR2, ALRM and others), the pid file, the control path and the paths of Unix sockets go with it,
    /// as at any end, but nothing is drained and no callback comes; it dies by that very signal. A handler that
    /// was installed by `sigaction(2)` is left alone, and so is a signal that was ignored or blocked before
    /// [`Server::new`]. Whoever else reads it, by a `signalfd(2)` or `sigwait(3)`, has to block it by then.
    ///
    /// # Errors
    /// When `signal` is none, cannot be caught (KILL, STOP), tells of a fault of the program itself (ABRT,
    /// BUS, FPE, ILL, SEGV, SYS, TRAP), or has a meaning already.
    ///
    /// ```
    /// use heirloom::{Connection, Net, Origin, Result, Server, Service};
    /// use std::fs::File;
    ///
    /// struct Echo {
    ///     log: Option<File>,
    /// }
    ///
    /// fn open_log() -> Option<File> {
    ///     File::options().append(true).create(true).open("/var/log/echo").ok()
    /// }
    ///
    /// impl Service for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         conn.send(input);
    /// #         Ok(input.len())
    /// #     }
    ///     fn on_signal(&mut self, _net: &mut Net, signal: i32) {
    ///         if signal == libc::SIGUSR1 {
    ///             self.log = open_log(); // logrotate has given the old one another name
    ///         }
    ///     }
    /// }
    ///
    /// fn server() -> Result<Server<Echo>> {
    ///     Server::new(Echo { log: open_log() })?.signal(libc::SIGUSR1)
    /// }
    /// ```
    pub fn signal(mut self, signal: i32) -> Result<Server<S>> {
        match self.claim(signal, Trigger::Service) {
            Ok(()) => Ok(self),
            Err(why) => {
                self.withdraw();
                Err(why)
            }
        }
    }

    /// A signal has one meaning. What TERM and INT mean by themselves gives way, and one restart to another.
    fn claim(&mut self, number: i32, meaning: Trigger) -> Result {
        let signal = Signal::to_be_heard(number)?;
        let triggers = &mut self.succession.triggers;
        let gives_way = |before: &Trigger| match before {
            Trigger::Leave => true,
            Trigger::Restart(_) => matches!(meaning, Trigger::Restart(_)),
            Trigger::Service => false,
        };
        triggers.retain(|(claimed, before)| *claimed != signal || !gives_way(before));
        if let Some((_, before)) = triggers.iter().find(|(claimed, _)| *claimed == signal) {
            let why = match before {
                Trigger::Restart(_) => "it asks for a restart already",
                _ => "it is the service's already",
            };
            return Err(Error::invalid("listen for", signal, why));
        }
        triggers.push((signal, meaning));
        // From now on it waits, like those that every server holds back.
        [signal].into_iter().collect::<SignalSet>().block()
    }

    /// Hears what means something, and what would end this process; lets go of what was held back in vain.
    pub(super) fn listen_for_signals(&mut self) -> Result {
        let own = self.succession.claimed(|meaning| *meaning == Trigger::Service);
        let claimed = self.succession.claimed(|_| true);
        let all = claimed.and(self.succession.launch.signals.ends_by());
        self.succession.signals = Some(Signals::listen(all.without(own))?);
        if !own.is_empty() {
            self.succession.own_signals = Some(Signals::listen(own)?);
        }
        held_back().and(self.held).without(all).unblock()
    }
}
