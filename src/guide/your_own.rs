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
//!         let (generation, text) = (conn.net.generation(), String::from_utf8_lossy(line));
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
//! Where all that is to survive is plain data, in one field or as the service itself, `heirloom::carried! { version 1, field }`
//! or `heirloom::carried! { version 1 }` in the `impl Service` is all of what follows, for the sessions as well (feature
//! `carried`, on by default; the example `mqtt` is written so). By hand:
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
//! # Finding a connection by a name
//!
//! A client says who it is, and others find it by that: a map in the service leads from the name to a
//! [`ConnId`](crate::ConnId), and [`Net::session`](crate::Net::session) or [`Net::with`](crate::Net::with) from there to what the
//! connection remembers. Who says the name of somebody who is here takes over from that one:
//!
//! ```
//! use heirloom::{ConnId, Connection, Net, Origin, Reason, Result, Service, Start, codec, testing::Harness};
//! use std::{collections::HashMap, io::Write};
//!
//! #[derive(Default)]
//! struct Session {
//!     name: String,
//!     told: usize, // messages
//! }
//!
//! #[derive(Default)]
//! struct Post {
//!     names: HashMap<String, ConnId>,
//! }
//!
//! impl Post {
//!     fn log_in(&mut self, conn: &mut Connection<'_>, session: &mut Session, name: &str) {
//!         session.name = name.to_owned();
//!         let old = self.names.insert(name.to_owned(), conn.id());
//!         let Some(old) = old.filter(|&old| old != conn.id()) else { return };
//!         if let Some(theirs) = conn.net.session::<Session>(old) {
//!             session.told += theirs.told; // goes on with what the other one had
//!         }
//!         if let Some(mut old) = conn.net.get(old) {
//!             old.send(b"you are here from somewhere else\n");
//!             old.close();
//!         }
//!     }
//!
//!     fn tell(&mut self, conn: &mut Connection<'_>, name: &str, text: &str) {
//!         let told = self.names.get(name).and_then(|&id| {
//!             conn.net.with(id, |conn, session: &mut Session| {
//!                 session.told += 1;
//!                 let _ = writeln!(conn, "{}: {text}", session.told);
//!             })
//!         });
//!         conn.send(if told.is_some() { b"told\n" } else { b"nobody\n" });
//!     }
//! }
//!
//! impl Service for Post {
//!     type Session = Session;
//!
//!     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
//!         Ok(Session::default())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Connection<'_>, session: &mut Session, input: &[u8]) -> Result<usize> {
//!         let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!         let line = String::from_utf8_lossy(line);
//!         match line.split_once(' ') {
//!             Some(("i-am", name)) => self.log_in(conn, session, name),
//!             Some((name, text)) => self.tell(conn, name, text),
//!             None => return Err("a name and a text".into()),
//!         }
//!         Ok(taken)
//!     }
//!
//!     fn on_close(&mut self, _net: &mut Net, id: ConnId, session: Session, _why: Reason) {
//!         if self.names.get(&session.name) == Some(&id) { // and not somebody else's by now
//!             self.names.remove(&session.name);
//!         }
//!     }
//!
//!     // A map that is made of those who arrive needs no `save`.
//!     fn export(&self, session: &Session) -> Option<Vec<u8>> {
//!         Some(format!("{} {}", session.told, session.name).into())
//!     }
//!
//!     fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Session> {
//!         let text = String::from_utf8_lossy(saved);
//!         let (told, name) = text.split_once(' ').ok_or("not a session")?;
//!         let told = told.parse().map_err(|_| "not a number")?;
//!         if !name.is_empty() {
//!             self.names.insert(name.to_owned(), conn.id());
//!         }
//!         Ok(Session { name: name.to_owned(), told })
//!     }
//!
//!     /// Those who have not come along, and those who have gone while another process had them.
//!     fn on_start(&mut self, net: &mut Net, _start: Start) {
//!         self.names.retain(|name, id| {
//!             net.session::<Session>(*id).is_some_and(|session| session.name == *name)
//!         });
//!     }
//! }
//!
//! let mut harness = Harness::new(Post::default());
//! let [ann, bob, again] = [harness.connect(), harness.connect(), harness.connect()];
//! harness.feed(ann, b"i-am ann\n");
//! harness.feed(bob, b"ann hello\n");
//! harness.feed(again, b"i-am ann\n");
//! assert_eq!(harness.take(ann), b"1: hello\nyou are here from somewhere else\n");
//! assert!(harness.is_closed(ann));
//! let mut harness = harness.restart(Post::default())?;
//! harness.feed(bob, b"ann are you there?\n");
//! assert_eq!(harness.take(again), b"2: are you there?\n");
//! # assert_eq!(harness.take(bob), b"told\ntold\n");
//! # harness.finish(again);
//! # harness.feed(bob, b"ann gone?\n");
//! # assert_eq!(harness.take(bob), b"nobody\n");
//! # Ok::<(), heirloom::Error>(())
//! ```
//!
//! What a restart does with the map, and why `on_start` looks through it:
//!
//! | restart | the map, and what it leads to |
//! |---|---|
//! | fork, connections [move](crate::Restart::move_connections) | it is in the heap, and a connection keeps its id; one that [stays](crate::Service::on_move) is not found in the new process |
//! | fork, they stay | it is in the heap, and leads nowhere: `on_start` empties it. Old clients are found by old clients, in the old process |
//! | fork-exec, they move | `import` makes it anew, in any order; an id leads to its connection before that one is imported, to its session only then |
//! | fork-exec, they stay | it is empty |
//! | a roll back | the old process has the map of the moment of the copy; `import` adds those who come back, `on_start` takes out those who went meanwhile |
//!
//! Where connections stay, a name may be taken twice for the time of the drain: once in each process, unless these
//! [tell each other](crate::Net::tell) who has come. [`Net::tell`](crate::Net::tell) has this very case as its example.
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
