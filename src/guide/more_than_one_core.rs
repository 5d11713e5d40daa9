//! More than one core: several processes that serve, how a restart goes through them, and where that ends.
//!
//! # What one process does
//!
//! One process has one thread, and so one core. That is where nearly everything of this crate rests: state is a plain field, nothing
//! is locked, and a plain `fork()` is a snapshot. Before there are two processes, look whether one is busy (`top` shows
//! 100 %): an `http` from here answers some hundred thousand requests per second on a core ([what it costs](super::what_it_costs) has
//! the cost of each).
//!
//! # Workers
//!
//! ```no_run
//! # use heirloom::{Connection, Origin, Restart, Result, Server, Service, Workers};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! # }
//! # fn main() -> Result {
//! Server::new(Echo)?
//!     .workers(Workers::one_per_core().pinned())
//!     .listen("0.0.0.0:7777")?
//!     .restart_on(libc::SIGUSR2, Restart::fork_exec())
//!     .control("/run/echo/control")?
//!     .run()
//! # }
//! ```
//!
//! The process that was started becomes the [supervisor](super::operating#a-stable-pid), whose pid is the one to know, and each
//! worker is a server of its own behind it: a process with one thread, a service, connections, restarts. They share the address and
//! the program, and nothing else. The examples have `--workers N`:
//!
//! ```text
//! $ http --workers 2 --control /run/http/control &
//! $ heirloom status
//! worker generation      pid engine    phase                     age connections     oldest holds   private    shared  huge held
//!      0          0    16719 none      serving                 1.453           0          -     0      1.3M      8.8M    0% -
//!      1          0    16730 none      serving                 1.434           0          -     0      1.2M      9.0M    0% -
//! $ heirloom restart --fork
//! all 2 workers are replaced
//! worker=0 generation 1 is pid 16965, by fork, in 323.934193ms
//! ...
//! worker=1 generation 1 is pid 17030, by fork, in 312.198177ms
//! ```
//!
//! A service asks [`Net::worker`](crate::Net::worker) which one it is.
//!
//! # A restart, and a bad version
//!
//! A signal that asks for a restart, sent to the supervisor, or `heirloom restart` goes through the workers from 0 on. Each has its
//! check, its probation and its verdict before the next one is asked. The first that is not replaced ends it:
//!
//! ```text
//! $ heirloom restart --fork-exec; echo $?
//! heirloom: worker 0: restart: the program failed its check: exit status 3; its stderr ends: lab: no room.conf; worker 1 is as it was
//! 1
//! ```
//!
//! So a version that cannot serve costs one worker a restart, and one that fails in its probation has served a part of the clients for
//! that time. (A worker that crashes by itself meanwhile is made anew from the program at the path, whichever that is by then.) What was replaced before stays as it is: put the old program back, and restart. `heirloom rollback` reaches the worker
//! whose probation it is. There is one such restart at a time; one that the service asks for itself is its worker's alone.
//!
//! `heirloom --control /run/http/control.1` asks worker 1 by itself, and may restart it alone.
//!
//! # A crash
//!
//! One worker's crash is the end of its connections; the others do not notice. The supervisor starts another generation, after
//! 100 ms, and after twice as long each time it dies again soon, up to 30 s. Where each worker has a socket of its own, clients that the kernel
//! has put into the queue of the one that is gone **wait there** until then: of two workers that is half of those who come. None is
//! refused, since the supervisor has the socket open. A worker that dies again and again therefore makes a part of the clients wait for up to 30 s; whoever would
//! rather have the others take them says [`shared`](crate::Workers::shared).
//!
//! What clients notice when something is killed (SIGKILL), by `heirloom trial`; a debug build of `http`, on two cores that others kept busy:
//!
//! | | noticed | refused | nobody was served for, at most |
//! |---|---|---|---|
//! | the process that serves, five times in a row | 148 of 8,540 answers: its connections were reset or closed | none | 2.0 s, of which 1.6 s are the supervisor's delay before the fifth |
//! | the supervisor alone | nothing, in 3,445 answers | none | no longer than in calm |
//! | all of it, started again at once: what a service manager does when the supervisor is killed (`KillMode=control-group`) | 876 of 7,647 answers | 664 | 0.8 s |
//!
//! ```sh
//! serve="http --listen 127.0.0.1:8080 --supervised --pid-file /run/http.pid"
//! trial="heirloom trial --address 127.0.0.1:8080 --protocol http --new 50 --held 20 --pipelined 4 --pause 2 --may-close --timeout 20"
//! $trial --restarts 5 --server "$serve" --pid-file /run/http.pid --until worker --restart 'kill -9 $(pgrep -P $(cat /run/http.pid))'
//! $trial --restarts 1 --server "$serve" --until 2 --restart 'kill -9 $(cat /run/http.pid)'
//! $trial --restarts 5 --server "$serve" --signal KILL --again
//! ```
//!
//! So the death of the supervisor is no outage by itself, but what its manager makes of it is: the connections are lost with all the
//! rest, and clients are refused until the program has begun anew. A balancer's own crash is in [more than one machine](super::more_than_one_machine).
//!
//! # How the clients are dealt out
//!
//! By default each worker has a socket of its own at the address (`SO_REUSEPORT`), and the kernel chooses one for each client, by a hash of both
//! addresses. With [`shared`](crate::Workers::shared) all wait at one queue, and who is awake first takes what is there. Measured with two workers of `http`
//! on two cores of a machine that others used as well (`cargo bench --features benches --bench peers -- --only workers`):
//!
//! | | a socket for each | one queue |
//! |---|---|---|
//! | 50 connections that come at once, so many for each, in three runs | 27 and 23, 24 and 26, 22 and 28 | 25 and 25, **50 and 0, 50 and 0** |
//! | 1,000 connections | 603 and 397, 471 and 529, 542 and 458 | 525 and 475, 666 and 334, 586 and 414 |
//! | one is killed while 8 clients come and go: who waited 50 ms or longer | 8 requests of some 4,300, the longest 104 ms | none of some 6,000, the longest 31 ms |
//! | a client of a restart that fails or is refused (`tests/workers.rs`) | none | none |
//!
//! Connections that stay are what balance is about, and they stay where they came to: so the socket for each is the default. One queue is better where requests are
//! short-lived connections, or where one worker may be busy for long in a callback, since its clients go to the others.
//!
//! What a second worker brings, each beside a thread of load on its own core, with nothing else on the machine (`cargo bench --features
//! benches,tls --bench peers -- --only workers --rounds 3`; median and range):
//!
//! | `GET /`, 50 connections for each worker | rate of two to one | nginx 1.22, the same | CPU per request of two, ours / nginx |
//! |---|---|---|---|
//! | one request at a time | 1.63 (1.51 to 1.68) | 1.64 (1.55 to 1.66) | 0.73 (0.71 to 0.86) |
//! | 16 in one go | 2.00 (1.69 to 2.40) | 1.97 (1.45 to 2.06) | 0.09 (0.07 to 0.09) |
//!
//! So one request at a time costs 23 % more where both cores are busy, and with nginx 21 %: workers share nothing, but cores share caches, and
//! a kernel whose loopback takes most of such a request. Measure it on yours.
//!
//! # Where that ends
//!
//! | | |
//! |---|---|
//! | connections have nothing in common (`echo`, `http`, a proxy) | workers, as many as there are cores |
//! | they have a state in common that can be divided (`kv`: its keys) | one server for each part, at an address of its own, and clients or a proxy that choose by the key; each is restarted by itself |
//! | a state that cannot be divided, but is mostly read | workers, and a store beside them (a database, `redis`): what each keeps of it is a cache |
//! | all clients talk to all others (`chat`, `mqtt`) | one process; or a broker beside the workers that passes on what one says to the others' clients |
//!
//! A worker learns nothing from the others: a limit on connections and a cache is each worker's own, so N workers let in N times as many and fill N
//! caches. Counts are in common (`heirloom metrics` at the supervisor sums up all workers and all their generations), and what is so at the moment is told of each. A restart moves connections to the next generation of the same worker, never to another one.
//!
//! The number is decided when the supervisor starts. A new program that asks for another one is told so in the log, and to change it the server is stopped and
//! started anew; behind a balancer that is one machine of several.
//!
//! When all cores of a machine are busy, what comes next is a second machine ([more than one machine](super::more_than_one_machine)); and that one machine is one failure is a reason to have it before.
//!
//! # What an operator should know
//!
//! - Signals go to the supervisor: those that mean the end or something to the service are passed on to all workers, at once; those that ask for a restart go
//!   through them. A worker that is told to leave by itself (`kill -TERM` of its pid, `drain` at its own socket) ends the whole service, as with one.
//! - The exit status is that of the first worker, in their order, that ended with one other than 0.
//! - If the supervisor is killed (SIGKILL), the workers serve on, each by itself, and nobody makes them anew. `heirloom --control PATH.0` and so on reaches
//!   them; the pid file keeps the number of the one that is gone.
//! - To a service manager each says that it is ready, the first one first; the main process is the supervisor.
//! - One that hangs is shown as `silent` after 10 s, holds up neither the others nor their answers, and stops a restart. At the end of the service it is killed when
//!   the time of a [stop](crate::Server::drain_on_stop) is over.
