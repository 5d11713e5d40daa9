//! What a service holds: databases, caches, ids, logs, metrics, and what a restart does to each.
//!
//! A fork copies memory and shares descriptors. A library that holds either knows nothing of it, and most errors
//! are silent: both processes are told `Ok`. A fork-exec has none of this, and loses what nobody has saved
//! ([the last table](#what-a-fork-exec-loses)).
//!
//! How to find out what is in a server: `heirloom check` lists the descriptors and shared memory that a fork would
//! share, and [the verdict](super::fork_or_exec#what-else-the-service-holds) of each restart names them. What is in
//! memory alone (random numbers, counters, buffers) nobody can see from outside: for that there are these tables.
//!
//! There are three remedies, and each row names one:
//!
//! - **own**: put it into a [`PerProcess`](crate::PerProcess). The new process forgets it, and makes its own;
//! - **close**: close it in [`before_fork`](crate::Service::before_fork), open it again in both;
//! - **anew**: seed, flush or register in [`after_fork_in_child`](crate::Service::after_fork_in_child), or before the fork.
//!
//! All was measured on Linux 6.18 in November 2026, with the newest release of that month where no version is
//! named: a process with one thread uses the crate, forks, and both go on with it. "20,000 ids" are drawn by
//! both at the same time. Several rows are [lessons](super::fork_or_exec#what-a-fork-shares-and-a-fork-exec-does-not)
//! that can be run.
//!
//! # Databases
//!
//! | the service holds | after a fork | remedy |
//! |---|---|---|
//! | `postgres`, `mysql`: a client, a transaction | both use it: `UnexpectedMessage`, then `Closed` or EPIPE in both, for ever; who drops it says goodbye or ROLLBACK for both; the other's COMMIT answers Ok, and the row is gone (`lessons -- rolled-back`) | own; with a transaction under way refuse the fork. By an address or a Unix socket (`hostaddr=`): a host name starts a thread for 10 s, and the fork is refused meanwhile |
//! | `rusqlite` 0.43 (SQLite 3.54), WAL | who closes it deletes `-wal` and `-shm` under the other, whose commits answer Ok and go to a deleted file: gone if that process is killed (`lessons -- deleted-wal`); if it closes in peace, they are written over what a third has committed since | close |
//! | `redb` | both commit Ok, and one commit is gone; a drop in the child frees the file's lock for a third | close |
//! | LMDB (`heed`) | slots of readers collide; the child cannot open the same path again | close |
//! | `sled`, `fjall` | threads: the fork is refused | close, or fork-exec |
//!
//! # Caches, messages, connections
//!
//! | the service holds | after a fork | remedy |
//! |---|---|---|
//! | `redis` 1.8: a connection | answers cross over, all Ok (`lessons -- crossed-answers`) | own |
//! | `redis` 1.8: a `PubSub` | who drops it unsubscribes the other, in silence (`lessons -- silent-end`) | own |
//! | `ureq`, pools of HTTP connections | each gets the other's response, off by one, no error | own |
//! | TLS sessions (`rustls`, `openssl`) | when one has written, the other's next record is refused; and two writers repeat a nonce | own |
//! | `tungstenite` 0.30 | a child that closes its copy ends it for both: the peer reads `Close`, then that the connection is closed, and the parent's next send answers Ok | own |
//! | `lettre`'s pool, `rayon` | threads: the fork is refused | close, or fork-exec |
//! | `moka` 0.12 (`sync`), `quick_cache` 0.7, `lru` 0.19 | no thread, and each process has its own copy: an entry that the child makes is not in the parent's | none; what one process makes invalid stays valid in the other |
//!
//! # Random numbers and ids
//!
//! | the service holds | after a fork | remedy |
//! |---|---|---|
//! | the thread's generator of `rand` 0.8, 0.9, 0.10 | up to 31, 8,192, 8,192 of the next `u64` are equal in both (what is left until it seeds itself anew), then not | anew ([how](super::fork_or_exec#random-numbers-and-ids)) |
//! | `fastrand`, `nanorand`, `ahash`, `RandomState` of std, `oorandom` | equal for ever (`lessons -- equal-ids`) | anew |
//! | `uuid` 1.29, v4 with `fast-rng` | the next 4,095 are equal, then not | anew, by `rand` |
//! | `ulid` 3.0 | 5,460 of 20,000 have the same random part; where the millisecond is the same too, the whole is equal (0 to 4,921, by run) | anew, by `rand` |
//! | `rs-snowflake` 0.6, one machine number | 7,712 to 11,808 of 20,000 equal | anew, with another number: [`generation`](crate::Net::generation) |
//! | `bson` ObjectId, `xid`, `nuid`, trace ids of OpenTelemetry | 20,000 of 20,000 equal | an id with the generation in it |
//! | `cuid2`, `fastrace` | the same ids come from both | the same |
//! | `uuid` v4 and v7 by default, `scru128`, `uuid7`, `ring`, `openssl`, `nanoid` | never equal | none |
//! | `uuid` 1.29, v1 | none of 20,000 equal in three runs; the counter is copied, so it rests on the clock alone | v7 |
//!
//! # Logs, traces, metrics
//!
//! | the service holds | after a fork | remedy |
//! |---|---|---|
//! | `fern` 0.7, a log file | opened to append: 1,000 of 1,000 lines of two writers are whole | none |
//! | `tracing-appender` 0.2.5, `rolling::never` | 1,001 of 1,001 lines are there | none |
//! | `tracing-appender` 0.2.5, `non_blocking` | a thread: the fork is refused. By a bare fork, the child's 50 lines answered Ok and none was written | fork-exec |
//! | `syslog` 7.0 | the child's lines have the parent's pid: it is a field that was set once | anew |
//! | `flexi_logger`, files with numbers | both rotate: 192 of 400 lines lost | names with the time, or one rotates |
//! | `logroller`, `file-rotate` 0.8 | both rotate: an error, or with `file-rotate` an `assert!` that the next name is free, which panics | names with the time, or one rotates |
//! | `csv` 1.4, any `BufWriter` | 20 records that wait in it are in the file 40 times | anew: flush before the fork |
//! | `cadence` 1.8, `statsd` 0.16, over UDP | datagrams of both arrive, each whole | none |
//! | `cadence` 1.8, `BufferedUdpMetricSink` | what waits in it is sent by both: counted twice | anew: flush before the fork |
//! | `metrics-util` 0.20, its registry | no thread; the counter goes on from the copy in both (10, then 15 there and 11 here): the sum over processes counts the 10 twice | anew: clear it |
//! | `prometheus`, its process collector | the new process reports the old one, then nothing | anew |
//!
//! [`Net::counter`](crate::Net::counter) and [`Net::gauge`](crate::Net::gauge) have none of this: all generations, those that
//! drain included, count into one number ([numbers](super::operating#numbers)).
//!
//! # Files, signals, the system
//!
//! | the service holds | after a fork | remedy |
//! |---|---|---|
//! | `tempfile` 3.27: `NamedTempFile`, `TempDir` | who drops it deletes it for the other | forget (`std::mem::forget`), or own |
//! | tokio's `Child` with `kill_on_drop`, guards of locks | who drops it kills or unlocks for the other | forget |
//! | `memmap2` 0.9: `map_mut` of a file | what one writes the other reads; `map_anon` and `map_copy` are copies | close |
//! | locks of files | `flock` is shared: an unlock in one is both's. `fcntl` is kept by the parent alone, and lost if it closes any descriptor of that file | know which |
//! | `signal-hook` 0.4: `Signals` | no thread. A signal that came before the fork, and was not looked at, is seen by both | make it anew; the library's [`restart_on`](crate::Server::restart_on) needs none, nor does [`signal`](crate::Server::signal) |
//! | `timerfd`, inotify, an eventfd, a copied pipe | one queue, two readers | own, or handed on: [below](#descriptors-that-are-watched) |
//! | `notify` 8.2 | one thread more, which has ended after the drop: the fork is refused until then | close |
//! | `ctrlc`; tokio for 10 s after it has looked up a name or read a file | threads: the fork is refused | fork-exec |
//! | io_uring | one queue, two submitters; completions go to whoever looks first | own |
//! | tokio (`current_thread`), mio: a listener that the child drops or takes out | the parent's is silent for good, since the epoll set is one | own: never touch what was inherited |
//!
//! # Descriptors that are watched
//!
//! What [`Net::watch`](crate::Net::watch) was told of is told by [`on_ready`](crate::Service::on_ready) in the process that
//! has watched it, and in no other:
//!
//! | | by fork | by fork-exec |
//! |---|---|---|
//! | the watch | stays with the old process, which has it until it ends or unwatches; the new one begins with none | the same |
//! | the descriptor itself | in both, as one queue: an inventory names it, `watched as N` | in the old one alone, if it closes on exec |
//! | the reactor's copy of it | closed in the child | closed on exec |
//! | what comes before [`on_start`](crate::Service::on_start) for a watch of the new process | is told after it | the same |
//! | a roll back | the old process's watches have gone on; what it took back in [`on_retire`](crate::Service::on_retire) it watches again in `on_start(Resumed)` | the same |
//!
//! So that each event is handled by exactly one process, there are two ways. **Each its own:** a new process makes its own
//! in `on_start`, the old one unwatches and closes in `on_retire`, which comes before. Between the two nobody is
//! told, so the new one looks at the thing itself once it has begun to watch: the file behind an inotify
//! ([an example](crate::Service::on_ready)), the time behind a timer. It serves both engines. **Handed on,** by fork: the old
//! process unwatches in `on_retire`, and the new one watches the descriptor that it has inherited; what comes in between
//! waits in the kernel, and is told once ([an example](crate::Net::watch)). Say so to the inventory by
//! [`Net::shares_descriptor`](crate::Net::shares_descriptor). A process that retires and unwatches nothing reads beside the
//! new one, as long as it lives: some events are its, and some the other's.
//!
//! # What a fork-exec loses
//!
//! The new program begins with empty memory and with the descriptors that it is sent: its listeners, and the
//! connections that move. The old process lives until the last of its own has ended. What of these is needed
//! has to be in [`save`](crate::Service::save) and [`load`](crate::Service::load), or to be made again in
//! [`on_start`](crate::Service::on_start).
//!
//! | the old process had | the new program has | so |
//! |---|---|---|
//! | a cache | an empty one | save the keys that cost most, or let it fill, and mind who pays for that |
//! | counters, histograms | zero | a reader that takes rates (Prometheus) sees a reset; save what is a total |
//! | rate limits, bans, sessions of logins | none | save them: a restart is no amnesty |
//! | the counter of an id generator | its beginning | save it, or an id with the generation in it |
//! | the state of random numbers | a fresh one | nothing to do |
//! | a client of a database | none; the old one's goes on until it is dropped | make it when it is first used |
//! | prepared statements, temporary tables, `SET`, advisory locks, `LISTEN` of that client | none: they belong to the connection | make them with the client |
//! | a subscription | none; what is published in between is not sent again | subscribe before it serves, and read what may have been missed from where it is stored |
//! | an open transaction | it stays in the old process | end it there: [`before_fork`](crate::Service::before_fork) is not called, but a [hold](crate::Net::hold) keeps the process |
//! | alarms | none | [`on_start`](crate::Service::on_start) takes them up again |
//! | threads, and work in hand there | none | the old process ends it, under a hold |
//! | locks of files, of `flock` and of `fcntl` | held by the old process | take it with a wait, or after [`on_retire`](crate::Service::on_retire) there has let it go |
//! | temporary files | their names, if those were saved; the old one's destructor deletes them | put what must stay under a name of its own |
//! | child processes | no children of it: they stay the old one's (`wait(2)`) | save their ids, and watch them by `pidfd_open(2)` |
//! | memory of `memmap2`, memfd, timers of `timer_create(2)`, `mlock(2)` | none (`fork(2)`, `execve(2)`) | map and set them again |
//! | a buffer of a log | none; it is the old one's to flush | flush it in [`on_retire`](crate::Service::on_retire) |
//!
//! Next: [tasks and messages](super::tasks_and_messages).
