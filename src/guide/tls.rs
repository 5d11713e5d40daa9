//! TLS: who listens with it and dials with it, how it ends, and what a restart is to it.
//!
//! With the feature `tls` a listener's clients shake hands before the service hears of them. rustls does that, whole, by
//! the author's own [`ServerConfig`](crate::tls::rustls::ServerConfig); the records that follow are sealed and opened by heirloom
//! itself, with ring's ciphers, where bytes are read and written anyway. TLS 1.3 and 1.2 are spoken.
//!
//! ```no_run
//! use heirloom::{Connection, Net, Origin, Restart, Result, Server, Service, tls};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!
//!     /// Hands are shaken by now.
//!     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!         if let Some(tls) = conn.tls() {
//!             println!("{}: {:?}, {:?}, for {:?}", conn.peer(), tls.version(), tls.alpn(), tls.sni());
//!         }
//!         Ok(())
//!     }
//!
//!     /// As ever.
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//!         conn.send(input);
//!         Ok(input.len())
//!     }
//!
//!     /// A reload by fork: the certificate that was renewed is shown from here on. If it is bad, the old process serves on.
//!     fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
//!         net.set_tls(1, certificate()?.into())
//!     }
//! }
//!
//! fn certificate() -> Result<tls::rustls::ServerConfig> {
//!     let mut config = tls::server_config("/etc/app/cert.pem", "/etc/app/key.pem")?;
//!     config.alpn_protocols = vec![b"app/1".to_vec()];
//!     Ok(config)
//! }
//!
//! fn main() -> Result {
//!     Server::new(Echo)?
//!         .listen("127.0.0.1:7777")? // for those who are here, in plain text
//!         .listen_tls("0.0.0.0:7443", certificate()?.into())?
//!         .restart_on(libc::SIGHUP, Restart::fork())
//!         .restart_on(libc::SIGUSR2, Restart::fork_exec().checked("--check"))
//!         .run()
//! }
//! ```
//!
//! | | |
//! |---|---|
//! | [`Server::listen_tls`](crate::Server::listen_tls), [`Listen::tls`](crate::Listen::tls) | a listener; behind the header of a [proxy](super::sockets), if there is to be one |
//! | [`Net::dial_tls`](crate::Net::dial_tls) (and `dial_host_tls`, by name) | a dial: [`on_open`](crate::Service::on_open) when the peer has proven who it is, [`on_dial_failed`](crate::Service::on_dial_failed) otherwise |
//! | [`Connection::start_tls`](crate::Connection::start_tls), [`start_tls_as_client`](crate::Connection::start_tls_as_client) | `STARTTLS`: from here on, in mid-conversation |
//! | [`Connection::tls`](crate::Connection::tls) | version, suite, ALPN, server name, the peer's certificates, whether it is resumed |
//! | [`export_keying_material`](crate::Connection::export_keying_material) | a secret of both ends, to bind a login to |
//! | [`Net::set_tls`](crate::Net::set_tls) | a certificate that was renewed |
//!
//! Certificates by name, certificates of clients, versions, suites, a key log: all of that is rustls' configuration, and taken as it
//! is, of whatever provider. Two things are always off: early data, which may come twice, and renegotiation. The control socket never has
//! TLS; only its own user may use it. In a [harness](crate::testing) peers are plain.
//!
//! # Certificates
//!
//! [`tls::server_config`](crate::tls::server_config) reads one from files. A file that is missing or empty, or a key that is another
//! certificate's, is one error that names the file, before anything is bound:
//!
//! ```text
//! echo: use key /etc/app/key.pem: it is not the key of the certificate in /etc/app/cert.pem
//! ```
//!
//! So it fails `--check`, and with that an upgrade that is [checked](crate::Restart::checked); a reload by fork fails in
//! `after_fork_in_child`. The service goes on with what it has, either way.
//!
//! # How it ends
//!
//! Who has no more to say says so by a `close_notify`, and so does heirloom, before each FIN: of
//! [`close`](crate::Connection::close), of [`shutdown_write`](crate::Connection::shutdown_write), of a stop. Half-close works in both
//! versions. Whatever else ends a connection is a [`Reason::Tls`](crate::Reason::Tls) that names it, in the words of RFC 8446:
//!
//! | what happens | the peer gets | `on_close`, or the log |
//! |---|---|---|
//! | `close_notify` | ours | [`on_eof`](crate::Service::on_eof), then [`PeerClosed`](crate::Reason::PeerClosed) |
//! | a FIN without one | | `TLS: the peer's FIN came before its close_notify`: what has come may be a part |
//! | a record that is forged, too long, out of place | an alert, then our FIN | `TLS: a record is not authentic (bad_record_mac was sent)` |
//! | an alert | | `TLS: the peer has sent bad_certificate` |
//! | no TLS at all, on this port | `decode_error` | `TLS: what came is no TLS (decode_error was sent)` |
//! | nothing in common | `handshake_failure`, `protocol_version`, `no_application_protocol` | `TLS: no cipher suite in common (handshake_failure was sent)` |
//! | silence in the handshake | a FIN | `TLS: the handshake was not over in time` |
//!
//! Before `on_open` only the log hears of it, one line for each; many of one kind are
//! [counted](super::limits_and_defaults) and no more. A client that speaks TLS to a plain listener gets what any stranger gets: the `http` example says
//! 400.
//!
//! **A handshake costs** 70 to 500 microseconds of the one core, as much as some dozen requests. So each turn makes
//! [four steps](crate::limits::HANDSHAKE_BUDGET) of them at most, after it has served who is here already, and the others have their
//! turn in order. A client has [10 s](crate::Timeouts::handshake) for it; the time in which it waits for us does not count. Early
//! data that it sends all the same is rejected, and up to 16 KiB of it skipped; each of its records is tried again with the next.
//!
//! # At a restart
//!
//! A connection with TLS is a connection like any other: it stays and drains, or [moves](crate::Restart::move_connections), by
//! either engine, in the middle of whatever record it is in, and its client shakes hands once in its life. What was agreed on, the
//! numbers of the records, half-read and half-sent ones go along. Exactly one process writes at any time, since two that seal by
//! the same number would give the key away: what is frozen seals nothing, and what has gone to another process never will again. A handshake
//! that is under way stays in the old process. So does, with a line in the log, a connection of a provider whose secrets cannot be
//! written down.
//!
//! curl, openssl, Python's `http.client`, Node, Chromium and redis-cli notice nothing of twenty restarts in the middle of a download
//! and of an upload: `tests/tls_clients` drives them.
//!
//! # Who could read what
//!
//! Whoever can read the memory of a server has the keys of its connections and, mostly, the private key of its certificate;
//! that is so with every TLS library. The question is what a restart adds.
//!
//! | | what holds keys | who could read it |
//! |---|---|---|
//! | a fork | the heap of both processes, as of any fork; what stays with the old one is wiped in the new one, piece by piece | who can read either's memory: root, and programs of the same user where `ptrace(2)` lets them |
//! | a fork-exec with moves | for some milliseconds a memfd of its own, beside the one with the records: secrets and numbers, of established connections only. The private key is not in it: the new program reads its own | the same; it has no name in a file system, goes from process to process over a private socket pair, and is mapped by nobody |
//! | after it | nothing: its reader wipes it before it is closed, and the buffers on both sides are wiped as they go | |
//! | the log, errors, a core dump | no secret is ever formatted; a core dump of a server has its heap, and so its keys, moves or not | |
//! | swap | the memfd and the heap may be swapped out as all memory may: encrypt it, or have none | who has the disk |
//!
//! Two things are worth knowing before connections move. The **new program has the keys**: an upgrade to a program that you do not
//! trust with what its clients say was never one. And **forward secrecy counts from the end of the connection**, not from the
//! handshake: one that lives for a month across ten upgrades has keys in memory for a month (TLS 1.3 changes them on the way,
//! when either side asks). Who does not want that lets them stay:
//!
//! ```
//! use heirloom::Move;
//!
//! /// What a service remembers of a connection: `on_open` is told by which listener it came.
//! struct Session { listener: usize }
//!
//! /// Of `Service::on_move`: those of listener 1 shake hands again with the new process.
//! fn on_move(session: &Session) -> Move {
//!     if session.listener == 1 { Move::Stay } else { Move::Yes }
//! }
//! ```
//!
//! # Tickets
//!
//! A client that comes again resumes what it has begun, which takes both sides less. rustls' own ticketers, and its memory of
//! sessions, end with the program; the keys of a [`Ticketer`](crate::tls::Ticketer) that is [registered](crate::Server::tickets)
//! go along by either engine, and come back in a roll back. Of a connection that was dialed, tickets are kept while it is in the
//! process that shook hands.
//!
//! # Kernel TLS
//!
//! Linux can seal and open records itself (`tls(7)`, `TCP_ULP`), where it is built so. heirloom does not use it, and has a place for it: the one
//! file that reads and writes records of a stream (`net/stream/secure.rs`). It would take the keys as they are there to
//! `setsockopt(2)`, a control message for each record that is no data, and a kernel that follows key updates (6.14 for TLS 1.3). It
//! would save a copy where files are sent, and a move would carry no keys, since the descriptor has them. For replies that are
//! made in memory it costs about what it costs here: the cipher is the same.
//!
//! Next: [operating](super::operating).
