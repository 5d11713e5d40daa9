//! What an author writes: one trait, two required methods. Says when each is called; calls nothing.

mod mail;
mod moving;
mod start;

use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

pub use self::{mail::Mail, moving::Move, start::Start};
pub use crate::net::{LeaveReason, Leaving, Origin, Reason};
use crate::{
    error::Result,
    net::{ConnId, Connection, DatagramPeer, Net, Readiness, SocketId, Timer, Watch},
    tasks::{Alarm, Deferred},
    timeouts::Idle,
    verdict::Verdict,
};

/// A server's behaviour: what it does with bytes that arrive.
///
/// `self` is what all connections share, a [`Session`](Self::Session) is what one of them must
/// remember, [`Connection`] is the connection itself. A callback has all three and `&mut`, so shared state
/// is a field, not an `Rc<RefCell>`. What another connection remembers is at hand by its id
/// ([`Net::session`]): the service keeps ids, under whatever keys it likes.
///
/// Five rules:
///
/// 1. You write the loop's body; the reactor owns the loop.
/// 2. An `Err` or a panic closes this connection (what was queued is sent first), never the server.
/// 3. Nothing is freed during a callback.
/// 4. The reactor stores no closures: everything it stores can be written down, and that is why it
///    can restart.
/// 5. Between callbacks every session stands at a boundary that you chose, since partial bytes stay
///    with the reactor: the end of any turn is a safe moment to fork, or to write everything down.
///
/// The smallest one is on the [front page](crate). Some of the callbacks that need not be there, at work:
///
/// ```
/// use heirloom::{Alarm, ConnId, Connection, Net, Origin, Reason, Result, Service, Start, Timer};
/// use std::{io::Write, time::Duration};
///
/// const BEGIN: Timer = Timer(0);
/// const REPORT: Alarm = Alarm(0);
///
/// /// Counts uploads; a client sends one and then its FIN.
/// #[derive(Default)]
/// struct Uploads(u64);
///
/// impl Service for Uploads {
///     type Session = usize; // the bytes so far
///
///     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<usize> {
///         conn.set_timer(BEGIN, Duration::from_secs(5));
///         Ok(0)
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, size: &mut usize, input: &[u8]) -> Result<usize> {
///         conn.cancel_timer(BEGIN);
///         *size += input.len();
///         Ok(input.len())
///     }
///     fn on_timer(&mut self, _conn: &mut Connection<'_>, _size: &mut usize, _timer: Timer) -> Result {
///         Err("nothing came".into()) // which closes the connection
///     }
///     fn on_eof(&mut self, conn: &mut Connection<'_>, size: &mut usize) -> Result {
///         write!(conn, "{size} bytes\n")?; // only now, since it has said that this is all
///         conn.close();
///         Ok(())
///     }
///     fn on_close(&mut self, _net: &mut Net, _id: ConnId, size: usize, _why: Reason) {
///         self.0 += u64::from(size > 0);
///     }
///     fn on_start(&mut self, net: &mut Net, start: Start) {
///         if !start.is_forked() {
///             net.set_interval(REPORT, Duration::from_secs(60)); // a forked child has it already
///         }
///     }
///     fn on_alarm(&mut self, _net: &mut Net, _key: Alarm) {
///         println!("{} uploads", self.0);
///     }
///     fn on_retire(&mut self, net: &mut Net) {
///         net.set_alarm(REPORT, Duration::from_secs(1)); // a last word; the interval has moved on
///     }
/// }
///
/// let mut harness = heirloom::testing::Harness::new(Uploads::default());
/// let peer = harness.connect();
/// harness.feed_and_finish(peer, b"hello");
/// assert_eq!(harness.take(peer), b"5 bytes\n");
/// assert_eq!(harness.service().0, 1);
/// ```
///
#[doc = include_str!("order.md")]
///
/// # A callback that panics
///
/// It is caught, counted ([`Stats::panics`](crate::Stats::panics)) and told in the log. It leaves undone what it
/// has not done, and is not called again for the same thing.
///
/// | a panic in | ends |
/// |---|---|
/// | `on_open`, `on_data`, `on_eof`, `on_writable`, `on_timer`, `on_idle`, `on_drain` | this connection, as an `Err` does: [`Reason::Panicked`] |
/// | `on_close`, `on_dial_failed`, `on_datagram`, `on_alarm`, `on_deferred`, `on_mail`, `on_word`, `on_undelivered`, `on_signal`, `on_ready`, `on_lame_duck`, `on_retire`, `on_restart_ended`, `after_fork_in_parent`, `discard`, `on_end` | nothing |
/// | `generation_of` | nothing; the datagram is this generation's |
/// | `before_fork` | the fork, as an `Err` does |
/// | `after_fork_in_child` | the new process, as an `Err` does; the old one serves on |
/// | `on_move`, `save`, `export`, `load`, `import`, `track_changes`, `save_changes`, `load_changes` | the restart: the old process serves on; or the roll back: the new one does |
/// | `on_start` | the first generation, with an error; a new one is rolled back, without its state; where no other could serve, nothing |
///
/// **`self` and the session may be half changed** by then: what must be changed together is best changed
/// without anything in between that can panic. A service that would rather not go on says
/// [`propagate_panics`](crate::Server::propagate_panics). Nothing can be caught where the program is built with
/// `panic = "abort"`, nor where a `Drop` panics because of a panic.
#[allow(unused_variables)] // the defaults ignore most of what they are given
pub trait Service: Sized {
    /// What one conversation must remember: plain data that borrows from nothing, since others are told where to
    /// find it ([`Net::session`]). It is moved out of its place and back around each callback, which takes some 10 ns;
    /// what is larger than a kilobyte is better in a `Box`.
    type Session: 'static;

    /// A connection is there: accepted or dialed. Answers what to remember about it.
    ///
    /// # Errors
    /// An `Err` closes the connection; [`on_close`](Self::on_close) is not called for it, since
    /// there never was a session.
    fn on_open(&mut self, conn: &mut Connection<'_>, origin: Origin) -> Result<Self::Session>;

    /// Handles at most one message and answers the bytes it took. Zero: it is not complete yet;
    /// the call comes again, with the same bytes and more. It is called as long as bytes
    /// are taken and bytes are left; `input` is never empty, and how much one turn reads is limited
    /// ([`limits::READ_BUDGET`](crate::limits::READ_BUDGET)).
    ///
    /// # Errors
    /// An `Err` closes this connection with [`Reason::Failed`]. So does an answer of more bytes than
    /// `input` has.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, codec};
    /// # struct Shout;
    /// # impl Service for Shout {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    ///     let Some((line, taken)) = codec::line(input, 1024)? else { return Ok(0) };
    ///     conn.send(&line.to_ascii_uppercase());
    ///     conn.send(b"\n");
    ///     Ok(taken)
    /// }
    /// # }
    /// # heirloom::testing::every_split(|| Shout, b"one\ntwo\n", b"ONE\nTWO\n");
    /// ```
    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Self::Session,
        input: &[u8],
    ) -> Result<usize>;

    /// The peer will send no more, and all it sent was offered. Default: send what is queued and close.
    ///
    /// A service that has more to say (a half-close, see `shutdown(2)`) answers `Ok` without closing,
    /// and closes when it is done.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_eof(&mut self, conn: &mut Connection<'_>, session: &mut Self::Session) -> Result {
        conn.close();
        Ok(())
    }

    /// Output was above the high mark and has fallen to the low one. Default: nothing.
    /// [`Connection::is_congested`] has an example.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_writable(&mut self, conn: &mut Connection<'_>, session: &mut Self::Session) -> Result {
        Ok(())
    }

    /// A timer of this connection ran out. Default: close.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_timer(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Self::Session,
        timer: Timer,
    ) -> Result {
        conn.close();
        Ok(())
    }

    /// A connection has been silent for longer than one of its [`Timeouts`](crate::Timeouts) allows; `idle` says
    /// in which direction, for how long and what the limit is. Default: close.
    ///
    /// A connection that is closed here has the reason [`Reason::Idle`], whatever is sent before, and the peer gets a
    /// FIN. One that is not is asked about again after each further limit of silence; a byte in that direction
    /// begins it anew.
    ///
    /// # Errors
    /// An `Err` closes this connection, with [`Reason::Failed`].
    ///
    /// ```
    /// use heirloom::{Connection, Idle, Origin, Result, Service, testing::Harness};
    /// use std::time::Duration;
    ///
    /// /// Asks a client that says nothing for a minute, and ends it after another one, as IRC does.
    /// struct Asking;
    ///
    /// impl Service for Asking {
    ///     type Session = ();
    ///     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
    ///         conn.set_read_idle(Duration::from_secs(60));
    ///         Ok(())
    ///     }
    ///     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    ///         Ok(input.len()) // an answer like anything else puts it off
    ///     }
    ///     fn on_idle(&mut self, conn: &mut Connection<'_>, _: &mut (), idle: Idle) -> Result {
    ///         match idle.silent < 2 * idle.limit {
    ///             true => conn.send(b"PING\n"),
    ///             false => conn.close(),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(Asking);
    /// let [dead, quiet] = [harness.connect(), harness.connect()];
    /// harness.feed(dead, b"hello");
    /// harness.feed(quiet, b"hello");
    /// harness.advance(Duration::from_secs(60));
    /// assert_eq!(harness.take(quiet), b"PING\n");
    /// harness.feed(quiet, b"PONG\n");
    /// harness.advance(Duration::from_secs(60));
    /// assert!(harness.is_closed(dead) && !harness.is_closed(quiet));
    /// ```
    fn on_idle(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Self::Session,
        idle: Idle,
    ) -> Result {
        conn.close();
        Ok(())
    }

    /// This process is leaving; called for each connection that it still has, for all in the same
    /// turn or one after the other ([`Drain::spread`](crate::Drain::spread)), after
    /// [`on_retire`](Self::on_retire). Default: nothing, it is
    /// served to its end. The place to say goodbye where a protocol has a word for it.
    ///
    /// **Once, and again where that is news.** A process that was replaced may be told to stop while it still
    /// drains, and so may one that is stopping, by another generation which has less time. Each connection that is
    /// left is told again if the [reason](Leaving::reason) is another one or its process's deadline has come nearer,
    /// and not otherwise. So a restart and then a stop are two calls, and a stop alone is one. A connection that was not told
    /// of the first by then (a spread) is told of the second only.
    ///
    /// **Not where no time is left:** when everything is aborted at once ([`Net::stop`], a second signal, or a deadline
    /// of zero) nobody could be told anything. [`on_close`](Self::on_close) comes all the same.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    ///
    /// ```
    /// # use heirloom::{Connection, Leaving, Result};
    /// fn on_drain(conn: &mut Connection<'_>, leaving: &Leaving) -> Result {
    ///     let goodbye: &[u8] = if leaving.is_stop() { b"* good night\n" } else { b"* call again\n" };
    ///     conn.send(goodbye);
    ///     conn.close();
    ///     Ok(())
    /// }
    /// ```
    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Self::Session,
        leaving: &Leaving,
    ) -> Result {
        Ok(())
    }

    /// The conversation is over; `id` leads nowhere any more. Called exactly once per session, in the turn in
    /// which that was decided and before a restart copies what the service knows, in the process that served
    /// it last: neither does a forked child hear of the connections that its parent has kept, nor the old
    /// process of those that have moved. What the socket still needs (the last bytes, the FINs) is the
    /// reactor's business. What is sent to others from here leaves in this turn.
    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Self::Session, why: Reason) {}

    /// What [`Net::dial`] was asked for, or `Net::dial_host`, did not come about. [`Backoff`](crate::Backoff) has an example.
    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: io::Error) {}

    /// A datagram came, whole: `bytes` may be empty, and one longer than
    /// [`limits::DATAGRAM_MAX`](crate::limits::DATAGRAM_MAX) does not come at all. Default: nothing.
    ///
    /// There is no session, since nothing says when a peer is gone. A service that has flows keeps them in
    /// `self`, ends them by an [alarm](Net::set_alarm), and takes a [hold](Net::hold) while it has any, so
    /// that a process which was replaced stays for them. [`Net::send_to`] has an example.
    fn on_datagram(&mut self, net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {}

    /// Which generation is to have a datagram, asked before [`on_datagram`](Self::on_datagram) in the one that
    /// reads, which is the newest. `None`, the default: this one.
    ///
    /// For protocols with flows. A server that puts its [number](Net::generation) into the ids that it gives
    /// out, as QUIC lets it do, reads it back here, and each flow stays with the generation that
    /// it began with: the datagram is forwarded there, and answered from there, by the same socket. If that
    /// generation is gone, the datagram is this one's.
    ///
    /// Where the client's packets say nothing of the kind, answer `None` and carry the flows
    /// over: by fork `self` has them (those that began since the fork excepted), by fork-exec
    /// [`save`](Self::save) can write them down.
    ///
    /// ```
    /// # use heirloom::{DatagramPeer, SocketId};
    /// fn generation_of(_: SocketId, _: &DatagramPeer, bytes: &[u8]) -> Option<u64> {
    ///     let id = bytes.first_chunk::<8>()?; // a packet begins with its flow's id
    ///     let id = u64::from_be_bytes(*id);
    ///     (id != 0).then_some(id >> 40) // which has the generation in front
    /// }
    /// ```
    fn generation_of(&self, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) -> Option<u64> {
        None
    }

    /// An alarm of the service went off: see [`Net::set_alarm`] for which process it does that in.
    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {}

    /// Another generation has [told](Net::tell) this one something, once, and after all that it had told before.
    /// `from` is its number. It may have ended since: what it had said is told first, whatever has become of it.
    ///
    /// It comes when this process serves, and while connections are on their way to another process it waits, like
    /// [mail](Mail). When this returns, the word counts as taken.
    ///
    /// **A roll back may be quicker than a word.** What a new process has told and done before it handed back is in the state that came back,
    /// and the word comes all the same. Where that would do harm, words have numbers, and the state says up to which
    /// it knows them: the example `mqtt` does so.
    fn on_word(&mut self, net: &mut Net, from: u64, word: &[u8]) {}

    /// A generation that was [told](Net::tell) this has ended, by itself or killed, before it has said that it was taken; or
    /// nobody can reach it any more, since the newest has ended. Words come back in the order in which they were
    /// told. One that has died within the turn in which it took a word has told nobody: so what comes back was, in that
    /// case, taken. Default: nothing.
    ///
    /// ```
    /// # use heirloom::Net;
    /// /// Whoever serves by now is to have it instead.
    /// fn on_undelivered(net: &mut Net, _to: u64, word: Vec<u8>) {
    ///     if let Some(other) = net.generations().iter().find(|other| other.serves)
    ///         && let Err(why) = net.tell(other.number, &word)
    ///     {
    ///         eprintln!("{why}");
    ///     }
    /// }
    /// ```
    fn on_undelivered(&mut self, net: &mut Net, to: u64, word: Vec<u8>) {}

    /// The next piece of work that was cut into pieces: see [`Net::defer`].
    fn on_deferred(&mut self, net: &mut Net, key: Deferred) {}

    /// A signal came that this service has claimed: see [`Server::signal`](crate::Server::signal), which has an
    /// example. `signal` is its number, such as `libc::SIGUSR1`.
    ///
    /// It is told in the process that it was sent to, once, when that serves: what comes to a new process before
    /// [`on_start`](Self::on_start) waits until then, and so does what comes while connections are on their way
    /// from one process to another. An old process hears its own to its end.
    ///
    /// ```
    /// # use heirloom::Net;
    /// # struct Server { greeting: String }
    /// # impl Server {
    /// fn on_signal(&mut self, _net: &mut Net, signal: i32) {
    ///     if signal == libc::SIGHUP
    ///         && let Ok(text) = std::fs::read_to_string("/etc/greeting")
    ///     {
    ///         self.greeting = text; // without a new process; what cannot be read changes nothing
    ///     }
    /// }
    /// # }
    /// ```
    fn on_signal(&mut self, net: &mut Net, signal: i32) {}

    /// A descriptor that this service has [watched](Net::watch) is ready: there is something to read, or room to
    /// write, or it is the end. `key` says which one.
    ///
    /// ```
    /// use heirloom::{Interest, Net, Readiness, Watch};
    /// use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    ///
    /// const CONFIG: Watch = Watch(1);
    ///
    /// /// A file that is read again whenever it is replaced.
    /// struct Config {
    ///     changes: Option<Inotify>,
    ///     text: String,
    /// }
    ///
    /// impl Config {
    ///     /// Of `on_start`, in each process: first an inotify of its own, then the file as it is by now.
    ///     fn begin(&mut self, net: &mut Net) -> heirloom::Result {
    ///         let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
    ///         let changes = Inotify::init(flags).map_err(heirloom::Error::other)?;
    ///         let replaced = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
    ///         changes.add_watch("/etc/echo", replaced).map_err(heirloom::Error::other)?;
    ///         net.watch(&changes, Interest::READABLE, CONFIG)?;
    ///         self.changes = Some(changes);
    ///         self.read();
    ///         Ok(())
    ///     }
    ///     fn on_ready(&mut self, _net: &mut Net, _key: Watch, _ready: Readiness) {
    ///         if self.changes.as_ref().is_some_and(|changes| changes.read_events().is_ok()) {
    ///             self.read();
    ///         }
    ///     }
    ///     fn read(&mut self) {
    ///         self.text = std::fs::read_to_string("/etc/echo/config").unwrap_or_default();
    ///     }
    ///     fn on_retire(&mut self, net: &mut Net) {
    ///         net.unwatch(CONFIG); // before it is closed
    ///         self.changes = None;
    ///     }
    /// }
    /// ```
    fn on_ready(&mut self, net: &mut Net, key: Watch, ready: Readiness) {}

    /// This process serves from now on: the place to set alarms, to begin to consume messages,
    /// and to let go of ids that [lead nowhere](Start::elsewhere). [Alarms](Net::alarms) that the old one had
    /// are set here already, by either engine: what a new program has no use for it cancels here.
    ///
    /// Clients wait until it returns, those that have moved and those that are queued; the
    /// [probation](crate::Restart::probation) begins then.
    fn on_start(&mut self, net: &mut Net, start: Start) {}

    /// This process serves only what it has from now on: the place to stop consuming messages.
    /// [`Net::hold`] keeps the process until the work in hand is done. Alarms have gone to the new process by
    /// now; what is set here is this one's own. Connections are told after it, one by one
    /// ([`on_drain`](Self::on_drain)): at a stop in the same turn, at a restart once the new side stays.
    ///
    /// It comes as soon as the new side is ready, so it may be taken back: should that one fail,
    /// [`on_start`](Self::on_start) is called with [`Start::Resumed`]. The new side waits until it returns, for
    /// [`RETIRE_PATIENCE`](crate::limits::RETIRE_PATIENCE) at most. Clients of a listener that a new program does
    /// not want still come here until that one stays.
    fn on_retire(&mut self, net: &mut Net) {}

    /// This service was told to drain, and goes on to accept for so long before it does: see
    /// [`Server::lame_duck`](crate::Server::lame_duck). Balancers send new clients elsewhere meanwhile; those that are here can be
    /// told to come back by another connection.
    ///
    /// It comes once in a process that serves. [`Net::lame_duck`] says later how long it still is.
    ///
    /// ```
    /// # use heirloom::Net;
    /// # use std::time::Duration;
    /// # struct Chat;
    /// # impl Chat {
    /// fn on_lame_duck(&mut self, net: &mut Net, within: Duration) {
    ///     for id in net.ids() {
    ///         if let Some(mut conn) = net.get(id) {
    ///             conn.send(format!("* moving within {} s, please reconnect\n", within.as_secs()).as_bytes());
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    fn on_lame_duck(&mut self, net: &mut Net, within: Duration) {}

    /// This process is about to be forked, for a [`Restart::fork`](crate::Restart::fork): the place to
    /// close what must not be open in two processes, and to write what is buffered, which both would write otherwise.
    /// Default: nothing. `pthread_atfork(3)` calls this one `prepare`.
    ///
    /// What has ended was told before, connections that are to move stand still only after it, and
    /// [`after_fork_in_parent`](Self::after_fork_in_parent) follows in this process **whatever comes of it**. So what is closed here
    /// is opened again there, and in [`after_fork_in_child`](Self::after_fork_in_child); or at its next use, as
    /// [`PerProcess`](crate::PerProcess) does. Whether the new process stays is decided later, and this one serves
    /// meanwhile.
    ///
    /// A fork-exec has nothing of this: the new program has neither the heap nor a descriptor of it.
    ///
    /// # Errors
    /// An `Err` refuses the fork ([`RestartError::BeforeFork`](crate::RestartError::BeforeFork)); this process serves on. With
    /// [`or_fork_exec`](crate::Restart::or_fork_exec) a new program is started instead.
    ///
    /// ```
    /// # use heirloom::{Net, Result};
    /// # struct Database;
    /// # impl Database { fn in_transaction(&self) -> bool { false } fn close(self) {} }
    /// # struct Ledger { database: Option<Database> }
    /// # impl Ledger {
    /// fn before_fork(&mut self, _net: &mut Net) -> Result {
    ///     if self.database.as_ref().is_some_and(Database::in_transaction) {
    ///         return Err("a transaction is open".into());
    ///     }
    ///     self.database.take().map(Database::close);
    ///     Ok(())
    /// }
    /// # }
    /// ```
    fn before_fork(&mut self, net: &mut Net) -> Result {
        Ok(())
    }

    /// This process was forked, or was not: called after each [`before_fork`](Self::before_fork), also one that has refused, or
    /// where the fork has failed. It serves on, until the new one is ready and beyond, so what was closed is opened
    /// again. It stands still until this returns. Default: nothing. `pthread_atfork(3)` calls this one `parent`.
    fn after_fork_in_parent(&mut self, net: &mut Net) {}

    /// This process is a fork that was just made. Called before any other code of the service runs in it: the
    /// place to seed random numbers anew ([`fresh_seed`](crate::fresh_seed)) and to open what is the process's own. The connections
    /// that have stayed in the parent are closed by then, and [`generation`](Net::generation) is this one's.
    /// Nothing is served yet: alarms, dials and words to clients are [`on_start`](Self::on_start)'s business. Default: nothing.
    /// `pthread_atfork(3)` calls this one `child`.
    ///
    /// # Errors
    /// An `Err` ends this process and the restart, with this reason; the old one has never stopped accepting. So this is
    /// the place to find out that something cannot be opened again. Where connections
    /// [move](crate::Restart::move_connections) nobody is served until it returns, and its time counts against
    /// [`max_downtime`](crate::Restart::max_downtime): a client that connects slowly is better left to its first use.
    ///
    /// ```
    /// # use heirloom::{Net, Result};
    /// fn after_fork_in_child(_net: &mut Net) -> Result {
    ///     rand::rng().reseed().map_err(|e| e.to_string())?;
    ///     fastrand::seed(heirloom::fresh_seed());
    ///     Ok(())
    /// }
    /// ```
    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        Ok(())
    }

    /// Whether a connection goes along in a restart that
    /// [moves connections](crate::Restart::move_connections). Default: yes. Not asked for one that is
    /// closing, which stays, and for one that is still being dialed, which goes.
    ///
    /// ```
    /// # use heirloom::Move;
    /// # struct Session { is_encrypted: bool }
    /// fn on_move(session: &Session) -> Move {
    ///     if session.is_encrypted { Move::Stay } else { Move::Yes } // its keys cannot be written down
    /// }
    /// ```
    fn on_move(&self, session: &Self::Session) -> Move {
        Move::Yes
    }

    /// Writes down what the service knows, for the next program: a stream of any length, of which only a piece is
    /// on its way at a time, so nobody holds a second copy. Called at each restart by fork-exec, when the
    /// new program has run up to [`run`](crate::Server::run); and at a roll back by either engine, if connections
    /// move, in the process that hands back, unless that has [noted](Self::track_changes) what changed.
    /// Default: nothing.
    ///
    /// It runs in a process of its own, a scribe, where there is one to be had
    /// ([`Restart::copy_within`](crate::Restart::copy_within)): made by `fork()`, it is this one as it was at that
    /// moment, has no descriptor but `out` and those of its output, and ends when this returns. So `save` is to read
    /// `self` and to write to `out`, and to do nothing else: what it changes, opens or counts is gone with the
    /// scribe.
    ///
    /// # Errors
    /// An `Err` ends the restart, or the roll back; this process serves on. What `out` answers is passed on, as by
    /// `?`.
    ///
    /// ```
    /// use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    /// use std::io::{BufRead, Write};
    ///
    /// /// Answers each byte with how many all clients have sent.
    /// #[derive(Default)]
    /// struct Count(u64);
    ///
    /// impl Service for Count {
    ///     type Session = ();
    ///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
    ///         Ok(())
    ///     }
    ///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), _: &[u8]) -> Result<usize> {
    ///         self.0 += 1;
    ///         conn.send(self.0.to_string().as_bytes());
    ///         Ok(1)
    ///     }
    ///     fn save(&self, out: &mut dyn Write) -> Result {
    ///         out.write_all(&self.0.to_le_bytes())?;
    ///         Ok(())
    ///     }
    ///     fn load(&mut self, saved: &mut dyn BufRead) -> Result {
    ///         let mut bytes = [0; 8];
    ///         saved.read_exact(&mut bytes)?;
    ///         self.0 = u64::from_le_bytes(bytes);
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(Count::default());
    /// let peer = harness.connect();
    /// harness.feed(peer, b"xx");
    /// let mut harness = harness.restart(Count::default())?;
    /// let peer = harness.connect();
    /// harness.feed(peer, b"x");
    /// assert_eq!(harness.take(peer), b"3");
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    fn save(&self, out: &mut dyn Write) -> Result {
        Ok(())
    }

    /// Reads what the other process's service has [saved](Self::save), unless that was nothing, and forgets
    /// whatever it had instead. Called in a new process before any other callback, and in an old one that is
    /// handed the service back. It may come while more is still being written. Default: refuses.
    ///
    /// # Errors
    /// An `Err` ends this process and the restart; the old process serves on. At a roll back it ends that: the new
    /// process serves on, and `self` is as it is by then, so it is best looked at before anything is changed. So this is the place to find
    /// out that a state cannot be understood; [`save`](Self::save) has an example. What is left unread is an
    /// error as well, and so is a stream that is cut off: `saved` says so where it ends.
    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        Err("this program has no use for the old one's state".into())
    }

    /// From now on (`true`) the service notes what changes, beginning with nothing; or need not any more
    /// (`false`). Answers whether it does. Default: it does not.
    ///
    /// One that does is upgraded while it serves: [`save`](Self::save) writes what it knew at this moment, and
    /// [`save_changes`](Self::save_changes) what is new since then. One that does not is saved while
    /// nobody is served, where connections move.
    ///
    /// A new process is asked as well, when its [`on_start`](Self::on_start) is over, until it commits. If it is
    /// rolled back, its changes are loaded on top of what the old one knows.
    ///
    /// ```
    /// use heirloom::{Connection, Origin, Result, Service};
    /// use std::{collections::{BTreeMap, BTreeSet}, io::{BufRead, Write}};
    ///
    /// /// Words, by their numbers.
    /// #[derive(Default)]
    /// struct Words {
    ///     all: BTreeMap<u8, u8>,
    ///     changed: Option<BTreeSet<u8>>,
    /// }
    ///
    /// impl Words {
    ///     fn set(&mut self, key: u8, value: u8) {
    ///         self.all.insert(key, value);
    ///         if let Some(changed) = &mut self.changed {
    ///             changed.insert(key);
    ///         }
    ///     }
    /// }
    ///
    /// impl Service for Words {
    /// #   type Session = ();
    /// #   fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #   fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), _: &[u8]) -> Result<usize> { Ok(1) }
    ///     // and `save` and `load`
    ///     fn track_changes(&mut self, on: bool) -> bool {
    ///         self.changed = on.then(BTreeSet::new);
    ///         true
    ///     }
    ///     fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
    ///         let Some(changed) = &mut self.changed else { return Ok(0) };
    ///         for _ in 0..most {
    ///             let Some(key) = changed.pop_first() else { break };
    ///             out.write_all(&[key, self.all[&key]])?;
    ///         }
    ///         Ok(changed.len())
    ///     }
    ///     fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
    ///         let mut pair = [0; 2];
    ///         while !saved.fill_buf()?.is_empty() {
    ///             saved.read_exact(&mut pair)?;
    ///             self.set(pair[0], pair[1]);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let (mut old, mut new) = (Words::default(), Words::default());
    /// old.track_changes(true);
    /// (0..5).for_each(|key| old.set(key, key * 2));
    /// let mut piece = Vec::new();
    /// assert_eq!(old.save_changes(&mut piece, 3)?, 2);
    /// new.load_changes(&mut piece.as_slice())?;
    /// assert_eq!(new.all.len(), 3);
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    fn track_changes(&mut self, on: bool) -> bool {
        false
    }

    /// Writes some of what has changed since [`track_changes`](Self::track_changes) and was not written yet, at
    /// most so many changes, and forgets that it has; answers how many are left. With 0 it is only asked how many
    /// there are. Each call's bytes are read by one
    /// [`load_changes`](Self::load_changes). What changes again is written again. Called between turns while
    /// everybody is served, with as many as take a moment, and a last time with `usize::MAX` for all that is
    /// left, while nobody is. With 0 it is only asked how many there are, and writes nothing.
    ///
    /// # Errors
    /// An `Err` ends the restart, or the roll back; this process serves on.
    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        Ok(0)
    }

    /// Reads what one [`save_changes`](Self::save_changes) has written, on top of what is known. Default: refuses.
    ///
    /// # Errors
    /// As those of [`load`](Self::load).
    fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        Err("this program does not read changes".into())
    }

    /// Writes a session down for the next program, at a restart by fork-exec that
    /// [moves connections](crate::Restart::move_connections). `None`, the default, lets the connection
    /// stay in this process until it ends. A fork has the session as it is, and does not ask; a roll back asks,
    /// whichever the engine was.
    ///
    /// [`testing::every_split_restarted`](crate::testing::every_split_restarted) finds out what it
    /// forgets, and has an example.
    fn export(&self, session: &Self::Session) -> Option<Vec<u8>> {
        None
    }

    /// Reads what [`export`](Self::export) has written. The connection has its id, its peer, its timers and
    /// all bytes that were on the way; what is sent here goes behind them. Ids of other connections that
    /// move lead to them already, whoever is imported first.
    ///
    /// # Errors
    /// An `Err` closes the connection; at a roll back it stays with the new process.
    ///
    /// ```
    /// # use heirloom::{ConnId, Connection, Result};
    /// # use std::collections::BTreeSet;
    /// /// A room is made of those who arrive: no `save` needs to know them.
    /// fn import(room: &mut BTreeSet<ConnId>, conn: &mut Connection<'_>, saved: &[u8]) -> Result<String> {
    ///     room.insert(conn.id());
    ///     String::from_utf8(saved.to_vec()).map_err(|_| "not a name".into())
    /// }
    /// ```
    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Self::Session> {
        Err("this program does not take over connections".into())
    }

    /// A restart that this process began is decided, well or badly. After a good one this process has
    /// been retired since the new one was ready; after a bad one it serves on, unless it was told to stop.
    ///
    /// ```
    /// # use heirloom::Verdict;
    /// fn on_restart_ended(failures: &mut u64, verdict: &Verdict) {
    ///     if let Err(why) = &verdict.outcome {
    ///         *failures += 1; // for a metric; the log has it already
    ///     }
    /// }
    /// ```
    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {}

    /// Gives back a session whose connection another process has, which has this very session as well: after a
    /// [fork](crate::Restart::fork), in the new process of each connection that has stayed with the old one, and in the
    /// old one, should it serve again, of each that had moved. Default: forgets it.
    ///
    /// What a destructor says here is said for the other process: a database client that is dropped says goodbye on
    /// the socket that the other one goes on with. To forget costs what a session has on the heap,
    /// for each such connection and restart, for as long as forks follow forks (the table of the sessions is given
    /// back in any case). **A session that owns nothing but memory is better dropped**:
    ///
    /// ```
    /// # type Session = String;
    /// fn discard(session: Session) {
    ///     drop(session);
    /// }
    /// ```
    ///
    /// It comes when this process serves, for up to [`FREE_PIECE`](crate::limits::FREE_PIECE) of them in a turn, and
    /// not in a process that leaves: see [`on_end`](Self::on_end). A program that was started by fork-exec has
    /// no such sessions; what the old one then has of those that have moved is its own, and is dropped.
    fn discard(&mut self, session: Self::Session) {
        std::mem::forget(session);
    }

    /// This process ends: [`run`](crate::Server::run) returns. The very last callback, once in every process that has
    /// served (was told so by [`on_start`](Self::on_start)), however it came to leave. The place to write what must not
    /// be lost: a buffer, a journal, a word to whom only this process talks with. Default: nothing.
    ///
    /// **Do not leave that to a destructor.** After a fork two processes have the service, and the one that ends
    /// does not run them: see [`run`](crate::Server::run). It does not come where a process is killed, nor after a panic that
    /// [ends the process](crate::Server::propagate_panics). Nobody limits how long it takes but who waits for the process to
    /// end, and what is asked of `net` here is not done any more.
    ///
    /// ```
    /// use heirloom::{Connection, Net, Origin, Result, Service, testing::Harness};
    /// use std::io::{BufWriter, Write};
    ///
    /// /// Keeps a journal of what came, which is written in large pieces.
    /// struct Journal<W: Write>(BufWriter<W>);
    ///
    /// impl<W: Write> Service for Journal<W> {
    ///     type Session = ();
    ///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
    ///         Ok(())
    ///     }
    ///     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    ///         self.0.write_all(input)?;
    ///         Ok(input.len())
    ///     }
    ///     fn on_end(&mut self, _net: &mut Net) {
    ///         let _ = self.0.flush(); // whose destructor would do it in one process of two
    ///     }
    /// }
    ///
    /// let mut harness = Harness::new(Journal(BufWriter::new(Vec::new())));
    /// let peer = harness.connect();
    /// harness.feed_and_finish(peer, b"hello");
    /// assert_eq!(harness.service().0.get_ref(), b""); // it waits for more
    /// harness.net().drain();
    /// harness.finish(peer);
    /// assert_eq!(harness.service().0.get_ref(), b"hello");
    /// ```
    fn on_end(&mut self, net: &mut Net) {}
}
