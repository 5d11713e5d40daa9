//! A server of your own: thirty lines in a crate beside this one, restarted under load.
//!
//! Beside the folder into which this one was cloned:
//!
//! ```sh
//! cargo new lines && cd lines
//! cargo add heirloom --path ../heirloom
//! cargo add libc                     # for the names of signals
//! ```
//!
//! and in `src/main.rs`:
//!
//! ```no_run
//! use heirloom::{Io, Origin, Restart, Result, Server, Service, codec};
//!
//! /// Counts the lines that all clients have sent.
//! struct Lines {
//!     count: u64,
//! }
//!
//! impl Service for Lines {
//!     type Session = (); // nothing to remember about a connection
//!
//!     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result {
//!         Ok(())
//!     }
//!
//!     fn on_data(&mut self, io: &mut Io<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!         let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!         self.count += 1;
//!         let (generation, text) = (io.net().generation(), String::from_utf8_lossy(line));
//!         io.send(format!("{generation}: line {} is {text}\n", self.count).as_bytes());
//!         Ok(taken)
//!     }
//! }
//!
//! fn main() -> Result {
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
//! cargo run --release &
//! (while echo hello | nc -N 127.0.0.1 7790; do :; done) &    # ends at the first failure
//! kill -HUP $(cat /tmp/lines.pid)    # a fork: the count goes on
//! kill -USR2 $(cat /tmp/lines.pid)   # the program anew: the count begins at one
//! kill -TERM $(cat /tmp/lines.pid)
//! ```
//!
//! That the count survives a fork-exec, too, takes [`save`](crate::Service::save) and
//! [`load`](crate::Service::load), two lines each. What the server says to the `log` crate, any logger
//! shows: `env_logger::init()` at the beginning of `main`.
