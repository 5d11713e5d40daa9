//! Limits and defaults: what a peer, a restart and a process may use, in bytes and in time.
//!
//! | what | default | change it by |
//! |---|---|---|
//! | nothing comes or goes | 60 s | [`idle_timeout`](crate::Server::idle_timeout) |
//! | first whole message | 10 s | [`first_message_timeout`](crate::Server::first_message_timeout) |
//! | the peer takes no output | 30 s | [`write_timeout`](crate::Server::write_timeout) |
//! | the peer's FIN after ours | 5 s | [`close_timeout`](crate::Server::close_timeout) |
//! | connections at a time, of each generation | 1,000,000; accepting resumes at 90 % | [`max_connections`](crate::Server::max_connections) |
//! | input kept for one message | 16 MiB | [`max_message`](crate::Server::max_message) |
//! | unsent output of one connection | 16 MiB | [`max_output`](crate::Server::max_output) |
//! | a new side is ready | 10 s; the same again for `on_start`, and to commit after its probation | [`Restart::ready_within`](crate::Restart::ready_within) |
//! | the state is copied to a new program, which serves nobody yet | 60 s, then the restart is given up | [`Restart::copy_within`](crate::Restart::copy_within) |
//! | a new side's probation | 2 s | [`Restart::probation`](crate::Restart::probation) |
//! | nobody serves connections that move | 2 s, then the restart is given up | [`Restart::max_downtime`](crate::Restart::max_downtime) |
//! | what clients have queued, in a move by fork-exec | 64 MiB; a connection that has no room stays; 16 KiB of each do not count | [`Restart::max_moved`](crate::Restart::max_moved) |
//! | a heap is prepared for a fork | from 64 MiB on, for 60 s at most, with 2 ms between two blocks of 2 MiB | [`Restart::prepare`](crate::Restart::prepare) |
//! | drain after a restart | all are told at once; after 1 h what is left is aborted | [`drain_on_restart`](crate::Server::drain_on_restart), [`Drain::spread`](crate::Drain::spread) |
//! | drain on stop | all are told at once; after 30 s what is left is aborted | [`drain_on_stop`](crate::Server::drain_on_stop), [`Drain::spread`](crate::Drain::spread) |
//! | generations at a time | 50; one more is refused | [`max_generations`](crate::Server::max_generations), [`dismiss_oldest`](crate::Server::dismiss_oldest) |
//! | input and output of one connection in one turn | 64 KiB each | fixed |
//! | output above which input is no longer offered, and at which it is again | 64 KiB, 32 KiB | fixed |
//! | accepts per listener in one turn | 64 | fixed |
//! | datagrams of one socket in one turn | 128, or 64 KiB and what the batch of 32 brings | fixed |
//! | a datagram | 64 KiB; a longer one is dropped and counted | fixed |
//! | unsent datagrams of one socket, and those on the way to an older generation | 1 MiB each; more are dropped and counted | fixed |
//! | a dial, the look-up of a name included | 10 s | [`dial_timeout`](crate::Server::dial_timeout) |
//! | one question to a name server, and how often each is asked | 5 s, twice | `resolv.conf(5)`: `timeout`, `attempts` |
//! | what was learned of names | 1,024 answers, for 1 s to 1 h; that there is nothing 5 min at most | fixed |
//! | names that are looked up at a time | 64; others wait | fixed |
//! | dialed connections to one address, or to one name | no limit | [`max_per_destination`](crate::Server::max_per_destination) |
//! | messages in a mailbox | what its maker says; more are refused | [`mailbox(capacity)`](crate::mailbox) |
//! | out of descriptors | accepting pauses until a connection ends, 500 ms at most | fixed |
//! | descriptors kept for operators and for a restart | 10, a third of what the process may have at most | fixed |
//! | a request on the control socket | 1 KiB | fixed |
//! | connections of the control socket | 32; one more takes the place of the one that was silent longest | fixed |
//! | what a process holds and does not know, before a fork | 128 are looked at, 32 described, 16 logged; others are counted | fixed |
//! | a new program's stderr, passed on until it commits | 1 MiB a second; what is missing is told | fixed |
//! | lines of one kind in the log, where others can cause them | 50 in 5 s; then they are counted | fixed |
//! | a supervisor makes another generation after a crash | 100 ms, doubling up to 30 s | fixed |
//!
//! A time counts from the moment in which it is set, and is over only when all that came within it was used. A
//! peer is called silent only for time in which it could have been heard: what a callback takes beyond 100 ms,
//! a stop (`SIGSTOP`), and the downtime of a restart do not count, nor does time in which the machine is suspended.
//! The other way round no limit can interrupt `save_changes`, `export` and `on_start`, nor `save` where
//! [no scribe](crate::CopiedBy) calls it. They are held as soon as the process can decide again, and the verdict and the
//! log say how long it was.
//!
//! The fixed ones have their reasons in [`limits`](crate::limits), the others in their methods. The soft limit on
//! open files is raised to the hard one.
//!
//! Next: [what it costs](super::what_it_costs).
