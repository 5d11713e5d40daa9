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
//! | needs besides | | a program at its path |
//! | cost | grows with the heap | does not, but for a scribe's fork where there is state to save |
//! | told to the service | [`Start::Forked`](crate::Start::Forked) | [`Start::Upgraded`](crate::Start::Upgraded) |
//! | use it to | reload: a new configuration, a warm cache | upgrade: a new version |
//!
//! After a fork both processes have the shared state, and each goes its own way from there: what clients
//! of the old process write is not seen in the new one, and what the new one has learned in its probation
//! is gone after a roll back. Where the first matters, connections move.
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
//! Unread input, unsent output, timers, ids and half-closed ends go along by themselves; by fork the four
//! methods are not called. Until the new process serves, its death loses nothing; after that its
//! connections die with it, and after a roll back they stay with it until they end.
//! `cargo bench --bench handover` measures for how long nobody serves.
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
//! cargo build --release --example lab && cargo bench --bench restart
//! cargo run --release --example lessons -- fork-cost 10 256 1024 4096    # the system calls alone
//! ```
//!
//! A fork copies no page. It copies the page tables, 8 bytes for each page of 4 KiB that was touched,
//! and marks every page as shared. So the pause grows with the heap, and nearly vanishes where the heap
//! is on huge pages: on a system whose `/sys/kernel/mm/transparent_hugepage/enabled` says `madvise`,
//! start the program with `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`. `posix_spawn` shares the address
//! space until the new program runs, and copies nothing. The last column is what a program pays that
//! forks in order to exec.
//!
//! There is a second bill, which is paid in small coins: for as long as both processes live, the first
//! write to a page that they share copies it, 2 to 13 µs each. Where the old process is busy for long,
//! or the new one cleans up what it has inherited, memory doubles in the end. The child here closes its
//! parent's connections by number and gives their memory back in pieces, after it serves (`lessons --
//! copy-on-write`).
//!
//! What fork-exec pays instead is the new program's own start: reading its configuration, filling its
//! caches. Meanwhile the old process goes on accepting, so that nobody waits for it.
//!
//! # Which one
//!
//! - **Only the code is new:** fork-exec. A fork would run the old code again.
//! - **The heap is worth more than the pause** (a cache that takes minutes to fill): fork, and huge
//!   pages beyond some hundred MB.
//! - **There are threads** (a thread pool, a client library that starts one): fork-exec. In a forked
//!   child only the calling thread lives on, and locks that others held are never released (`lessons --
//!   lost-lock`).
//! - **Many gigabytes, and no pause is allowed:** fork-exec with [`save`](crate::Service::save) and
//!   [`save_changes`](crate::Service::save_changes), as far as the state can be written down. The scribe is a fork as
//!   well: its pause is the one of the table above, once.
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
//!
//! Hash keys and the state of random number generators are the same in both processes as well; a
//! service for which that matters reseeds in [`on_start`](crate::Service::on_start).
//!
//! # When it fails
//!
//! | | fork | fork-exec |
//! |---|---|---|
//! | the program is missing, or not executable | cannot happen | told before anything is started |
//! | it does not like its configuration | your [`on_start`](crate::Service::on_start) decides | [`checked`](crate::Restart::checked), or its exit status |
//! | it dies, hangs, or runs out of time before it is ready | the old one has never stopped accepting | the same |
//! | it dies in its probation | the old one accepts again at once | the same |
//! | it serves, and serves badly | [`roll_back`](crate::Net::roll_back), or `heirloom rollback` | the same |
//!
//! The reason is told to [`on_restart_ended`](crate::Service::on_restart_ended), to the log, and to
//! whoever has asked over the control socket; for a new program with the last lines of its stderr.
//!
//! Next: [tasks and messages](super::tasks_and_messages).
