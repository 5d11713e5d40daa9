//! From `main` to the loop: what a server is told before it runs.

mod kept;
mod listen;
#[cfg(feature = "names")]
mod names;
mod options;
mod signals;
#[cfg(feature = "tls")]
mod tls;
mod workers;

use std::{os::fd::OwnedFd, path::PathBuf, time::Instant};

use mio::Poll;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    error::{Error, Result},
    log_target::{RESTART, SYSTEM},
    logging::Escaped,
    metrics::Metrics,
    net::{Listener, Net},
    operate::journal::name_counts,
    restart::{
        engine::{
            exec::Launch,
            fork::take_dispositions,
            inherit::Inheritance,
            passed::{claim_activated, claim_held, claim_link},
        },
        fault::{self, Step},
    },
    service::Service,
    system::{
        disposition::Found,
        pidfile::PidFile,
        signal::held_back,
        signal_set::{Signal, SignalSet},
        systemd::Manager,
        threads::warn_of_deaf_ones,
    },
    turn::{Generation, Handback, Inboxes, Succession, Trigger, Turn},
    workers::Workers,
};

/// A server to be: a service, where it listens, and what it may use.
///
/// ```no_run
/// # use heirloom::{Connection, Origin, Service};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Session = ();
/// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> heirloom::Result { Ok(()) }
/// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> heirloom::Result<usize> {
/// #         conn.send(input);
/// #         Ok(input.len())
/// #     }
/// # }
/// use heirloom::{Restart, Result, Server};
///
/// fn main() -> Result {
///     Server::new(Echo)?
///         .listen("127.0.0.1:7777")?
///         .restart_on(libc::SIGHUP, Restart::fork()) // same code, warm heap
///         .restart_on(libc::SIGUSR2, Restart::fork_exec()) // new binary
///         .run() // returns once this process has drained
/// }
/// ```
///
/// SIGTERM and SIGINT mean: stop accepting, serve what there is, exit; a second one means now. Behind a balancer the
/// first one is better heard [a while before](Self::lame_duck).
///
/// A service manager that has started the program (`NOTIFY_SOCKET`, see `sd_notify(3)`) is told when it
/// serves, when it restarts and which process is the service then, and when it stops. A retired process
/// stays until the manager has read that, and the one that is told to stop outlives the older ones.
#[must_use = "a server does nothing before `run`"]
#[derive(Debug)]
pub struct Server<S: Service> {
    service: S,
    net: Net,
    succession: Succession,
    inboxes: Inboxes<S>,
    /// Listeners of the old generation that were not asked for yet.
    unclaimed: Vec<Listener>,
    /// How often `listen` was called.
    listens: usize,
    /// For operators and monitors. They come last of the listeners, so that the author's are numbered from 0.
    own: Vec<Listener>,
    /// Nothing is bound, and nobody is served.
    is_dry_run: bool,
    /// The first process is to be a supervisor.
    is_supervised: bool,
    /// And to have several processes that serve.
    workers: Workers,
    /// Signals that wait because the old program has heard them.
    held: SignalSet,
}

impl<S: Service> Server<S> {
    /// Makes a server, and finds out whether an older generation hands over to it.
    ///
    /// Call it early: it remembers how the program was started, it holds signals back until the
    /// server can hear them (HUP, INT, QUIT, TERM, USR1 and USR2), and it takes what was meant for this
    /// process out of the environment, which no other thread may use at that moment. The limit on open
    /// files is raised as far as it goes. Descriptors that the program was started with, such as a
    /// lock of `flock(1)`, are left alone, and each new program is started with them as well. `SIGCHLD`
    /// is not ignored any more, whoever has left it so, and `SIGXFSZ` is, so that a limit on the size of files
    /// is an error and not the end; what the program starts by itself inherits both, a new generation has all
    /// defaults.
    ///
    /// Call it before anything that may start a thread, which includes connecting a client by the name of its host
    /// (`postgres` and whatever else has tokio in it: such a thread stays for ten seconds). A thread that is older does not hold signals
    /// back, and HUP or TERM then end the program at once, without a drain, while it lives.
    ///
    /// # Errors
    /// When the system refuses an epoll set, when an older generation hands over something that cannot be
    /// understood, or when `HEIRLOOM_LINK` or `LISTEN_FDS` lead to no socket that was passed on.
    pub fn new(service: S) -> Result<Server<S>> {
        let held = claim_held();
        let found = Found::look(held.and(held_back()))?;
        held_back().block()?;
        take_dispositions().map_err(|e| Error::io("set", "signal dispositions", e))?;
        raise_file_limit();
        // Before this process opens anything, and so gives a number a meaning of its own.
        let link = claim_link()?;
        let manager = Manager::find(link.is_some());
        let has_store = manager.store.is_there();
        let activated = if link.is_some() { Vec::new() } else { claim_activated(has_store)? };
        let mut server = Server { held, ..Server::bare(service)? };
        (server.succession.launch.signals, server.succession.manager) = (found, manager);
        let Some(door) = link else {
            server.count_in(None);
            server.take_passed(activated)?;
            return Ok(server);
        };
        let (mut link, inheritance) = Inheritance::claim(door)?;
        fault::point(Step::NewMade, Some(&mut link));
        let (net, succession) = (&mut server.net, &mut server.succession);
        (net.generation, net.worker) = (inheritance.generation, inheritance.worker);
        let maker = inheritance.supervisor.as_ref().map(|supervisor| supervisor.pid);
        maker.into_iter().for_each(|pid| succession.manager.follow(pid));
        let has_old = maker != Some(inheritance.old.pid);
        net.engine = has_old.then_some(inheritance.engine);
        let (old, process) = (inheritance.old, inheritance.old_process);
        succession.old = Some(Generation::with_process(old, link, process));
        succession.supervisor = inheritance.supervisor;
        succession.probation = inheritance.probation;
        succession.ready_within = inheritance.ready_within;
        succession.copy_within = inheritance.copy_within;
        // A supervisor serves nobody.
        succession.handback = inheritance.back.filter(|_| has_old).map(Handback::new);
        succession.stderr = inheritance.stderr;
        let numbers = inheritance.numbers;
        let older = inheritance.older.into_iter();
        succession.older = older.map(|(who, link)| Generation::new(who, link)).collect();
        for (place, (socket, fd)) in inheritance.listeners.into_iter().enumerate() {
            let mut listener = Listener::adopt(socket.name, fd, socket.file)?;
            listener.place = place;
            server.unclaimed.push(listener);
        }
        server.count_in(numbers);
        server.take_place();
        Ok(server)
    }

    /// Goes on to count where the old process has counted, or begins. A server without numbers is a server.
    fn count_in(&mut self, inherited: Option<OwnedFd>) {
        let begins = inherited.is_none() && self.succession.old.is_some();
        let found = inherited.map_or_else(Metrics::new, Metrics::of);
        let (found, unread) = match found {
            Err(e) if self.succession.old.is_some() => (Metrics::new(), Some(e)),
            found => (found, None),
        };
        if begins || unread.is_some() {
            let why = unread.map_or("the old program has none".to_owned(), |e| e.to_string());
            log::warn!(target: RESTART, "the numbers of this service begin at zero: {}", Escaped(why));
        }
        match found {
            Ok(metrics) => {
                name_counts(&metrics);
                self.net.count_in(metrics);
            }
            Err(e) => log::warn!(target: SYSTEM, "nothing is counted for monitors: {e}"),
        }
    }

    /// Makes a server that binds nothing and serves nobody: the same calls as for a real one look
    /// whether what they are told makes sense, and [`run`](Self::run) returns at once. For a flag like
    /// `--check`, with which a program says that its configuration is good before it replaces one that
    /// works ([`Restart::checked`](crate::Restart::checked)).
    ///
    /// # Errors
    /// When the system refuses an epoll set. [`listen`](Self::listen) and the others refuse what makes no
    /// sense, but an address in use does: the server that is to be replaced has it.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Server, Service};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// assert!(Server::dry_run(Echo)?.listen("127.0.0.1:7777").is_ok());
    /// assert!(Server::dry_run(Echo)?.listen("127.0.0.1").is_err()); // no port
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn dry_run(service: S) -> Result<Server<S>> {
        Ok(Server { is_dry_run: true, ..Server::bare(service)? })
    }

    fn bare(service: S) -> Result<Server<S>> {
        let poll = Poll::new().map_err(|e| Error::io("make", "an epoll set", e))?;
        let now = Instant::now();
        let mut succession = Succession::new(Launch::remember(), now);
        succession.triggers =
            vec![(Signal::SIGTERM, Trigger::Leave), (Signal::SIGINT, Trigger::Leave)];
        let net = Net::new(Some(poll), now);
        let (unclaimed, listens, own) = (Vec::new(), 0, Vec::new());
        let (is_dry_run, is_supervised, held) = (false, false, SignalSet::EMPTY);
        let inboxes = Inboxes::none();
        Ok(Server {
            service,
            net,
            succession,
            inboxes,
            unclaimed,
            listens,
            own,
            is_dry_run,
            is_supervised,
            workers: Workers::new(1),
            held,
        })
    }

    /// Keeps the process id of the generation that serves in this file, or of its
    /// [supervisor](Self::supervised), since that is the one to be signalled. It is written, by rename,
    /// when a generation begins to serve, and removed at the end by the one whose number it holds. Where
    /// it cannot be written, because the disk is full, the old file stays, and the log says so.
    ///
    /// Whoever serves holds the file by a lock (`fcntl_locking(2)`), so a second server with the same pid
    /// file is refused while the first one lives, and a number that a crash has left is in nobody's way.
    ///
    /// # Errors
    /// When the file could not be written there, or is another server's that lives. It is tried now, not
    /// when the server is ready.
    ///
    /// ```
    /// # use heirloom::{Result, Server, Service};
    /// fn tune<S: Service>(server: Server<S>) -> Result<Server<S>> {
    ///     server.pid_file("/run/echo.pid")
    /// }
    /// ```
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Result<Server<S>> {
        let file = PidFile::new(path.into()).inspect_err(|_| self.withdraw())?;
        if !self.is_dry_run {
            file.check(&self.succession.relatives()).inspect_err(|_| self.withdraw())?;
        }
        self.succession.pid_file = Some(file);
        Ok(self)
    }

    /// Serves. Returns once this process has drained: because it was told to stop, or because a
    /// newer generation serves.
    ///
    /// After a restart by fork it returns in each generation, so what follows in `main` runs more
    /// than once, too.
    ///
    /// **What has become of the service by then.** A process that has its heap alone drops it, with all sessions. After a fork
    /// two processes have that heap, and to destroy it would copy every page of it, and say on its sockets that
    /// it is over while the other one goes on. So a process that was made by fork, or has forked another
    /// generation that lives or may have forked others, destroys nothing that was given to this server:
    ///
    /// | | with its heap alone | where another has it |
    /// |---|---|---|
    /// | [`on_end`](Service::on_end) | called, last | called, last |
    /// | the service, sessions, what is queued, [inboxes](Self::inbox) | dropped | forgotten: no destructor runs |
    /// | connections, listeners, the epoll set, links | closed | closed |
    /// | pid file, paths of Unix sockets | removed by who is the last | the same |
    /// | what `main` has itself, and what follows there | goes on | goes on |
    ///
    /// A new generation that failed before it stayed, and has ended, counts no more. A new program shares nothing with the
    /// old one. What has to be written at the end is to be written in `on_end`, in either case; a guard in `main`
    /// (a lock, a temporary directory) is dropped once in each process that comes to its end.
    ///
    /// # Errors
    /// When the system refuses to wait for events or clients, or another server has just taken the
    /// [pid file](Self::pid_file); what is wrong with one connection never ends up here.
    pub fn run(mut self) -> Result {
        if self.is_dry_run {
            return Ok(());
        }
        self.net.listeners.append(&mut self.own);
        if let (Some(file), None) = (&mut self.succession.pid_file, &self.succession.old)
            && let Err(e) = file.claim(std::process::id())
        {
            self.withdraw();
            return Err(e);
        }
        self.succession.launch.held = self.succession.claimed(|_| true);
        if self.is_supervised && self.succession.old.is_none() {
            return self.supervise();
        }
        if self.is_supervised && self.succession.supervisor.is_none() {
            log::warn!(
                target: RESTART,
                "the generation before this one has no supervisor, so this one has none"
            );
        }
        self.compare_workers();
        if self.is_worker() {
            self.succession.pid_file = None; // it is the supervisor's
        }
        for listener in &self.unclaimed {
            log::warn!(
                target: RESTART,
                "{} was passed on and is not wanted: it is closed when this program stays", Escaped(&listener.name)
            );
        }
        self.listen_for_signals()?;
        warn_of_deaf_ones(held_back());
        self.succession.unwanted = self.unclaimed;
        let mut turn = Turn::new(self.service, self.net, self.succession);
        turn.inboxes = self.inboxes;
        turn.run()
    }
}

/// A server's clients are descriptors, and the soft limit is often a thousand. Go does the same.
fn raise_file_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(e) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        log::debug!(target: SYSTEM, "cannot raise the limit on open files: {e}");
    }
}
