//! Operating a server: its status, restarts and roll backs, signals, pid files, and a pid that stays.
//!
//! # The program `heirloom`
//!
//! A server with [`.control(path)`](crate::Server::control) answers on a Unix socket that only its own user
//! may open. The socket passes from generation to generation, and the newest one knows all the others. The
//! program `heirloom` asks (`cargo install --path .`, or `cargo run --bin heirloom --`); here of a `chat
//! --control /run/chat/control --probation 5` with two guests, from a debug build:
//!
//! ```text
//! $ export HEIRLOOM_CONTROL=/run/chat/control
//! $ heirloom status
//! generation      pid engine    phase                     age connections     oldest holds   private    shared  huge held
//!          0    12060 none      serving                 1.742           2      1.022     0      2.4M      1.5M    0% -
//! $ heirloom restart
//! generation 1 is pid 12137, by fork, in 5.012749809s
//! made=0.138ms
//! ready=3.204ms
//! committed=5012.750ms
//! unprepared=a heap of 0 MiB is small
//! ```
//!
//! `huge` is how much of a process's own memory lies in pages of 2 MiB. Before a fork a heap of 64 MiB or more is
//! brought into such pages, while everybody is served: `status` shows the phase `preparing`, and the
//! verdict says how long it took (`prepared`), what was collapsed and left (in bytes), and, where it was not
//! done or not to the end, why (`unprepared`): see [fork against fork-exec](super::fork_or_exec#what-it-costs).
//!
//! Of an upgrade it also says how the state was copied (`copied`) and for how long the old process could do nothing
//! else for it (`saved`), and with `--move` for how long the
//! connections were not served (`downtime`). `restart` waits until the new generation has committed. Without a flag it does what the first
//! [`restart_on`](crate::Server::restart_on) says, with one what the first of that engine says. In a second
//! terminal, in the middle of a `heirloom restart --fork-exec`:
//!
//! ```text
//! $ heirloom status
//! generation      pid engine    phase                     age connections     oldest holds   private    shared  huge held
//!          2    12217 fork-exec probation               1.505           2      7.575     0      0.8M      3.3M    0% -
//!          1    12137 fork      released                6.547           0          -     0      0.7M      2.5M    0% -
//! $ heirloom rollback
//! generation 1 serves again
//! $ heirloom status
//! generation      pid engine    phase                     age connections     oldest holds   private    shared  huge held
//!          1    12137 fork      serving                 6.871           0          -     0      0.7M      2.5M    0% -
//!          2    12217 fork-exec draining                1.829           2      7.899     0      0.8M      3.3M    0% -
//! ```
//!
//! and in the first one, or with a program that is no good:
//!
//! ```text
//! $ heirloom restart --fork-exec; echo $?
//! heirloom: restart: rolled back: on request
//! 1
//! $ heirloom restart --fork-exec; echo $?
//! heirloom: restart: the program failed its check: exit status 3; its stderr ends: chat: no room.conf
//! 1
//! ```
//!
//! | command | what it does | it waits for |
//! |---|---|---|
//! | `status [--json]` | every living generation; times in seconds | the others' answers, 500 ms at most |
//! | `check [--json]` | what a restart by each engine would come to now; begins none | nothing |
//! | `metrics` | [numbers of all generations](#numbers), as a monitor reads them | the others' answers, 500 ms at most |
//! | `log [--json] [--follow] [--every SECONDS]` | [the last 384 things](#the-journal) that have happened to the whole service | nothing |
//! | `top [--every SECONDS] [--count N]` | the same, again and again | |
//! | `restart [--fork \| --fork-exec] [--move]` | a restart as a signal would ask for it; with `--move` established connections go along | its verdict |
//! | `rollback` | undoes the restart that is in its probation; what the new generation has accepted [goes back](super::fork_or_exec#what-becomes-of-the-state) | that the old generation serves again, or cannot |
//! | `wait [--timeout SECONDS]` | nothing: it [waits](#to-wait-for-the-end-of-it) | that one generation serves and no other is left |
//! | `wait --generation N [--timeout SECONDS]` | nothing | that this generation or a later one serves, and its probation is over |
//! | `drain` | for the time of a [lame duck](super::more_than_one_machine#how-a-machine-leaves), if there is one, accept; then all generations let in who has come, stop accepting, serve what they have, and exit | nothing |
//! | `stop` | all generations abort what they have, and exit | nothing |
//! | `trial --address ADDR` | what clients notice of a restart, of [anybody's server](super::trial) | the restarts |
//! | `completions SHELL` | what bash, zsh or fish reads to complete this command line | |
//! | `man [COMMAND \| --folder PATH]` | a page of the manual, or all of them into a folder | |
//!
//! `check` says whether a fork is possible, and what it would [share](super::fork_or_exec#what-else-the-service-holds);
//! and whether there is a program to start. Here of a service with a database client, that restarts by `fork`:
//!
//! ```text
//! $ heirloom check
//! restart    fork
//! fork       possible
//! fork-exec  possible
//! program    /srv/app/current/app (the file that runs already)
//! threads    1 (app)
//! mailboxes  0
//! unknown    2
//!   fd:12    tcp to 10.0.0.5:5432 (from 10.0.0.2:40312)
//!   fd:14    file /srv/app/db-wal (read, write; fcntl write 120-127)
//! ```
//!
//! `restart` is the engine that a restart uses which names none, or `refused`; then the exit status is 1. The answer to
//! `restart` has a line `unknown=` for each such thing, and `status --json` has them of every generation (`findings`).
//!
//! | exit status | |
//! |---|---|
//! | 0 | it was done; of a trial: nobody has noticed |
//! | 1 | the server refused or failed; of a check: a restart would be refused; of a trial: somebody has noticed |
//! | 2 | it could not be asked, done or shown: a wrong command line, no server, or one that says nothing |
//! | 3 | of a wait: its time was over first |
//! | 4 | of a wait: no server is there, or none any more |
//!
//! The reason is a line on stderr. A server that says nothing for 10 s could not be asked
//! (`--timeout SECONDS`; it has to be longer than connections may be frozen, see
//! [`max_downtime`](crate::Restart::max_downtime)): while a restart is waited for, it says by a heartbeat that
//! it turns. Where nobody reads its output (`heirloom top | head -1`) the program ends by SIGPIPE, without a word.
//!
//! After a move by fork-exec, the answer to `restart` has a line `moved_bytes=`: what all connections were
//! written down with. Where connections have stayed because their clients had queued more than
//! [moves](crate::Restart::max_moved), `kept_back=` has their number.
//!
//! The protocol is lines of text, one request, one reply, an empty line at its end: `echo status | nc -NU /run/chat/control`.
//!
//! Shells complete the command line after `heirloom completions bash > /usr/share/bash-completion/completions/heirloom`, and
//! `man(1)` has its pages after `heirloom man --folder /usr/local/share/man/man1`.
//!
//! # To wait for the end of it
//!
//! After `heirloom restart` the old generation still serves what it has. `heirloom wait` is over when it has ended, and all like it.
//!
//! ```sh
//! heirloom restart --fork-exec && heirloom wait --timeout 60 && rm -r /srv/app/previous
//! kill -HUP $(cat /run/app.pid); heirloom wait --generation 7      # until that one serves, and its probation is over
//! heirloom drain; heirloom wait --timeout 60; test $? = 4          # until all have left
//! ```
//!
//! The server answers when it is so, and no restart is under way; nothing is polled. Who is asked may be replaced, roll back, or
//! crash where a [supervisor](#a-stable-pid) makes another generation: the next one is asked. Of several workers each has to be so.
//! What a crash of the newest generation leaves behind drains unknown to the next one, as in `status`, and is not waited for.
//! Behind `wait` the `--timeout` is for all of it, and for ever by default; for the silence of the server it stands before the
//! command. A signal may be on its way when `wait` is asked, so say the generation.
//!
//! # Numbers
//!
//! With the feature `metrics`, `heirloom metrics` prints numbers in the text format of
//! [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/), and [`Server::metrics`](crate::Server) gives them by HTTP
//! (`GET /metrics`) to Prometheus and others. **They are the service's and not a process's**: a count goes on over restarts by either engine, a roll back and a crash, and has
//! in it what generations count that still drain. It never falls, so `rate()` shows no reset, and nothing is counted by
//! both sides of a fork.
//!
//! | | names (each count ends in `_total`) |
//! |---|---|
//! | connections | `heirloom_connections_opened{by}`, `_closed{reason}`, `_failed`, `_moved{direction}`; `heirloom_timeouts{timeout}`; `heirloom_tls_handshakes` |
//! | what they do | `heirloom_messages`, `heirloom_bytes{direction}`, `heirloom_system_calls{call}`, `heirloom_datagrams{outcome}` |
//! | the loop | `heirloom_turns`, the histogram `heirloom_turn_seconds`, `heirloom_panics`, `heirloom_accept_pauses`, `heirloom_deferred_pieces`, `heirloom_mails`, `heirloom_ticks_missed`, `heirloom_holds_expired` |
//! | restarts | `heirloom_restarts{engine,outcome}`, `heirloom_restart_steps{engine,step}` and `heirloom_restart_step_seconds{engine,step}`; `heirloom_state_bytes`, what a new program was given last |
//! | now, of each living generation | `heirloom_generations`, `heirloom_generation_info{generation,pid,engine,phase}`, `heirloom_generation_age_seconds`, `heirloom_connections`, `heirloom_holds`, `heirloom_descriptors`, `heirloom_resident_bytes`, `heirloom_memory_bytes{kind}` (private, shared) |
//!
//! Of several workers, whichever is asked tells of the generations of all, each with its `worker` as a label; one that has died
//! counts no more. Connections of operators and monitors are not counted. A service adds [counts](crate::Net::counter) and [gauges](crate::Net::gauge) of its own.
//! `examples/dashboard/grafana.json` is a dashboard for Grafana with all of it.
//!
//! The counts are words in a memfd that all processes of the service map. Each adds what it has counted once in a turn, by
//! one atomic addition for each number that has changed, so what a process has counted is there when it is killed, but for the
//! turn in which that happens. A new program finds the numbers by their names, and goes on with those that it knows; what
//! only an old version has counted stays as it was. A new program after one that has no such memory begins at zero, and
//! the log says so. A supervisor keeps the memory over a crash; the end of the whole service is the end of it.
//!
//! # The journal
//!
//! `heirloom log` tells what has happened to the whole service, in whichever generation:
//!
//! ```text
//! $ heirloom log # of a debug build, on a machine that was busy
//! 2026-11-29T11:15:27Z  start      generation 0, pid 20278; /srv/chat, build 104798e31d03, of 2026-11-29T11:00:30Z
//! 2026-11-29T11:15:29Z  restart    generation 1 by fork, committed, pid 20296, by SIGHUP from pid 20277 (uid 0); made 0.134 ms, ready 13.801 ms, committed 1017.914 ms, downtime 14.909 ms; /srv/chat, build 104798e31d03, of 2026-11-29T11:00:30Z
//! 2026-11-29T11:15:30Z  rollback   generation 2, pid 20323, by a command from pid 20341 (uid 0); on request
//! 2026-11-29T11:15:30Z  restart    generation 2 by fork-exec, rolled_back, by a command from pid 20319 (uid 0); made 11.908 ms, ready 49.397 ms, saved 0.261 ms, downtime 12.970 ms; /srv/chat, build 104798e31d03, of 2026-11-29T11:00:30Z; restart: rolled back: on request
//! ```
//!
//! | entry | for |
//! |---|---|
//! | `start` | the begin of the service |
//! | `restart` | each restart with its outcome, also one that failed, with the last words of the program; and one after a crash, by the [supervisor](#a-stable-pid) |
//! | `rollback` | each request to roll back |
//! | `lame_duck` | a service that is told to end, and accepts for a while |
//! | `drain` | the begin of a process's leave: why (`restart`, `roll_back`, `stop`), how many connections it has, how long it may take |
//! | `drained` | its end: `empty`, or how many connections were cut since the time was over (`deadline`) or because it was to go at once (`stop`); how long it took |
//! | `died` | a generation that has ended by a signal or with another status than 0, told by its supervisor, or else by the process that has made it |
//!
//! An entry of a restart and of a stop has who has asked: the sender of the signal, or the operator's process as the kernel vouches for it, by
//! its pid, its user, and its name if it was still there; where a supervisor passes on a signal or a request, who has sent it to the supervisor. A
//! restart has the time of each step, and which program: its path, when it was written, and its build id where the linker has put one in
//! (`--build-id` of `ld(1)`). Of several workers each entry says which one it is about. `--json` has more fields,
//! `--follow` goes on with what comes (one object a line, with both). The last 384 entries are kept, in the same memory as
//! the numbers, until the last process of the service ends; of requests that are refused in a row the first one.
//!
//! # How a service ends
//!
//! Told to drain, the serving generation first lets in who waits: every client in an accept queue, up to
//! [`max_connections`](crate::Server::max_connections), and every datagram in a buffer. Then the listeners
//! close and new clients are refused. The control socket stays to the last: `status` says how many
//! connections are left, in older generations too, and `stop` ends them now. Whoever is ended with output
//! that has not left sees a reset; whoever had everything sees a FIN.
//!
//! # Signals
//!
//! | signal | the examples | a [`Server`](crate::Server) by itself |
//! |---|---|---|
//! | HUP | restart by fork | ends the process, until it is given a meaning |
//! | USR2 | restart by fork-exec | the same |
//! | TERM, INT | drain, exit within 30 s; a second one: exit now | the same as the examples |
//!
//! A signal is given a meaning once: [`restart_on`](crate::Server::restart_on) makes it ask for a restart, and
//! [`signal`](crate::Server::signal) has the service told of it: USR1 to open a log anew, HUP to read a configuration
//! again without a new process, CHLD, WINCH, or one of the real-time signals.
//!
//! | a signal that comes | is told |
//! |---|---|
//! | between [`Server::new`](crate::Server::new) and [`on_start`](crate::Service::on_start) | after `on_start`, in that process; a new side has it waiting from its first instruction on, since the old one has it blocked |
//! | to the old side while connections move | when they have gone, or have come back; to no other process |
//! | to a process that was replaced | there, as long as it lives |
//! | again, while one of its kind waits | once for both; real-time signals (`SIGRTMIN` and above) each (`signal(7)`) |
//! | to a [supervisor](#a-stable-pid) | by the generation that serves |
//!
//! **One that nobody has claimed** does what it does to any program. Where it ends the process, and somebody must
//! have sent it (HUP, INT, QUIT, USR1, USR2, ALRM, VTALRM, PROF, XCPU, IO, PWR and the real-time signals), the pid file,
//! the control path and the paths of Unix sockets are removed before, unless a newer generation or a supervisor has
//! them; nothing is drained, no callback comes, and the process dies by that signal, with its core file if it makes
//! one. It is heard between two callbacks: a server that hangs is ended at once by ABRT or KILL. These, the
//! signals that tell of a fault (SEGV, BUS and others) and PIPE leave behind what is there, and
//! [the next start](#which-process-it-is) puts up with it. What is ignored or blocked as the program starts stays so,
//! in a program that takes over as well; a handler that somebody has installed is left alone, also one that
//! comes later, which has its first signal by a detour and all others at once.
//!
//! # The command line of the examples
//!
//! `demo`, `lessons` and `dashboard` have their own (`--help` lists it). The others share one:
//!
//! | flag | |
//! |---|---|
//! | `--listen ADDR` | `host:port`, `unix:/path`, `unix:/path,mode=660,owner=USER,group=GROUP`, `unix:@name` or `systemd:NAME`; repeatable |
//! | `--datagrams ADDR` | `host:port`, `unix:/path` (with a mode and so on) or `unix:@name`: datagrams; repeatable |
//! | `--pid-file PATH` | the process id of the generation that serves, or of its supervisor |
//! | `--control PATH` | the operator's socket; `@name` is in no file system |
//! | `--health ADDR`, `--agent-check ADDR` | answers monitors: `/livez` and `/readyz` by HTTP, HAProxy's agent check ([which](super::more_than_one_machine)); repeatable |
//! | `--metrics ADDR` | gives [numbers](#numbers) to monitors, by HTTP; repeatable; needs the feature `metrics` |
//! | `--lame-duck SECONDS` | for so long a server that is told to leave accepts before it drains (0) |
//! | `--probation SECONDS` | how long a new generation serves before the old one lets go (2) |
//! | `--move`, `--no-move` | established connections go along, or stay; `chat` and `kv`, whose clients share state, move them by default, and `http`, whose clients may be silent for long between two requests |
//! | `--listen-tls ADDR` | as `--listen`, with TLS; repeatable |
//! | `--tls-cert PATH`, `--tls-key PATH` | a certificate and its key (PEM), for `--listen-tls`, or where there is none for `--listen`; needs the feature `tls` |
//! | `--tls-self-signed` | a certificate of our own in their place, to try it |
//! | `--supervised` | a process with a stable pid in front |
//! | `--workers N` | so many processes serve behind it; `echo`, `http` and `flows`, whose clients have nothing in common |
//! | `--pinned`, `--shared` | each of them on a core of its own; all from one accept queue |
//! | `--check` | only look whether the rest makes sense; an upgrade runs the new program with it first |
//!
//! `RUST_LOG` sets how much is logged, by subject if you like: `heirloom::net` (connections and listeners),
//! `heirloom::restart`, `heirloom::drain`, `heirloom::tasks` (holds, work, mail), `heirloom::control`,
//! `heirloom::supervisor`, `heirloom::system` (signals, pid file, service manager). With the examples, a wrong command line, an address in use or a
//! missing directory is one line and exit status 2.
//!
//! # The log
//!
//! heirloom logs through the `log` crate; what is written, and where, is the program's choice. The examples take
//! env_logger with [`logging::Stderr`](crate::logging::Stderr), which waits for no reader: a stderr that is
//! full costs lines, and these are counted and told. With a writer that waits, as most loggers have, a reader
//! that hangs stops the server. Lines that others can cause at will are
//! [counted when they are many](crate::logging#the-librarys-own-lines).
//!
//! Where stderr is the journal of systemd, the examples tell it what each record is made of
//! ([`logging::Journal`](crate::logging::Journal)): `journalctl EVENT=restart OUTCOME=committed`. Loggers that know key-values (the
//! `kv` of the `log` crate) have the same from the same records.
//!
//! A callback that panics is caught, and ends
//! [what it was about](crate::Service#a-callback-that-panics): mostly one connection, whose line is at level error.
//!
//! # What whoever starts it leaves behind
//!
//! | left behind | what becomes of it |
//! |---|---|
//! | signals that are ignored (`nohup(1)`) or blocked | those that have a meaning are heard; the others stay ignored or blocked, also after an upgrade |
//! | `SIGCHLD` ignored | not ignored any more: how a new program ended is told |
//! | a limit on the size of files (`ulimit -f`) | a write beyond it is an error: a state that is longer fails the restart, not the server |
//! | stdin, stdout, stderr closed | Rust opens `/dev/null` in their places, so no socket gets a number below 3 |
//! | `O_NONBLOCK` on stderr | left as it is; what does not fit is dropped like with any stderr |
//! | a umask of zero | the control socket is its owner's alone; a pid file and Unix sockets have the mode that the umask lets them |
//! | a soft limit on open files | raised to the hard one |
//!
//! # Which process it is
//!
//! The process id changes at each restart, since a restart makes a new process. Three ways to know it:
//!
//! - Follow the pid file ([`pid_file`](crate::Server::pid_file)). It holds the number of the generation that
//!   serves; a roll back writes the old number again. Whoever serves holds it by a lock, so a second
//!   server with the same pid file is refused, and one that a crash has left is in nobody's way.
//! - Let systemd follow: it is told ([under systemd](super::systemd_and_containers)).
//! - Take a supervisor.
//!
//! ## A stable pid
//!
//! Where a pid that changes will not do, put a supervisor in front:
//!
//! ```no_run
//! # use heirloom::{Connection, Origin, Restart, Result, Server, Service};
//! # struct Echo;
//! # impl Service for Echo {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! # }
//! # fn main() -> Result {
//! Server::new(Echo)?
//!     .listen("0.0.0.0:7777")?
//!     .restart_on(libc::SIGUSR2, Restart::fork_exec())
//!     .supervised()
//!     .run()
//! # }
//! ```
//!
//! The process that was started never serves. It starts the program once more, and from then on
//!
//! - its pid is the one to know: the pid file holds it, and [signals](#signals) that are sent to it, those with
//!   a meaning and those that would end it, go to the generation that serves, whichever it is;
//! - it holds the listeners, so a crash of the server refuses nobody: clients wait in the accept queue until
//!   the program at its path was started again, after 100 ms, then 200 ms, up to 30 s, and after 100 ms again
//!   once the service has gone on for 10 s. Older generations that still drain are not touched;
//! - what was told to leave is not made anew: a server that crashes while it is a
//!   [lame duck](super::more_than_one_machine#how-a-machine-leaves), whoever has told it, ends the service, with the status of that crash;
//! - it reaps orphans, and ends with the exit status of the last generation that served, 128 + n for
//!   signal n.
//!
//! So runit, supervisord or a shell keep track of the server, and a container may have it as its first
//! process.
//!
//! With [`workers`](crate::Server::workers) several processes serve behind it: [more than one core](super::more_than_one_core).
//!
//! After a crash the program that is on disk runs, which may be newer than the one that has crashed. A
//! service whose first generation never serves ends with that one's exit status: to try again is then the
//! business of whoever has started it. Should the supervisor itself be killed (SIGKILL), the server serves
//! on, without one, and the pid file holds the server's pid from the next restart on.
//!
//! # What it needs of Linux
//!
//! 64-bit Linux, with `epoll(7)`, `signalfd(2)`, `memfd_create(2)`, `pidfd_open(2)` (Linux 5.3),
//! `close_range(2)` (5.9, with a fallback), `SCM_RIGHTS` (see `unix(7)`), and `posix_spawn(3)` with a change of
//! directory (glibc 2.29). Rust 1.91 or later. A fork is prepared from Linux 6.1 on (`MADV_COLLAPSE`), at its best
//! from 6.7 on (`PAGEMAP_SCAN`).
//!
//! - A child that was forked shares memory until one side writes to it; a busy heap is copied in the end.
//!   `heirloom status` shows what each generation has for itself.
//! - A program that uses threads starts them after [`Server::new`](crate::Server::new), and restarts by
//!   fork-exec.
//! - The soft limit on open files is raised to the hard one.
//!
//! Next: [under systemd and in containers](super::systemd_and_containers).
