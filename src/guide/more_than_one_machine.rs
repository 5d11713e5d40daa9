//! More than one machine: behind a balancer, and on Kubernetes. What monitors are told, how a machine leaves, and the sums.
//!
//! [Workers](super::more_than_one_core) use all cores of one machine, and one machine is one failure. heirloom makes no cluster; it is a good citizen of those that there are: a server says how it is
//! to whoever asks, through every restart, and when it has to go it says so before it closes its doors.
//!
//! # Which restart
//!
//! | | restart in place | rolling update: other machines, pods |
//! |---|---|---|
//! | connections | stay, or move; none is closed | end, and come again elsewhere |
//! | the heap | by fork it goes along, warm | every cache is cold |
//! | takes | milliseconds, and a probation | a lame duck and a drain for each, minutes for all |
//! | what can be changed | the program and its configuration | that, the image, libraries, the kernel, the machine |
//! | if it goes wrong | the old process takes over again, with what is in its memory | the update stops; the old pods go on |
//! | who watches | the new process itself, for seconds | probes, for as long as you like |
//!
//! A rolling update is the better restart where it can be afforded: where requests are short and have nothing to do with each other, where the
//! image is the unit that is tested, and where the other machines can carry the load meanwhile. A restart in place is the better one
//! where clients stay for hours (a broker, a chat, a database), where a cold cache hurts, where a hundred machines would
//! reconnect at once, and for what changes often: configuration, certificates, code behind a flag. They go together: a
//! rolling update takes one machine after the other, and each may well do its part in place.
//!
//! # What monitors are told
//!
//! [`Server::health`](crate::Server::health) answers HTTP probes, [`Server::agent_check`](crate::Server::agent_check) HAProxy's agent
//! check, each on a listener of its own:
//!
//! | the service | `/livez` | `/readyz` | agent |
//! |---|---|---|---|
//! | serves, restarts by either engine, rolls back | 200 | 200 | `ready up 100%` |
//! | says [`set_ready(false)`](crate::Net::set_ready): its database is away | 200 | 503 | `ready down#not ready` |
//! | is told to leave: lame duck, then drain | 200 | 503 | `drain` |
//! | is gone, or its loop does not turn | | | |
//!
//! The answers are about the service and not about a process: while an old process drains after a restart, nobody says `drain`. A probe that has
//! connected before a restart is answered after it. Probes are no clients; they are let in where clients have all connections
//! and all descriptors, and none of them can keep a process from leaving. A process says `livez` by turning: there is nothing behind it
//! that could be wrong while everything is well. So let liveness ask `/livez` alone, and never what another
//! machine has to do with: a database that is away would have all servers killed.
//!
//! # How a machine leaves
//!
//! ```text
//!             SIGTERM, or `heirloom drain`                                                      exit
//!  serves        |  lame duck                    |  drain                                        |
//!  --------------+-------------------------------+-----------------------------------------------+
//!  accepts       |  accepts, serves              |  serves who is there                          |
//!  ready         |  503, drain                   |  503, drain                                   |
//!                |<-- lame_duck -->              |<-- drain_on_stop, or until nobody is left --> |
//! ```
//!
//! A server that closes its listener at once refuses whoever comes until the balancer has noticed. As a
//! [lame duck](crate::Server::lame_duck) it goes on as before while monitors are told; a protocol that can asks its
//! clients to come back by another connection ([`on_lame_duck`](crate::Service::on_lame_duck), [`Net::lame_duck`](crate::Net::lame_duck)):
//! HTTP/1.1 says `Connection: close` in each reply, as `examples/http` does. A restart is refused meanwhile; a second signal means now.
//!
//! # The sums
//!
//! | time | is at least | example |
//! |---|---|---|
//! | a balancer notices | (time between two checks + time for one) x how many have to fail | (2 s + 1 s) x 1 = 3 s |
//! | lame duck | twice that: machines are busy when they are restarted, and not all balancers ask at once | 10 s |
//! | drain | the longest exchange that is not to be cut off | 30 s |
//! | grace: `terminationGracePeriodSeconds`, `TimeoutStopSec` | what comes before the signal + lame duck + drain + 1 s, or all of it ends by `SIGKILL` | 45 s |
//! | a whole rolling update | machines / at a time x (start + `minReadySeconds` + lame duck + drain) | 3 x (1 + 5 + 10 + 30) s = 2.3 min, or half a minute where nobody stays |
//! | liveness | longer than [`max_downtime`](crate::Restart::max_downtime), in which nobody is answered | 3 x 10 s |
//!
//! # HAProxy
//!
//! ```text
//! backend fleet
//!     option httpchk GET /readyz
//!     option redispatch
//!     default-server check inter 500ms fall 2 agent-check agent-inter 500ms
//!     server s1 10.0.0.1:8080 port 8081 agent-port 8082
//! ```
//!
//! The agent's `drain` takes a server out for new requests and leaves those under way alone; the check is for one that is gone without a word, since
//! HAProxy does not mind an agent that does not answer. A connection that is refused is tried elsewhere (`retries`,
//! `redispatch`): nothing was sent on it. What was sent is not repeated: `retry-on` stays at its default,
//! `conn-failure`. A server that comes back says `ready`, which ends the drain.
//!
//! # nginx
//!
//! ```text
//! upstream fleet {
//!     server 10.0.0.1:8080 max_fails=1 fail_timeout=10s;
//!     keepalive 64;
//! }
//! location / { proxy_pass http://fleet; proxy_http_version 1.1; proxy_set_header Connection ""; }
//! ```
//!
//! nginx (without its commercial part) asks nobody. It learns that a server has gone when a connection is refused, and sends the request to the next one,
//! a POST as well, for nothing was sent (`proxy_next_upstream error timeout`, the default; `non_idempotent` is not needed and would
//! repeat what was).
//!
//! # The race for an idle connection
//!
//! A balancer that keeps connections may send a request over one at the moment in which the server closes it. If it was a GET the balancer
//! repeats it; a POST it may not, since nobody knows whether it was done, and the client has a 502 (RFC 9110, section 9.2.2; RFC 9112, section
//! 9.3.1). No server can rule that out by the way in which it closes. What helps is that there is nothing to be closed: with connections that
//! [move](crate::Restart::move_connections) a restart closes none; and a lame duck, whose every reply says `Connection:
//! close`, empties the balancer's pool by requests that are answered, before it drains. So a lame duck should be longer than such a connection is
//! idle under load. `examples/http` then still waits a second for whoever is silent.
//!
//! There is such a moment for new connections, too: between the last look into the accept queue and the close of the listener. In it
//! nobody is let begin (by TCP): whoever comes just then asks again after a second, finds the port closed, and nothing was sent.
//!
//! `cargo run --release --example fleet -- --requests 1000000` shows all of it with the real ones: three servers behind HAProxy 2.6 and nginx
//! 1.22, each restarted by fork and by fork-exec, one of them taken away, with half of all requests a POST and no retry of what was sent.
//! Of 1,017,324 requests none failed, the slowest took 24 ms; with `--no-move`, where each restart drains, none of 1,034,956.
//! A balancer is one failure as well (`--balancer`): a reload of HAProxy costs nothing (0 of 50,000); where all of it is killed, whoever
//! has a request under way is cut off, and whoever comes is refused until it is there again. That takes two balancers and an address that moves.
//!
//! # Kubernetes
//!
//! `examples/kubernetes` has a manifest and a Dockerfile for `examples/http`, which a test holds against Kubernetes' schemas and the sums above.
//! What is in them:
//!
//! - The server is process 1 with [`--supervised`](super::systemd_and_containers#in-a-container): it can be restarted in place, reaps
//!   orphans, and passes `SIGTERM` on.
//! - `readinessProbe` asks `/readyz`, `livenessProbe` asks `/livez`. A pod that is deleted is taken out of its service as it gets
//!   `SIGTERM`, by other machines and in their own time: new connections go on to come for some seconds, whatever the probe says. The
//!   lame duck is for these, where others have a `preStop` that sleeps. **Let `preStop` not call `heirloom drain`:** `SIGTERM` comes
//!   behind it, and would be the second word, which means now.
//! - `terminationGracePeriodSeconds` as above, and a `PodDisruptionBudget`, so that nodes are emptied one pod at a time.
//! - Room for two in the memory limit: after a fork what one of both processes writes is there twice.
//!
//! Next: [a restart as a test](super::trial).
