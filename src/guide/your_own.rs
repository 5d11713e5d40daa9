//! A server of your own: thirty lines in a crate beside this one, restarted under load.
//!
//! Beside the folder into which this one was cloned:
//!
//! ```sh
//! cargo new lines && cd lines
//! cargo add heirloom --path ../heirloom
//! cargo add libc                     # for the names of signals
//! cargo add env_logger               # without a logger, a restart that is refused says nothing
//! ```
//!
//! and in `src/main.rs`:
//!
//! ```no_run
//! use heirloom::{
//!     Connection, Origin, Restart, Result, Server, Service, codec,
//!     logging::{Stderr, log_panics},
//! };
//!
//! /// Counts the lines that all clients have sent.
//! struct Lines {
//!     count: u64,
//! }
//!
//! impl Service for Lines {
//!     type Session = (); // nothing to remember about a connection
//!
//!     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!         Ok(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!         let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!         self.count += 1;
//!         let (generation, text) = (conn.net().generation(), String::from_utf8_lossy(line));
//!         conn.send(format!("{generation}: line {} is {text}\n", self.count).as_bytes());
//!         Ok(taken)
//!     }
//! }
//!
//! fn main() -> Result {
//!     env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
//!         .target(env_logger::Target::Pipe(Box::new(Stderr::new()))) // which waits for no reader
//!         .init();
//!     log_panics(); // as lines of the log
//!     Server::new(Lines { count: 0 })?
//!         .listen("127.0.0.1:7790")?
//!         .pid_file("/tmp/lines.pid")? // of the generation that serves
//!         .restart_on(libc::SIGHUP, Restart::fork())
//!         .restart_on(libc::SIGUSR2, Restart::fork_exec())
//!         .run()
//! }
//! ```
//!
//! Run it, and restart it while somebody asks all the time:
//!
//! ```sh
//! cargo build --release
//! target/release/lines &
//! while [ ! -s /tmp/lines.pid ]; do sleep 0.1; done
//! (while echo hello | nc -N 127.0.0.1 7790; do :; done; echo "nobody answers any more") &
//! kill -HUP $(cat /tmp/lines.pid); sleep 3     # a fork: the count goes on
//! kill -USR2 $(cat /tmp/lines.pid); sleep 3    # the program anew: the count begins at one
//! kill -TERM $(cat /tmp/lines.pid)             # the end
//! ```
//!
//! A restart takes two seconds, which are the new generation's probation; another one is refused
//! meanwhile. The shell says `Done` when the first process has drained: the service goes on in the next.
//!
//! # State that survives an upgrade
//!
//! These two in `impl Service for Lines`, and the count goes on after `USR2`, too:
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service};
//! # use std::io::{BufRead, Write};
//! # struct Lines { count: u64 }
//! # impl Service for Lines {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//! #         self.count += 1;
//! #         Ok(input.len())
//! #     }
//! fn save(&self, out: &mut dyn Write) -> Result {
//!     write!(out, "{}", self.count)?;
//!     Ok(())
//! }
//!
//! fn load(&mut self, saved: &mut dyn BufRead) -> Result {
//!     let mut text = String::new();
//!     saved.read_to_string(&mut text)?;
//!     self.count = text.parse().map_err(|_| format!("{text:?} is no count"))?;
//!     Ok(())
//! }
//! # }
//! # let (old, mut new) = (Lines { count: 7 }, Lines { count: 0 });
//! # let mut saved = Vec::new();
//! # old.save(&mut saved)?;
//! # new.load(&mut saved.as_slice())?;
//! # assert_eq!(new.count, 7);
//! # assert!(new.load(&mut &b"seven"[..]).is_err());
//! # Ok::<(), heirloom::Error>(())
//! ```
//!
//! A `load` that answers an error is a program that cannot go on from here: the restart fails with these
//! words, and the old program serves on. What is counted in the probation is gone if the restart is
//! rolled back, since the old process has its own count.
//!
//! # A format that changes
//!
//! The next version knows more, or has given something up. State goes to it from the old program, and back if
//! it is rolled back: each of the two has to read what the other one writes. A codec that names its fields
//! does that by two words, `serde(default)`: what is not there has its default, what is not known is passed over.
//!
//! ```
//! # use heirloom::{Connection, Error, Origin, Result, Service, testing::Harness};
//! # use std::io::{BufRead, Write};
//! use serde::{Deserialize, Serialize}; // cargo add serde --features derive, and serde_json
//!
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(default)]
//! struct Version1 {
//!     count: u64,
//!     banner: String,
//! }
//!
//! /// Knows the longest line, and has no banner any more.
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(default)]
//! struct Version2 {
//!     count: u64,
//!     longest: usize,
//! }
//!
//! # trait Version: Default + Serialize + for<'a> Deserialize<'a> {
//! #     fn count(&mut self, length: usize) -> u64;
//! # }
//! # impl Version for Version1 {
//! #     fn count(&mut self, _: usize) -> u64 { self.count += 1; self.count }
//! # }
//! # impl Version for Version2 {
//! #     fn count(&mut self, length: usize) -> u64 { self.longest = self.longest.max(length); self.count += 1; self.count }
//! # }
//! # #[derive(Default)]
//! # struct Lines<V>(V);
//! # impl<V: Version> Service for Lines<V> {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//! #         let count = self.0.count(input.len());
//! #         write!(conn, "{count};")?;
//! #         Ok(input.len())
//! #     }
//! #     fn export(&self, _: &()) -> Option<Vec<u8>> { Some(Vec::new()) }
//! #     fn import(&mut self, _: &mut Connection<'_>, _: &[u8]) -> Result { Ok(()) }
//! fn save(&self, out: &mut dyn Write) -> Result {
//!     serde_json::to_writer(out, &self.0).map_err(Error::other)
//! }
//!
//! fn load(&mut self, saved: &mut dyn BufRead) -> Result {
//!     self.0 = serde_json::from_reader(saved).map_err(Error::other)?;
//!     Ok(())
//! }
//! # }
//!
//! let mut harness = Harness::new(Lines(Version1 { count: 0, banner: "hi".into() }));
//! let peer = harness.connect();
//! harness.feed(peer, b"one");
//! let mut harness = harness.restart(Lines(Version2::default()))?; // an upgrade,
//! harness.feed(peer, b"two");
//! assert_eq!(harness.service().0.longest, 3);
//! let mut harness = harness.restart(Lines(Version1::default()))?; // and the way back
//! harness.feed(peer, b"three");
//! assert_eq!(harness.take(peer), b"1;2;3;");
//! assert_eq!(harness.service().0.banner, ""); // version 2 had no place for it
//! # assert!(Lines(Version2::default()).load(&mut &br#"{"count":"many"}"#[..]).is_err());
//! # Ok::<(), heirloom::Error>(())
//! ```
//!
//! A field keeps its meaning for as long as it has its name; what means something else has another name.
//!
//! With the feature `serde` of this crate a [`ConnId`](crate::ConnId) can be such a field, or the name of a
//! [timer](crate::Timer): it leads to its connection in the next program, too.
//!
//! **Millions of items** want a codec that says nothing twice, and one item after the other. For each million of
//! 10 and 100 bytes, written and read on one machine: postcard took 83 and 91 ms, MessagePack without names
//! (`rmp-serde`) 89 and 194, bitcode 225 and 161, CBOR (`ciborium`) 151 and 577. postcard knows no names. So put a version in
//! front, refuse the others, and change it in two steps: a version that reads both formats and writes the old
//! one, and then one that writes the new one. The example `kv` is made like that (`records.rs` and `saved.rs` there).
//!
//! # A database
//!
//! What has to outlive the machine is in a file. The example `ledger` keeps accounts in SQLite; its clients post, and
//! `ok` means that it is written. It is this server with five things more:
//!
//! ```
//! # use heirloom::{Connection, Net, Origin, PerProcess, Result, Service};
//! # struct Book;
//! # impl Book { fn open() -> Result<Book> { Ok(Book) } fn close(self) -> Result { Ok(()) } }
//! struct Ledger {
//!     book: PerProcess<Book>, // 1. `PerProcess::new(Book::open)`: opened by whoever uses it
//! }
//!
//! # impl Service for Ledger {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! /// 2. No handle may be open while the process is copied. An `Err` refuses the fork.
//! fn before_fork(&mut self, _net: &mut Net) -> Result {
//!     self.book.take().map_or(Ok(()), Book::close)
//! }
//!
//! /// 3. This process serves on, with a handle of its own;
//! fn after_fork_in_parent(&mut self, _net: &mut Net) {
//!     let _ = self.book.get(); // the next request tries again
//! }
//!
//! /// 4. and so does the new one, or the restart fails and this one has never stopped. Where connections move nobody is
//! /// served until this returns: a client that connects slowly is left to its first use, or given a timeout.
//! fn after_fork_in_child(&mut self, _net: &mut Net) -> Result {
//!     self.book.get().map(drop)
//! }
//!
//! /// 5. Destructors do not run after a fork, so each process says goodbye here.
//! fn on_end(&mut self, _net: &mut Net) {
//!     let _ = self.book.take().map_or(Ok(()), Book::close); // the ledger logs an error
//! }
//! # }
//! # let mut ledger = Ledger { book: PerProcess::new(Book::open) };
//! # assert!(ledger.book.get().is_ok() && ledger.book.take().is_some_and(|book| book.close().is_ok()));
//! ```
//!
//! Without the second, the old process takes the journal away when it ends: the new one has no lock that
//! would keep it. It answers `ok` from then on, and writes into a file that has no name.
//!
//! **Old and new process write at the same time** while clients of both are connected. SQLite has that in order
//! between two handles: who finds the file locked waits (`busy_timeout`), and the loop with it, so transactions are short.
//! Nothing is kept in memory that the other process might change.
//!
//! **A client that gets no answer** does not know whether it was written. So each posting has an id of the client's own:
//! asked again, it is answered again and made once.
//!
//! **Somebody else is told**, here Redis, and the process may be killed in between. The posting's number in the file
//! is that of its entry in the stream, and Redis takes no number twice; so whoever comes next sends what is missing.
//!
//! A fork-exec needs none of the five: a new program opens the file itself. The ledger does so in `main`, so that a program
//! that cannot is refused by `--check`.
//!
//! # An operator
//!
//! With `.control("/tmp/lines.control")?` before `.run()`, and the program that `cargo install --path
//! ../heirloom` installs:
//!
//! ```sh
//! export HEIRLOOM_CONTROL=/tmp/lines.control
//! heirloom status
//! heirloom restart --fork-exec    # waits, and says how it went
//! heirloom rollback               # in those two seconds, from another terminal
//! ```
//!
//! Next: [fork against fork-exec](super::fork_or_exec).
