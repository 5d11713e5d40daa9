//! Coming from nginx, tableflip or tokio: the same things under other names.
//!
//! # The words
//!
//! | here | nginx | HAProxy | tableflip | Envoy |
//! |---|---|---|---|---|
//! | generation | a master and its workers | worker, by its number of reloads | process | restart epoch |
//! | old, new side | old binary, new binary | old, new worker | parent, child | parent, child |
//! | ready | the operator looks | the worker has started | `Ready()` | initialised |
//! | probation | until QUIT is sent to the old master | none | none | none |
//! | roll back | HUP to the old master, QUIT to the new | none | none | none |
//! | drain | WINCH, QUIT | `-sf` | `Exit()`, then the program's job | drain sequence |
//! | drain deadline | `worker_shutdown_timeout` | `hard-stop-after` | the program's job | `--parent-shutdown-time-s` |
//! | spread | none | `close-spread-time` | none | `--drain-strategy gradual` |
//! | most generations | none | `mworker-max-reloads` | 2 | 2 |
//!
//! # From nginx
//!
//! | to | nginx | heirloom |
//! |---|---|---|
//! | look whether the configuration is good | `nginx -t` | a flag of yours, with [`Server::dry_run`](crate::Server::dry_run); [`checked`](crate::Restart::checked) runs it before each upgrade |
//! | reload | `nginx -s reload`, HUP | HUP, if [`restart_on`](crate::Server::restart_on) says so, or `heirloom restart --fork` |
//! | upgrade the binary | USR2 to the master, then WINCH, then QUIT | USR2, or `heirloom restart --fork-exec`, which waits and says how it went |
//! | go back | HUP to the old master, QUIT to the new one | by itself, if the new one dies; or `heirloom rollback`, in its probation |
//! | stop when all is done | QUIT | TERM, or `heirloom drain` |
//! | stop now | TERM | TERM a second time, or `heirloom stop` |
//! | find the pid | `nginx.pid`, and `nginx.pid.oldbin` for the old one | one [pid file](crate::Server::pid_file): the generation that serves, or its [supervisor](crate::Server::supervised) |
//! | see the generations | `ps` | `heirloom status`, `heirloom top` |
//! | keep old workers from piling up | `worker_shutdown_timeout` | [`drain_on_restart`](crate::Server::drain_on_restart), [`max_generations`](crate::Server::max_generations) |
//!
//! Three differences to know. HUP and USR2 end the process, as they do in any program, until
//! [`restart_on`](crate::Server::restart_on) gives them a meaning. TERM drains here, and ends at once
//! there. And there is no master: the process that serves is the one that restarts, unless a
//! [supervisor](crate::Server::supervised) stands in front.
//!
//! ```no_run
//! # use heirloom::{Drain, Connection, Origin, Restart, Result, Server, Service};
//! # use std::time::Duration;
//! # struct Web;
//! # impl Service for Web {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! # }
//! # fn main() -> Result {
//! Server::new(Web)?
//!     .listen("0.0.0.0:80")?
//!     .pid_file("/run/web.pid")?
//!     .control("/run/web.control")?
//!     .restart_on(libc::SIGHUP, Restart::fork())
//!     .restart_on(libc::SIGUSR2, Restart::fork_exec().checked("-t"))
//!     .drain_on_restart(Drain::deadline(Duration::from_secs(300)).spread(Duration::from_secs(60)))
//!     .supervised()
//!     .run()
//! # }
//! ```
//!
//! # From tableflip
//!
//! The model is the same: the new process is a child of the old one, it inherits the listeners, and the
//! old one leaves when the new one is ready. What tableflip leaves to the program is done by the
//! reactor here.
//!
//! | tableflip | heirloom |
//! |---|---|
//! | `tableflip.New(Options{..})` | [`Server::new`](crate::Server::new), first thing in `main` |
//! | `upg.Listen("tcp", address)` | [`listen`](crate::Server::listen): the same socket if the old generation had it, by the address as you wrote it (also port 0) |
//! | `upg.Ready()` | said by [`run`](crate::Server::run), when everything was claimed and loaded |
//! | `upg.Upgrade()` | [`Net::restart`](crate::Net::restart), `restart_on`, `heirloom restart` |
//! | its error | the [`Verdict`](crate::Verdict) for [`on_restart_ended`](crate::Service::on_restart_ended) |
//! | `<-upg.Exit()`, then `server.Shutdown(ctx)` | [`on_retire`](crate::Service::on_retire), and `run` returns when the last connection has gone |
//! | `Options.UpgradeTimeout` (1 min) | [`ready_within`](crate::Restart::ready_within) (10 s) |
//! | `Options.PIDFile` | [`pid_file`](crate::Server::pid_file) |
//! | `upg.HasParent()` | [`Start`](crate::Start), or [`Net::engine`](crate::Net::engine) |
//! | `upg.Fds.AddConn`, `ConnState` | [`move_connections`](crate::Restart::move_connections), with unread and unsent bytes |
//! | `upg.Fds.AddFile`, `File` | not there; write down what you need with [`save`](crate::Service::save) |
//! | `upg.WaitForParent(ctx)` | not needed: an older generation that is still there does not keep this one from restarting, up to `max_generations` |
//! | the `testing` package | [`testing::Harness`](crate::testing::Harness) |
//!
//! # From tokio
//!
//! | tokio | heirloom |
//! |---|---|
//! | a task for each connection | a [`Session`](crate::Service::Session) for each connection: data, not a suspended function |
//! | `Arc<Mutex<State>>` | a field of the service; every callback has `&mut self` |
//! | `mpsc`, `broadcast` to other tasks | [`net.get(id)`](crate::Net::get)`.send(..)` |
//! | a map of `Arc<Mutex<Client>>`, to reach another client's state | a map of [`ConnId`](crate::ConnId), and [`net.session(id)`](crate::Net::session) |
//! | `read().await` in a loop, with a buffer | [`on_data`](crate::Service::on_data): the bytes are there, and what is incomplete is kept for you |
//! | `tokio_util::codec::Decoder` | a function from bytes to a message and its length, as in [`codec`](crate::codec) |
//! | `write_all().await` waits for the peer | [`send`](crate::Connection::send) queues; [`is_congested`](crate::Connection::is_congested), [`on_writable`](crate::Service::on_writable), and a hard limit |
//! | `time::timeout`, `sleep` | [`set_timer`](crate::Connection::set_timer) and [`on_timer`](crate::Service::on_timer); silence has [limits](crate::Timeouts) and [`on_idle`](crate::Service::on_idle), as Netty's `IdleStateHandler` |
//! | `TcpStream::connect().await` | [`dial`](crate::Net::dial), or `dial_host` with the feature `names`, then [`on_open`](crate::Service::on_open) with [`Origin::Dialed`](crate::Origin::Dialed) |
//! | `spawn_blocking` | not there: work that blocks belongs into another process |
//! | `select!` with a shutdown signal | [`on_drain`](crate::Service::on_drain), for each connection, with the reason and the time that is left |
//! | `CancellationToken`, `TaskTracker` | [`Net::hold`](crate::Net::hold) for work in hand that is no connection |
//! | `time::pause`, `advance` | [`Harness::advance`](crate::testing::Harness::advance) |
//!
//! Why not futures: a suspended future cannot be written down, so it cannot go to a new program, and
//! its locals are on nobody's list. A session stands at a boundary that you chose, between any two
//! callbacks; that is the moment at which a server can be restarted. A request and its reply look like
//! this in both:
//!
//! ```text
//! while let Some(line) = lines.next_line().await? {      // tokio
//!     let reply = state.lock().await.answer(&line);
//!     out.write_all(reply.as_bytes()).await?;
//! }
//! ```
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service, codec, testing};
//! # struct State;
//! # impl State {
//! #     fn answer(&mut self, line: &[u8]) -> String { format!("{}\n", line.len()) }
//! # }
//! # struct Server(State);
//! # impl Service for Server {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! fn on_data(&mut self, conn: &mut Connection<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!     let Some((line, taken)) = codec::line(input, 1024)? else { return Ok(0) };
//!     conn.send(self.0.answer(line).as_bytes());
//!     Ok(taken)
//! }
//! # }
//! # testing::every_split(|| Server(State), b"one\ntwelve\n", b"3\n6\n");
//! ```
