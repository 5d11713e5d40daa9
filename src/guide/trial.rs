//! A restart as a test: what clients notice of it, of anybody's server.
//!
//! `heirloom trial` asks no control socket. It restarts a server again and again, anybody's, while three sorts of clients
//! ask at fixed times, compares every byte that comes back, and says what they have noticed:
//!
//! ```sh
//! heirloom trial --address 127.0.0.1:8080 --protocol http --signal USR2 --pid-file /run/app.pid
//! heirloom trial --address 127.0.0.1:8080 --protocol http --signal HUP --pid-file /run/nginx.pid --until worker --may-close
//! heirloom trial --address 127.0.0.1:6379 --protocol redis --server 'redis-server --save ""' --again
//! heirloom trial --address unix:/run/app --send 'hi\n' --expect 'hi\n' --restart ./deploy --until 2 --format svg --output app.svg
//! ```
//!
//! # Who asks
//!
//! | clients | what they do | |
//! |---|---|---|
//! | new | so many each second: connect, ask once, leave | `--new` (200) |
//! | held | stay connected for the whole trial, and ask `--rate` (10) times a second each | `--held` (50) |
//! | pipelined | the same, with `--depth` (8) requests in one go | `--pipelined` (10) |
//!
//! Requests are counted, not connections: what was on its way when a connection broke counts each. A request that was
//! due while its client was busy is asked as soon as it is not, and its time counts from when it was due. Who has lost
//! the connection makes another when the next request is due.
//!
//! # What is noticed
//!
//! | noticed | what it was |
//! |---|---|
//! | `refused` | nobody listened (`ECONNREFUSED`, a Unix socket that is not there) |
//! | `unconnected` | no connection within `--timeout` (5 s), or no way to the host |
//! | `reset` | the connection was torn down (`ECONNRESET`, `EPIPE`) |
//! | `cut` | it ended before the answer did |
//! | `closed` | it ended in good order between two requests; with `--may-close` that is nothing to notice, as HTTP has it |
//! | `retried` | with `--may-close` only, and none of what counts: it ended without a byte of the answer, on a connection that had served before, and the client has asked again on another one ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-9.3.1), 9.3.1 and 9.3.2) |
//! | `wrong` | other bytes than `--expect`, a status of HTTP that is not 200 to 299, an error of redis, or bytes that nobody had asked for |
//! | `late` | the right answer, after more than `--late` (1 s) |
//! | `unanswered` | none within `--timeout` |
//! | `untried` | this side had no port or no descriptor left: the trial says nothing |
//!
//! Beside these the table has how long answers took in a restart and in the calm between two, and the longest time
//! without an answer, of each sort and of all: *nobody was served*. A restart lasts from when it is asked for until it is
//! seen that somebody else serves, and what comes within 100 ms of that belongs to it.
//!
//! # When a restart is over
//!
//! | a restart is over | by |
//! |---|---|
//! | when the pid file has another number | `--until pid`, which is meant where there is `--pid-file` |
//! | when the process has another newest child: nginx after HUP, a master of haproxy | `--until worker` |
//! | when a question has another answer; of HTTP it may be a path | `--who TEXT` |
//! | when the server that was ended and started `--again` answers | |
//! | after so many seconds, if nothing can be seen | `--until SECONDS` |
//!
//! A generation of ours refuses a restart while it is in its probation, so a signal needs a `--pause` that is longer; or let the
//! operator's command wait for it: `--restart 'heirloom --control /run/app/control restart' --pid-file /run/app.pid`. So may others'
//! need one: a master of haproxy has a new worker before it hears the next signal.
//!
//! `--server COMMAND` starts the server, one program; it and all that comes of it end with the trial. No other process is
//! ended, nor signalled but the one that `--signal` is for.
//!
//! # How exact it is
//!
//! A time without an answer is known to the time between two requests (`asked each`), and each time to
//! one turn of the trial's only loop; by how much that was late at worst is the last line. A machine that is busy is
//! seen in the calm as well, so look at both. The clients share no code with the library.
//!
//! # What comes of it
//!
//! The exit status is [one of the table](super::operating#the-program-heirloom). 0 means that all restarts were done as well, and 2 that it says
//! nothing about the server: a wrong option, a server that does not answer before anything is restarted, a restart of which nothing
//! is seen (`--patience`, 30 s), requests that could not be tried, INT or TERM; what is known is printed.
//!
//! `--format json` has all of it for programs (milliseconds; `at` is seconds from the start), `svg` a picture.
//! `cargo bench --features benches --bench peers -- --only restarts` is one trial each of heirloom, nginx, haproxy, redis, tokio and others.
//!
//! Next: [limits and defaults](super::limits_and_defaults).
