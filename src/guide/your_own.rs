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
