//! Limits and defaults: what a peer, a restart and a process may use, in bytes and in time.
//!
//! | what | default | change it by |
//! |---|---|---|
//! | nothing comes, nothing is sent, neither | no limit ([why](#silence)) | [`Timeouts::read_idle`](crate::Timeouts::read_idle), [`write_idle`](crate::Timeouts::write_idle), [`all_idle`](crate::Timeouts::all_idle) |
//! | first whole message | 10 s | [`Timeouts::first_message`](crate::Timeouts::first_message) |
//! | the header of a proxy | as the first message, 10 s where there is no limit; 4 KiB | [`Timeouts::first_message`](crate::Timeouts::first_message) |
//! | a TLS handshake | 10 s; 4 steps of all of them in one turn | [`Timeouts::handshake`](crate::Timeouts::handshake) |
//! | the peer takes no output | 30 s | [`Timeouts::write_stall`](crate::Timeouts::write_stall) |
//! | the peer's FIN after ours | 5 s | [`Timeouts::close`](crate::Timeouts::close) |
//! | TCP asks whether a silent peer is there | after 120 s, then every 30 s, six times | [`Listen::keep_alive`](crate::Listen::keep_alive), [`SocketOptions::keep_alive`](crate::SocketOptions::keep_alive) |
//! | an operator says nothing and waits for nothing | 60 s | fixed |
//! | connections at a time, of each generation | 1,000,000; accepting resumes at 90 % | [`max_connections`](crate::Server::max_connections) |
//! | input kept for one message | 16 MiB | [`max_message`](crate::Server::max_message) |
//! | unsent output of one connection | 16 MiB | [`max_output`](crate::Server::max_output) |
//! | a new side is ready | 10 s; the same again for `on_start`, and to commit after its probation | [`Restart::ready_within`](crate::Restart::ready_within) |
//! | the state is copied to a new program, which serves nobody yet | 60 s, then the restart is given up | [`Restart::copy_within`](crate::Restart::copy_within) |
//! | a new side's probation | 2 s | [`Restart::probation`](crate::Restart::probation) |
//! | nobody serves connections that move | 2 s, then the restart is given up | [`Restart::max_downtime`](crate::Restart::max_downtime) |
//! | what clients have queued, in a move by fork-exec | 64 MiB; a connection that has no room stays; 16 KiB of each do not count | [`Restart::max_moved`](crate::Restart::max_moved) |
//! | a heap is prepared for a fork | from 64 MiB on, for 60 s at most, with 2 ms between two blocks of 2 MiB | [`Restart::prepare`](crate::Restart::prepare) |
//! | drain after a restart | all are told at once; after 1 h what is left is aborted | [`drain_on_restart`](crate::Server::drain_on_restart), [`Drain::spread`](crate::Drain::spread) |
//! | drain on stop | all are told at once; after 30 s what is left is aborted | [`drain_on_stop`](crate::Server::drain_on_stop) with a [`Drain::deadline`](crate::Drain::deadline), [`Drain::spread`](crate::Drain::spread) |
//! | a service that is told to leave goes on to accept | not at all | [`lame_duck`](crate::Server::lame_duck) |
//! | generations at a time | 50; one more is refused | [`max_generations`](crate::Server::max_generations), [`dismiss_oldest`](crate::Server::dismiss_oldest) |
//! | input and output of one connection in one turn | 64 KiB each | fixed |
//! | output above which input is no longer offered, and at which it is again | 64 KiB, 32 KiB | fixed |
//! | accepts per listener in one turn | 64 | fixed |
//! | datagrams of one socket in one turn | 128, or 64 KiB and what the batch of 32 brings | fixed |
//! | a datagram | 64 KiB; a longer one is dropped and counted | fixed |
//! | unsent datagrams of one socket, and those on the way to an older generation | 1 MiB each; more are dropped and counted | fixed |
//! | a word from one generation to another | 32 KiB; a longer one is refused | fixed |
//! | words that wait for one other generation | 1 MiB, and 4,096 of them; more are refused | fixed |
//! | words told to a service in one turn | 64; the others come in the next one | fixed |
//! | clients that wait to be accepted | 4,096, or what `net.core.somaxconn` grants | [`Listen::backlog`](crate::Listen::backlog) |
//! | signals told to a service in one turn, and watched descriptors | 64 each; the others come in the next one | fixed |
//! | a dial, the look-up of a name included | 10 s | [`dial_timeout`](crate::Server::dial_timeout) |
//! | one question to a name server, and how often each is asked | 5 s, twice | `resolv.conf(5)`: `timeout`, `attempts` |
//! | what was learned of names | 1,024 answers, for 1 s to 1 h; that there is nothing 5 min at most | fixed |
//! | names that are looked up at a time | 64; others wait | fixed |
//! | dialed connections to one address, or to one name | no limit | [`max_per_destination`](crate::Server::max_per_destination) |
//! | messages in a mailbox | what its maker says; more are refused | [`mailbox(capacity)`](crate::mailbox) |
//! | out of descriptors | accepting pauses until a connection ends, 500 ms at most | fixed |
//! | descriptors kept for operators and for a restart | 10, a third of what the process may have at most | fixed |
//! | a request on the control socket | 1 KiB | fixed |
//! | connections of the control socket | 32; one more takes the place of the one that was silent longest | fixed |
//! | a monitor's request, and its answer | 4 KiB, 32 fields; 2 s for each | fixed |
//! | connections of monitors, of each kind | 64; one more takes the place of the one that was silent longest | fixed |
//! | what a process holds and does not know, before a fork | 128 are looked at, 32 described, 16 logged; others are counted | fixed |
//! | a new program's stderr, passed on until it commits | 1 MiB a second; what is missing is told | fixed |
//! | lines of one kind in the log, where others can cause them | 50 in 5 s; then they are counted | fixed |
//! | a supervisor makes another generation after a crash | 100 ms, doubling up to 30 s | fixed |
//!
//! A time counts from the moment in which it is set, and is over only when all that came within it was used. A
//! peer is called silent only for time in which it could have been heard: what a callback takes beyond 100 ms,
//! a stop (`SIGSTOP`), and the downtime of a restart do not count, nor does time in which the machine is suspended.
//! The other way round no limit can interrupt `save_changes`, `export` and `on_start`, nor `save` where
//! [no scribe](crate::CopiedBy) calls it. They are held as soon as the process can decide again, and the verdict and the
//! log say how long it was.
//!
//! # Silence
//!
//! How long a client may say nothing is for its protocol to say. MQTT lets the client choose, up to 18 hours; pools keep
//! connections to a database for later; people read. So by default no connection is ended because it is silent, and one
//! whose peer is gone, with its power or its network, is found by TCP: after five minutes without an answer the connection is
//! over ([`Reason::Broken`](crate::Reason::Broken), `ETIMEDOUT`). A Unix socket knows at once.
//!
//! A peer that is there and wants nothing holds a place: a descriptor and some 250 bytes. A server that strangers connect to
//! gives them a limit, [for all](crate::Server::timeouts), [for a listener](crate::Server::listener_timeouts) or
//! [for one connection](crate::Connection::set_timeouts), when it knows more of its client:
//!
//! ```
//! use heirloom::{Server, Service, Timeouts};
//! use std::time::Duration;
//!
//! fn tune<S: Service>(server: Server<S>) -> Server<S> {
//!     server.timeouts(Timeouts::new().all_idle(Duration::from_secs(75))) // as nginx between two requests
//! }
//! ```
//!
//! A limit that passes is [asked about](crate::Service::on_idle), so that a protocol can send its ping; left alone, the
//! connection is closed, and the log says at level `info` which limit it was and how long it was silent. What a byte
//! costs is a stamp, in either direction: no timer is moved. The limits that were set, and the silence so far, go along in a
//! restart.
//!
//! The fixed ones have their reasons in [`limits`](crate::limits), the others in their methods. The soft limit on
//! open files is raised to the hard one.
//!
//! Next: [what it costs](super::what_it_costs).
