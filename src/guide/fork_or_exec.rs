//! Fork against fork-exec: what each engine carries over, what it costs, and when to use which.
//!
//! Both make the next generation of a server, speak the same protocol with it, and roll back in the
//! same cases. They differ in what the new process begins with.
//!
//! # How a restart works
//!
//! 1. The old process makes a new one, by `fork()` or by `posix_spawn()` of its own path, with a private
//!    socket between them. It goes on accepting. A fork-exec looks at the program first, and asks it, if
//!    so told ([`checked`](crate::Restart::checked)).
//! 2. A forked child has the listening sockets already. A new program is sent them, and
//!    [`listen`](crate::Server::listen) claims each, by its name or by where it is bound. Both have the *same* open sockets, with one
//!    accept queue: nothing is bound twice. One that the new program does not claim is closed at the
//!    commit, with a warning.
//! 3. The new side says `Ready`. If it fails, dies, or takes longer than 10 s, it is killed, and whoever
//!    asked is told why, with the last lines of a new program's stderr. That was all.
//! 4. The old side stops accepting, keeps its listeners open, and says `Released`. New clients wait in the
//!    queue.
//! 5. The new side accepts what waits. For 2 s it is on probation: if it dies, or says itself that it is
//!    not fit, the old one accepts again.
//! 6. It says `Committed`. The old side closes its listeners, serves the connections that have stayed, and
//!    exits when the last one has ended.
//!
//! What is at the program's path is looked up anew each time, and so is each link on the way: with releases in
//! directories of their own, `cd current && ./server` upgrades to the release that `current` leads to by
//! then. The log, [`Verdict::program`](crate::Verdict) and `heirloom restart` say which file that was, and
//! warn when it is the very file that runs already.
//!
//! # What differs
//!
//! | | [`Restart::fork`](crate::Restart::fork) | [`Restart::fork_exec`](crate::Restart::fork_exec) |
//! |---|---|---|
//! | system call | `fork(2)` | `posix_spawn(3)` |
//! | code | the same | what is at the program's path now |
//! | heap | all of it, shared page by page until one side writes | empty |
//! | `self` | as it was | what [`load`](crate::Service::load) makes of what [`save`](crate::Service::save) wrote |
//! | listeners | the same sockets | the same sockets, sent over a Unix socket |
//! | connections | stay; or [move](crate::Restart::move_connections) as they are | stay; or move, by [`export`](crate::Service::export) and [`import`](crate::Service::import) |
//! | threads | refused with more than one, or [`or_fork_exec`](crate::Restart::or_fork_exec) | any number |
//! | a [mailbox](crate::mailbox) | refused, or `or_fork_exec` | may exist |
//! | descriptors of the service's own | [shared](#what-else-the-service-holds) | not inherited |
//! | needs besides | | a program at its path |
//! | cost | grows with the heap | does not, but for a scribe's fork where there is state to save |
//! | told to the service | [`Start::Forked`](crate::Start::Forked), with those that have stayed | [`Start::Upgraded`](crate::Start::Upgraded) |
//! | use it to | reload: a new configuration, a warm cache | upgrade: a new version |
//!
//! # What becomes of the state
//!
//! | | a reload, by fork | an upgrade, by fork-exec | a roll back of either |
//! |---|---|---|---|
//! | `self` | as it was at the fork | what [`load`](crate::Service::load) makes of what [`save`](crate::Service::save) wrote | the old one's, with what has changed since the new one served, if its service [notes that](crate::Service::track_changes); if not, and connections move: what `load` makes of the new one's `save`; if they stay: as the old one left it |
//! | connections that move, and their sessions | as they are | by [`export`](crate::Service::export) and [`import`](crate::Service::import) | back, by `export` and `import`, and with them those that have come to the new side |
//! | connections that stay | the old process's, which tells them how long they have ([`on_drain`](crate::Service::on_drain)) | the old process's, as by fork | whose they are: those that have come to the new side stay there, and drain |
//! | alarms | as they are | those that [`on_start`](crate::Service::on_start) takes up | as the new side left them |
//! | holds, deferred work, messages | their process's | their process's | their process's |
//!
//! Where connections stay, old and new process serve beside each other, and each goes its own way: what clients
//! of the old process write is not seen in the new one, nor the other way round. Where that matters, connections
//! move.
//!
//! A roll back is a restart in the other direction, between two processes that live: nobody is served for as
//! long as it takes, up to [`max_downtime`](crate::Restart::max_downtime), and whoever was told by the new side
//! that something is done finds it done. If the old one cannot load it, or does not answer in time, the new one
//! goes on as if nobody had asked, and whoever has asked is told why.
//!
//! Only the **death** of a new side in its probation loses something, which is what it alone knew: all
//! that its service has accepted since it served, and the connections that it had
//! ([`Start::Resumed`](crate::Start::Resumed) names them). The old one goes on with
//! the state as it was when it handed over, and with the alarms as the new one had them. If it dies while it hands
//! back, what has been sent by then is not lost, and everything has been sent once the old side is asked to
//! serve. After the commit there is no old side to go back to.
//!
//! # What the new program may be
//!
//! The file at the program's path may be a script, as long as it ends with `exec`:
//!
//! ```sh
//! #!/bin/sh
//! ulimit -c unlimited
//! exec /opt/echo/bin/echo "$@"
//! ```
//!
//! The new generation is the process that the old one has started: that one it can watch, end and wait for. A
//! server that is a child of it (no `exec`, `setsid server &`, a pipeline, a program that goes into the
//! background) is refused, and the reason says so; the old generation serves on.
//!
//! # Connections that move
//!
//! ```
//! # use heirloom::{Connection, Origin, Restart, Result, Service};
//! # use std::io::{BufRead, Write};
//! // They go along, mid-message and mid-reply.
//! let upgrade = Restart::fork_exec().move_connections();
//!
//! # #[derive(Default)]
//! # struct Room { topic: String }
//! # type Session = String;
//! # impl Service for Room {
//! #     type Session = Session;
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> { Ok(String::new()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut Session, input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! /// What all share, for the next program ...
//! fn save(&self, out: &mut dyn Write) -> Result {
//!     out.write_all(self.topic.as_bytes())?;
//!     Ok(())
//! }
//!
//! /// ... which may refuse it: then nothing has happened.
//! fn load(&mut self, saved: &mut dyn BufRead) -> Result {
//!     self.topic.clear();
//!     saved.read_to_string(&mut self.topic)?;
//!     Ok(())
//! }
//!
//! /// One session; `None`: it stays here until it ends.
//! fn export(&self, session: &Session) -> Option<Vec<u8>> {
//!     Some(session.clone().into_bytes())
//! }
//!
//! fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<Session> {
//!     Ok(String::from_utf8_lossy(saved).into_owned())
//! }
//! # }
//! # let mut next = Room::default();
//! # let mut saved = Vec::new();
//! # Room { topic: "tea".into() }.save(&mut saved)?;
//! # next.load(&mut saved.as_slice())?;
//! # assert_eq!(next.topic, "tea");
//! # assert!(next.load(&mut &[0xff][..]).is_err());
//! # Ok::<(), heirloom::Error>(())
//! ```
//!
//! Where state and sessions are plain data, one line writes all four: with the feature `carried` (on by default),
//! `heirloom::carried! { version 1, state }` has them written down by [serde](https://serde.rs), and converts what an
//! older version has written.
//!
//! Unread input, unsent output (what [many wait for](crate::Connection::send_shared) once), timers, ids and half-closed ends go along by themselves; by fork the four
//! methods are not called, but at a roll back they are: what a service does not `export` stays with the new
//! process then, and drains. Until the new process serves, its death loses nothing; after that its
//! connections die with it.
//! `cargo bench --features benches --bench handover` measures for how long nobody serves.
//!
//! # How the state goes along
//!
//! By fork-exec [`save`](crate::Service::save) is called in a scribe: a fork of the old process, which serves as if
//! nothing were, while the new program reads what comes with [`load`](crate::Service::load). Nobody holds a second
//! copy. What the clients of the old process change meanwhile is another question:
//!
//! | connections | the service [notes what changes](crate::Service::track_changes) | the new program has | nobody is served |
//! |---|---|---|---|
//! | move | yes | everything | for the last changes and the move |
//! | move | no | everything | for the whole copy: [`max_downtime`](crate::Restart::max_downtime) |
//! | stay | yes | everything up to the end of the copy | not at all |
//! | stay | no | everything up to its beginning | not at all |
//!
//! Of 290 MiB in 300,000 entries, moved with connections, nobody was served for 773 ms without, and for 0.5 ms with
//! notes of what changes (the same machine as below); both processes together never had more than twice the
//! heap. Where there may be no fork, because of other threads or because the system refuses, the old process
//! writes by itself and serves nobody meanwhile; [`Steps::copied`](crate::Steps::copied) says so and why.
//!
//! # What it costs
//!
//! How long the call holds up the server, by the size of the heap. Measured on one machine (Linux 6.18,
//! x86-64, 2 cores): absolute times vary from machine to machine, the ratios are the point.
//!
//! | touched heap | `fork` | `fork`, heap on huge pages | `posix_spawn` | fork, then exec (`Command` with `pre_exec`) |
//! |---|---|---|---|---|
//! | 10 MiB | 0.29 ms | 0.17 ms | 0.20 ms | 0.8 ms |
//! | 256 MiB | 6.4 ms | 0.25 ms | 0.21 ms | 14 ms |
//! | 1 GiB | 20 ms | 0.6 ms | 0.25 ms | 48 ms |
//! | 4 GiB | 72 ms | 1.6 ms | 0.22 ms | 165 ms |
//!
//! The first three columns are this crate's restarts, medians of eleven. On yours:
//!
//! ```sh
//! cargo build --profile bench --example lab && cargo bench --features benches --bench restart
//! cargo run --release --example lessons -- fork-cost 10 256 1024 4096    # the system calls alone
//! ```
//!
//! A fork copies no page. It copies the page tables, 8 bytes for each page of 4 KiB that was touched,
//! and marks every page as shared. So the pause grows with the heap, and nearly vanishes where the heap
//! is on huge pages. The first column is of forks as they are ([`Prepare::off`](crate::Prepare::off)), the
//! second of a program that was started with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`. `posix_spawn` shares
//! the address space until the new program runs, and copies nothing. The last column is what a program pays that
//! forks in order to exec.
//!
//! **A large heap is prepared.** From 64 MiB on a fork, also that of a scribe, is made only when the heap has been collapsed into huge
//! pages (`MADV_COLLAPSE`, see `madvise(2)`), as far as the system allows it: its
//! `/sys/kernel/mm/transparent_hugepage/enabled` has to say `madvise` or `always`. A process beside the
//! server, which shares its memory and makes nothing but system calls, does it block by block with pauses,
//! while everybody is served. What it is worth, and what it costs, is in
//! [what it costs](super::what_it_costs#while-a-new-process-is-made):
//!
//! - It pays where the heap is large and clients feel a pause of tens of ms. The restart begins later by some
//!   seconds for each GiB; [`Prepare::within`](crate::Prepare::within) has the limit, and
//!   [`Prepare::off`](crate::Prepare::off) is for who has to begin at once.
//! - It takes a core one to three seconds for each GiB, and memory where a block had holes, or pages that another
//!   generation has as well. Near the limit of the machine or the control group it is not done.
//! - While both processes live, the first write to a huge page splits it, in the process that writes: then 4 KiB are
//!   copied, as ever. Four writes for each page of 2 MiB, all over the heap, and it is small again; so each fork is prepared
//!   anew, and only what is small by then (`lessons -- huge-pages`). Once the older process is gone, a write splits nothing.
//! - Where it cannot be done the fork is made as it is, and the verdict says why
//!   ([`Unprepared`](crate::Unprepared)).
//!
//! There is a second bill, which is paid in small coins: for as long as both processes live, the first
//! write to a page that they share copies it, 2 to 13 µs each. Where the old process is busy for long,
//! or the new one cleans up what it has inherited, memory doubles in the end. The child here closes its
//! parent's connections by number and gives their memory back in pieces, after it serves (`lessons --
//! copy-on-write`).
//!
//! For the same reason **who leaves forgets**: a process whose heap another one has runs no destructor of it.
//! The old process of a reload with 3 million keys (700 MiB) left with 15 to 19 ms of CPU time and 0.07 MiB
//! copied; when it dropped them, that was 2.9 to 4.1 s and all 697 MiB. And a database client that is
//! dropped says goodbye on the socket that the other process uses. So what must be written at the end is for
//! [`on_end`](crate::Service::on_end), which every process has that has served;
//! [`run`](crate::Server::run) has a table of what is forgotten. It is the same for the sessions of connections
//! that have stayed with the parent: a child forgets them, unless the service
//! [says](crate::Service::discard) that they own nothing but memory. It costs a child what they own there, from fork
//! to fork: 120 bytes for each session with a text of 100, nothing where they are dropped (measured over 40
//! reloads with 1,000 clients each).
//!
//! What fork-exec pays instead is the new program's own start: reading its configuration, filling its
//! caches. Meanwhile the old process goes on accepting, so that nobody waits for it.
//!
//! # Which one
//!
//! - **Only the code is new:** fork-exec. A fork would run the old code again.
//! - **The heap is worth more than the pause** (a cache that takes minutes to fill): fork, which
//!   is prepared beyond some ten MiB.
//! - **There are threads** (a thread pool, a client library that starts one): fork-exec. In a forked
//!   child only the calling thread lives on, and locks that others held are never released (`lessons --
//!   lost-lock`).
//! - **Many gigabytes, and no huge pages:** fork-exec with [`save`](crate::Service::save) and
//!   [`save_changes`](crate::Service::save_changes), as far as the state can be written down. The scribe is a fork as
//!   well: its pause is the one of the table above, once, and no other.
//!
//! Most servers use both:
//!
//! ```
//! use heirloom::Restart;
//! use std::time::Duration;
//!
//! // HUP: read the configuration again, keep the cache. With threads, be content with an upgrade.
//! let reload = Restart::fork().or_fork_exec();
//!
//! // USR2: the new version has to say first that it likes its configuration, and then has ten seconds in
//! // which to fail: if it dies in that time, the old one serves again and nobody was refused.
//! let upgrade = Restart::fork_exec().checked("--check").probation(Duration::from_secs(10));
//! assert_ne!(reload, upgrade);
//! ```
//!
//! # What a fork shares, and a fork-exec does not
//!
//! This is what makes forking a server difficult, and what the reactor does about it. Each line is a
//! lesson that can be run: `cargo run --example lessons -- NAME`.
//!
//! | shared or copied | what goes wrong | lesson |
//! |---|---|---|
//! | the epoll set | a child that deregisters takes its parent's events | `shared-epoll` |
//! | sockets | a close in the parent sends no FIN while the child has a copy | `missing-fin` |
//! | the parent's interest list | it is woken for connections that it has closed | `ghost-events` |
//! | the connection itself | a `shutdown` in the child ends it for both | `shutdown` |
//! | values that own a number | dropped late, they close what has the number by then | `stale-fd` |
//! | mio's notes about a socket | debug builds refuse it in another `Poll` | `rewrap` |
//! | buffered output | is written twice | `doubled-stdout` |
//! | guards | a child that fails removes its parent's files | `drop-guards` |
//! | locks | held for ever by a thread that is not there | `lost-lock` |
//! | a generator of random numbers | both give out the same ids | `equal-ids` |
//! | a database in a file | its log is deleted under the one that goes on | `deleted-wal` |
//! | a client's connection | one reads what the other has asked for | `crossed-answers` |
//! | a transaction | a drop in one rolls it back for both | `rolled-back` (`--features postgres`) |
//! | a subscription | a drop in one ends it for both, in silence | `silent-end` |
//!
//! # What a service holds
//!
//! The reactor looks after its own descriptors. What the service has beside them is shared or copied as well, and
//! nobody but its author knows of it. In short, and [crate by crate](super::what_a_service_holds):
//!
//! | the service holds | after a fork | what to do |
//! |---|---|---|
//! | a client of a database, a cache, an HTTP server; a TLS session | answers cross over, and who drops it says goodbye for both | [`PerProcess`](crate::PerProcess) |
//! | a timerfd, inotify, an eventfd, an io_uring | one queue, two readers | `PerProcess` |
//! | SQLite, LMDB, redb | locks and mapped memory that each takes for its own | close it in [`before_fork`](crate::Service::before_fork), open it in both ([a database](super::your_own#a-database)) |
//! | a file that is being written through a buffer | the buffer is written twice | write it in `before_fork` |
//! | random numbers, generators of ids | the same in both | [`after_fork_in_child`](crate::Service::after_fork_in_child), see below |
//! | threads | refused | fork-exec |
//!
//! Try it with connections that stay. Where they move, one process at a time uses what is shared, and all seems well until
//! a new one dies in its probation: the old one then goes on with a client whose conversation has gone on without it.
//!
//! ```
//! use heirloom::{Net, PerProcess, Result};
//! use std::net::TcpStream;
//! # struct Database;
//! # impl Database { fn close(self) -> Result { Ok(()) } }
//!
//! struct Shop {
//!     cache: PerProcess<TcpStream>, // each process connects when it first asks
//!     ledger: PerProcess<Database>, // a file, so it may not be open when the process is copied
//! }
//!
//! # impl Shop {
//! /// An `Err` refuses the fork, and `heirloom restart` says why.
//! fn before_fork(&mut self, _net: &mut Net) -> Result {
//!     self.ledger.take().map_or(Ok(()), Database::close)
//! }
//!
//! /// The first code of the service that runs in the new process.
//! fn after_fork_in_child(&mut self, _net: &mut Net) -> Result {
//!     rand::rng().reseed().map_err(|e| e.to_string())?;
//!     fastrand::seed(heirloom::fresh_seed());
//!     Ok(())
//! }
//! # }
//! # let mut shop = Shop { cache: PerProcess::new(|| Err("none".into())), ledger: PerProcess::new(|| Ok(Database)) };
//! # assert!(shop.ledger.get().is_ok() && shop.ledger.take().is_some() && shop.cache.get().is_err());
//! ```
//!
//! The old process serves on after the fork, and `PerProcess` opens there again at the next use. What is not in one
//! is opened in [`after_fork_in_parent`](crate::Service::after_fork_in_parent), which is called whatever comes of the fork. All callbacks of
//! a restart, in their order: [`Service`](crate::Service#the-callbacks-of-a-restart-in-their-order). The example `clients` does this with
//! PostgreSQL and Redis.
//!
//! ## Random numbers and ids
//!
//! | generator | in `after_fork_in_child` |
//! |---|---|
//! | `rand` from 0.9 on: `rand::rng()`, also a `ThreadRng` that is kept in a field, which is the thread's own | `rand::rng().reseed()` |
//! | `rand` 0.8: `thread_rng()` | nothing does it from outside, and its own protection comes 31 numbers late: draw from `OsRng`, or from a `StdRng` of your own |
//! | `fastrand` | `fastrand::seed(heirloom::fresh_seed())` |
//! | a generator in a field: `StdRng`, `SmallRng`, `oorandom`, `nanorand::WyRand` | make it anew, from [`fresh_seed`](crate::fresh_seed) or the system |
//! | `RandomState` of std, `ahash` | new maps have the keys that the parent's next ones have; nobody outside learns them |
//! | ids made with `rand` (`ulid`, `uuid` with `fast-rng`) | reseed the `rand` that they use |
//! | ids with a counter and a number of the process, drawn once (`bson::ObjectId`, `xid`, `nuid`, `cuid2`) | nothing does it from outside: take `uuid` v4 or v7, or put [`generation`](crate::Net::generation) into the id |
//! | `uuid` by default, `scru128`, `ring`, `openssl`, `nanoid` | nothing: they ask the system |
//! | [`Backoff`](crate::Backoff), and the spread of a drain | nothing: each process has its own |
//!
//! # What else the service holds
//!
//! The reactor looks after what it has opened itself. A database client, a file with a lock, a `timerfd` it does
//! not know, and a fork gives each of them to both processes: one stream with two readers, one offset, one lock.
//! So a process looks before it forks, and names each in the log and in
//! [`Verdict::inventory`](crate::Verdict): every descriptor that is not the reactor's, a standard stream, or
//! passed to the program by whoever has started it; memory that is shared and writable; and timers of
//! `timer_create(2)`, which the child would not have.
//!
//! ```text
//! WARN: restart: shares what heirloom does not know: descriptor 12: tcp to 10.0.0.5:5432 (from 10.0.0.2:40312)
//! WARN: restart: shares what heirloom does not know: descriptor 14: file /srv/app/db-wal (read, write; fcntl write 120-127)
//! ```
//!
//! What becomes of it is said by [`if_shared`](crate::Restart::if_shared): warn, as here, refuse, or start the
//! program instead. What is meant to be shared is said by name ([`shares`](crate::Server::shares)) or by
//! descriptor ([`shares_descriptor`](crate::Net::shares_descriptor)):
//!
//! ```
//! # use heirloom::{IfShared, Restart, Server, Service};
//! fn tune<S: Service>(server: Server<S>) -> Server<S> {
//!     server
//!         .restart_on(libc::SIGHUP, Restart::fork().if_shared(IfShared::Refuse))
//!         .shares("/var/log/app") // opened to append: each line is whole, whoever writes it
//! }
//! ```
//!
//! The look reads `/proc`, and costs 0.1 ms, and 0.4 ms with ten thousand connections (to list their descriptors
//! there would cost 8 to 60 ms). A fork-exec does not look: what is opened close-on-exec, as all that Rust opens is, is not inherited.
//! What a C library has opened without that flag before [`Server::new`](crate::Server::new) cannot be told from
//! what was passed to the program, and is not named. Nor is state that is no descriptor:
//! random numbers and ids.
//!
//! # When it fails
//!
//! | | fork | fork-exec |
//! |---|---|---|
//! | it would share what nobody has said that it may | a warning, or as [`if_shared`](crate::Restart::if_shared) says | cannot happen |
//! | the program is missing, or not executable | cannot happen | told before anything is started |
//! | it does not like its configuration | your [`on_start`](crate::Service::on_start) decides | [`checked`](crate::Restart::checked), or its exit status |
//! | it dies, hangs, or runs out of time before it is ready | the old one has never stopped accepting | the same |
//! | it dies in its probation | the old one accepts again at once | the same |
//! | it serves, and serves badly | [`roll_back`](crate::Net::roll_back), or `heirloom rollback`: the old one goes on with what the new one has accepted | the same, if the old program can read it |
//!
//! The reason is told to [`on_restart_ended`](crate::Service::on_restart_ended), to the log, and to
//! whoever has asked over the control socket; for a new program with the last lines of its stderr.
//!
//! Next: [what a service holds](super::what_a_service_holds).
