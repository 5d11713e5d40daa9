//! Every budget, mark, cap and timeout with its reason; knows nothing of sockets.
//!
//! The constants are the fixed sizes and some of the defaults; what an author may change has a
//! method of [`Server`](crate::Server). Sizes are in bytes unless a name says otherwise.
//!
//! ```
//! use heirloom::{Connection, limits};
//!
//! /// How much may be sent before a producer has to wait for `on_writable`.
//! fn room(conn: &Connection<'_>) -> usize {
//!     limits::HIGH_MARK.saturating_sub(conn.queued())
//! }
//! ```

#[path = "limits/outside.rs"] // the benchmarks include this file from elsewhere
mod outside;

use std::time::Duration;

pub use outside::*;

/// The read buffer that all connections share, and the most input that one connection may
/// bring into one turn. Large enough that a busy connection costs one `read` a turn
/// (redis reads 16 KiB, libuv 64 KiB), small enough to stay in the L2 cache.
pub const READ_BUDGET: usize = 64 * 1024;

/// The most output one connection may write in one flush, so that a fast reader of a long
/// reply does not hold up its neighbours (redis: 64 KiB, `NET_MAX_WRITES_PER_EVENT`).
pub const WRITE_BUDGET: usize = 64 * 1024;

/// Accepts for one listener in one turn: a burst of clients may not starve those that are here.
pub const ACCEPT_BUDGET: usize = 64;

/// Above this much unsent output a connection is congested: its input is no longer offered
/// (Netty and Twisted use 64 KiB as well).
pub const HIGH_MARK: usize = 64 * 1024;

/// At this much unsent output a congested connection is offered input again. Half of the high
/// mark, so that a connection at the edge does not flap.
pub const LOW_MARK: usize = 32 * 1024;

/// Slices handed to one `writev`. Past 16 the kernel's own work outweighs the call that is saved.
pub const WRITE_SLICES: usize = 16;

/// A shared segment shorter than this is copied: one more slice would cost more than the copy.
pub const SHARE_FROM: usize = 512;

/// Buffers kept for reuse, in bytes of capacity altogether: enough for a thousand connections with
/// a small reply each in the same turn.
pub const POOL_BYTES: usize = 4 * 1024 * 1024;

/// A buffer that has grown past this is given back to the allocator instead of the pool.
pub const POOL_BUFFER: usize = 64 * 1024;

/// Messages taken from one mailbox in one turn: a thread that posts without end may not starve the
/// clients.
pub const MAIL_BUDGET: usize = 64;

/// Signals told to a service in one turn: a program that sends without end may not starve the clients.
pub const SIGNAL_BUDGET: usize = 64;

/// Watched descriptors whose readiness is told in one turn, for the same reason. The others come first in
/// the next one.
pub const WATCH_BUDGET: usize = 64;

/// Events taken from the kernel in one turn (libevent's ceiling is 4096, redis takes all).
pub const EVENTS: usize = 1024;

/// A turn that takes longer is one in which author's code has blocked, or in which the process was stopped.
/// What it takes beyond this is no time in which a peer has been silent, since nobody listened. Long beside
/// a turn of ten thousand requests, which is to count.
pub const LONG_TURN: Duration = Duration::from_millis(100);

/// A poll that was to end by now and ends this much later was not held up: it sleeps in whole milliseconds.
pub(crate) const POLL_SLACK: Duration = Duration::from_millis(2);

/// How long accepting stops when the process is out of descriptors and none is given back
/// (nginx: `accept_mutex_delay`, 500 ms).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Descriptors that are kept for a restart, so that it can be made when clients have all others: both ends of
/// the link and of the new program's stderr, its pidfd, a message's copies of listeners, a memfd.
pub const RESERVE_FOR_RESTART: usize = 8;

/// And for operators who come in then. A process that may have few descriptors reserves a third of them.
pub const RESERVE_FOR_OPERATORS: usize = 2;

/// A process at its connection limit accepts again when it has fallen to this share of it, in
/// percent (sozu does the same), so that it does not stop and go with each client.
pub const ACCEPT_RESUME_PERCENT: usize = 90;

/// Datagrams read or written by one system call (`recvmmsg(2)`, `sendmmsg(2)`). With 32 the call itself is
/// a small part of the cost, and the room for a batch, which is only touched where it is used, is 2 MiB.
pub const DATAGRAM_BATCH: usize = 32;

/// A longer datagram is dropped and counted. UDP has none (65,507 bytes over IPv4); a Unix socket may.
pub const DATAGRAM_MAX: usize = 64 * 1024;

/// Datagrams from one socket in one turn, unless [`READ_BUDGET`] is used up before: a flood may not starve
/// the connections. What a batch brings is handled whole, so a turn may go over by one.
pub const DATAGRAM_BUDGET: usize = 4 * DATAGRAM_BATCH;

/// Unsent datagrams of one socket: as much as a burst of answers to one turn's input. More is dropped.
pub const DATAGRAM_OUTPUT: usize = 1024 * 1024;

/// Room in the kernel's receive buffer of a datagram socket, as far as `net.core.rmem_max` goes. It is what
/// holds datagrams while two generations change places: some 5,000 short ones.
pub const DATAGRAM_BUFFER: usize = 4 * 1024 * 1024;

/// Datagrams on their way to an older generation that it does not take yet. More is dropped.
pub const FORWARD_QUEUE: usize = 1024 * 1024;

/// A message with datagrams for an older generation is sent when it has this many bytes.
pub const FORWARD_BYTES: usize = 32 * 1024;

/// Such messages that one turn takes in, for the same reason as [`DATAGRAM_BUDGET`].
pub const FORWARD_BUDGET: usize = 8;

/// The longest [word](crate::Net::tell) from one generation to another: with what else is in a message, it fits into
/// what Linux gives a socket by default (`net.core.wmem_default`, 208 KiB). What is longer belongs into a file, or into the state.
pub const WORD_MAX: usize = 32 * 1024;

/// Bytes of words that wait for one other generation. More is refused: a process that takes nothing hangs, and the
/// one that tells shall hear of that and not grow.
pub const WORDS_BYTES: usize = 1024 * 1024;

/// And how many of them wait: short ones cost memory beside their bytes.
pub const WORDS_COUNT: usize = 4096;

/// A message with words is sent when it has this many bytes.
pub const WORDS_BATCH: usize = 32 * 1024;

/// Words told to a service in one turn: a generation that tells without end may not starve the clients of another.
pub const WORD_BUDGET: usize = 64;

/// Room for clients in the kernel's accept queue. The kernel cuts it to `net.core.somaxconn`
/// (4096 by default): the queue is what holds clients while two generations change places.
pub const BACKLOG: i32 = 4096;

/// The longest header of the PROXY protocol: a certificate may be in it (nginx and its like take 4 KiB, too).
pub const PROXY_HEADER: usize = 4096;

/// It has to be there within this time, where there is no timeout for the first message: a proxy sends it at once.
pub const PROXY_HEADER_WITHIN: Duration = Duration::from_secs(10);

/// How long a dialed connection may take to be established, unless told otherwise; the kernel's own
/// limit is minutes.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a [name](crate::Net::dial_host)'s IPv4 addresses wait for those of IPv6 (RFC 8305, section 3).
#[cfg(feature = "names")]
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// How long one address of a name is tried before another one is tried beside it (RFC 8305, section 5).
#[cfg(feature = "names")]
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Names that are looked up at a time, with two sockets each or some more where servers are silent. Other
/// dials wait.
#[cfg(feature = "names")]
pub const NAME_LOOKUPS: usize = 64;

/// Addresses of one kind that are tried of a name: as many as a datagram has room for.
#[cfg(feature = "names")]
pub const NAME_ADDRESSES: usize = 32;

/// Aliases that one answer may lead through (BIND follows 16 as well).
#[cfg(feature = "names")]
pub const NAME_ALIASES: usize = 16;

/// Answers about names that are kept: some two hundred bytes each.
#[cfg(feature = "names")]
pub const NAME_CACHE: usize = 1024;

/// An answer is kept for no less than this, so that dials to a name at the same moment need one.
#[cfg(feature = "names")]
pub const NAME_TTL_MIN: Duration = Duration::from_secs(1);

/// And for no longer, whatever its server says.
#[cfg(feature = "names")]
pub const NAME_TTL_MAX: Duration = Duration::from_secs(3600);

/// That there is no such name, or no address of a kind, is kept for no longer than this (RFC 2308 has one to three
/// hours; who has just made a name will not wait for that).
#[cfg(feature = "names")]
pub const NAME_NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);

/// Inherited sessions dropped per turn in a forked child. Each drop may copy a page that the
/// parent still shares, so the heap of 10,000 connections is given back in small pieces.
pub const FREE_PIECE: usize = 256;

/// The last bytes of a new program's stderr that are kept, to tell why it failed.
pub const STDERR_TAIL: usize = 4096;

/// Room for what a new program says on stderr while the old one is busy (Linux lets a user have this
/// much, `/proc/sys/fs/pipe-max-size`). At a quarter of it the old side is taken to hang.
pub const STDERR_PIPE: i32 = 1024 * 1024;

/// Bytes of a new program's stderr that are passed on to ours in one second: a page of words for each
/// millisecond. A program that says more has gone wrong, and would fill a disk; what is over is counted.
pub const STDERR_RATE: usize = 1024 * 1024;

/// And that are taken in, so that the loop has other things to do than to throw them away. A program that
/// says more waits.
pub const STDERR_READ: usize = 16 * 1024 * 1024;

/// How long a side of a restart that has closed its link may take to end by itself. A new one is on its way
/// out of `main`, and its exit status and last words tell more than a kill would; the old side serves on
/// meanwhile, so nobody waits for this but the one who asked. An old one that ends closes its links a moment
/// before, so one that lives for this long has given the new one up. And as long as this a process that was
/// told to stop now waits for a side that is too busy to hear of it.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

/// As many numbers of connections an old side leaves to the new one that it has released: should that one be
/// rolled back, its connections come here, and none has the name of another. A million times that many are there.
pub(crate) const SERIALS_APART: u64 = 1 << 20;

/// How long a new program waits for what it is offered, and then for what it is handed, before it gives
/// up. Only an old side that hangs lets this pass.
pub const HANDOVER_PATIENCE: Duration = Duration::from_secs(10);

/// A retired process aborts what is still open after this long. Long enough for a download or a
/// game, and an end to old generations that would pile up otherwise (Envoy: 10 minutes).
pub const DRAIN_ON_RESTART: Duration = Duration::from_secs(3600);

/// A process that was told to stop aborts what is still open after this long: well within the 90
/// seconds after which systemd would kill it.
pub const DRAIN_ON_STOP: Duration = Duration::from_secs(30);

/// Generations that live at the same time, unless told otherwise: each holds memory, and one that
/// never empties is a sign that nobody looks (HAProxy: `mworker-max-reloads 50`).
pub const GENERATIONS: usize = 50;

/// How long a new side that is ready waits for the old one to stop accepting, before it serves all
/// the same: an old side that is alive answers within a turn, and two that accept do no harm. One that
/// hangs and holds up connections that move is killed then.
pub const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a new side waits for an old one that has heard it and calls
/// [`on_retire`](crate::Service::on_retire), which is author's code and may take a while.
pub const RETIRE_PATIENCE: Duration = Duration::from_secs(5);

/// A generation that was told to leave by a deadline and is still there this much later is killed.
pub const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// A supervisor makes a new server this long after one has died, doubling with each that dies soon:
/// fast enough that a client waits no longer than for a slow page (systemd: 100 ms as well).
pub const RESPAWN_DELAY: Duration = Duration::from_millis(100);

/// It never waits longer: a fault that has passed is noticed within half a minute.
pub const RESPAWN_DELAY_MAX: Duration = Duration::from_secs(30);

/// A service that has gone on for this long was no failure: the delays begin anew.
pub const RESPAWN_PROVEN: Duration = Duration::from_secs(10);

/// When a new side has died in its probation, the old one serves again within a turn. One that
/// does not do so for this long hangs: the supervisor kills it and makes another.
pub const RESUME_PATIENCE: Duration = Duration::from_secs(5);

/// How long `status` waits for the answers of other generations.
pub const REPORT_PATIENCE: Duration = Duration::from_millis(500);

/// A batch of moving connections is sent when its records have this many bytes, or when its message
/// has all the descriptors that it can carry.
pub const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Batches on their way at a time. The kernel counts descriptors that nobody has received yet against
/// the user's limit on open files, so the sender waits for the receiver (`ETOOMANYREFS`, see `unix(7)`).
pub const BATCHES_IN_FLIGHT: usize = 4;

/// What clients have queued, with what their sessions are written down as, goes along in a move by
/// fork-exec up to this, unless told otherwise: it adds 0.1 to 0.2 s (measured) to the time in which nobody is served.
/// A connection for which there is no room stays; those with the least go first.
pub const MOVE_BYTES: usize = 64 * 1024 * 1024;

/// Connections with no more than this do not count, and always go: a request, or the rest of a reply.
pub const MOVE_SMALL: usize = 16 * 1024;

/// The most that a new program reads as one batch: what is longer is an error of the old one and not a reason
/// to run out of memory.
pub const BATCH_MAX: usize = 1024 * 1024 * 1024;

/// Room in the pipe through which the state of a service goes (Linux lets a user have this much,
/// `/proc/sys/fs/pipe-max-size`).
pub const STATE_PIPE: i32 = 1024 * 1024;

/// One piece of [changes](crate::Service::save_changes) is to take about this long to be written, in a turn in
/// which clients are served.
pub const CHANGES_PIECE: Duration = Duration::from_millis(1);

/// Pieces of changes on their way at a time: one is read while the next one is written.
pub const CHANGES_IN_FLIGHT: usize = 2;

/// Where what is left of the changes is expected to take no longer than this, written and read, it is the last
/// piece, for which everybody waits. No round makes it much shorter: the connections that move take as long.
pub const LAST_CHANGES: Duration = Duration::from_millis(2);

/// After so many rounds of changes the last one comes, however much is left (Xen's live migration: 30; each round
/// takes a tenth of the one before where clients change a tenth of what can be copied meanwhile).
pub const ROUNDS: u32 = 10;

/// A generation that was replaced waits this long for the service manager to say that it has read
/// so. `systemd-notify(1)` waits as long.
pub const BARRIER_PATIENCE: Duration = Duration::from_secs(5);

/// Listeners in one message to a new program. Each is copied for it, so that no more of them are open twice at
/// a time than the reserve of descriptors has room for.
pub(crate) const LISTENERS_PER_MESSAGE: usize = 4;

/// A status names this many holds, the oldest: those are the ones that a drain waits for.
pub(crate) const HELD_NAMES: usize = 3;
/// And of each name this much.
pub(crate) const HELD_NAME_CHARS: usize = 40;

/// No interval is shorter: the poll sleeps in whole milliseconds.
pub const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// Alarms in one message between two generations, of some thirty bytes each.
pub(crate) const ALARMS_PER_MESSAGE: usize = 2048;

/// Where a longer time is asked for, this is meant: an `Instant` cannot be moved by `Duration::MAX`.
pub const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// TCP asks a peer that has said nothing for this long whether it is still there (`TCP_KEEPIDLE`, see `tcp(7)`), so
/// that one that is gone without a word (a machine that lost its power, a network) does not hold its place for
/// ever. How long a peer that is there may be silent is for its protocol to say, so there is no other limit to that by
/// default: MQTT lets a client choose up to 18 hours (section 3.1.2.10), pools of database connections keep some for
/// later, people read (redis and Netty have no limit either, Envoy has one hour, nginx 75 s, since it knows that it
/// speaks HTTP). Two minutes is less than any middle box has been seen to remember a quiet connection for (Azure: 4 minutes, AWS: 350 s;
/// RFC 5382 asks for 2 hours), so that none is forgotten on the way.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(120);

/// An answer that does not come is asked for again after this time (`TCP_KEEPINTVL`).
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// And so often, then the connection is over with `ETIMEDOUT`: five minutes after its peer's last word (`TCP_KEEPCNT`).
pub const KEEP_ALIVE_PROBES: u32 = 6;

/// No timeout of a connection is shorter: the poll sleeps in whole milliseconds.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// A client must have sent its first whole message within this time, unless told otherwise (slow loris). Longer
/// than any honest one takes over a bad network, short enough that places do not fill up (Apache's mod_reqtimeout: 20 s
/// for a whole head).
pub const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// A TLS handshake has to be over within this time, unless told otherwise (Envoy has 15 s, nginx 60 s).
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Steps of TLS handshakes in one turn. One takes 70 to 500 us, which is the time of some dozen requests, so who is here
/// already waits for no more than that many, however many clients come at once; those have the next turn, which follows at once.
pub const HANDSHAKE_BUDGET: usize = 4;

/// So many TLS connections keep ciphers that are ready, those that made them last: some 1.2 kB each, twice what an idle
/// connection has else, and made again within a microsecond. Most servers have fewer that speak within a second.
pub const CIPHERS_KEPT: usize = 1024;

/// Output that the peer does not take at all for this long ends a connection, unless told otherwise (nginx: 60 s).
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// After our FIN the peer has this long to send its own, unless told otherwise (nginx: `lingering_timeout`, 5 s).
pub const CLOSE: Duration = Duration::from_secs(5);

/// Lines of one kind that the log has within a [`LOG_WINDOW`], where others can cause them: enough to see what
/// goes on, and a kilobyte a second at most.
pub const LOG_BURST: u32 = 50;

/// The time for which [`LOG_BURST`] holds (the kernel's own log has 5 s as well).
pub const LOG_WINDOW: Duration = Duration::from_secs(5);

/// Bytes of a [quoted](crate::logging::Quoted) value in a line of the log. A new program's last words are the
/// longest that is meant to be read there.
pub const QUOTED: usize = 2 * STDERR_TAIL;

/// Things that an [inventory](crate::Inventory) describes; others are counted. An operator reads no more.
pub const INVENTORY_FINDINGS: usize = 32;

/// Descriptors that are not known and are looked at for it, at some thirty microseconds each; others are
/// counted. A process with a hundred thousand of them is to fork nonetheless.
pub const INVENTORY_LOOKS: usize = 128;

/// Bytes that are read of each file in `/proc` for it: some ten thousand mappings.
pub const INVENTORY_BYTES: u64 = 1024 * 1024;

/// Bytes of findings in what a generation reports of itself: they fit into a message, whatever others have
/// named their files.
pub const INVENTORY_WORDS: usize = 32 * 1024;

/// Findings that are logged one by one at a restart; of the others their number.
pub const INVENTORY_LINES: usize = 16;
