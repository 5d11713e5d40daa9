//! What it costs: beside other servers, in memory, under restarts, and while a new process is made.
//!
//! All of it was measured on one machine (Linux 6.18, x86-64, two cores of a virtual machine, one for the
//! server and one for the load). On yours, with `apt-get install libevent-dev redis-server memcached nginx
//! haproxy` for the others:
//!
//! ```sh
//! cargo build --profile bench --examples
//! cargo bench --features benches --bench peers      # the table, its chart, memory, restarts under load: 15 minutes
//! cargo bench --features benches --bench restart    # how long the loop stands still, and its chart: 10 minutes
//! cargo bench --features benches                    # these and the parts: codec, timer, turn, echo, fanout, handover
//! cargo bench --features benches,tls --bench tls    # records; with sockets: --bench peers -- --only TLS
//! ```
//!
//! # Beside others
//!
//! What a request takes of the server's core, as a ratio: ours divided by theirs, so below 1 is cheaper. The
//! median of five rounds that were run in turns, and their range; `50 × 16` is 50 connections with 16 requests
//! under way on each. The bare loop is epoll, read and write on libc, without timeouts, limits or restarts:
//! what a framework can at best come close to. All have one thread or one worker, and keep no log; every
//! reply of HTTP has a `Date`, which is a constant in those of the bare loop and of tokio.
//!
//! | work | µs | bare epoll | tokio | others |
//! |---|---:|---|---|---|
//! | echo 64 B, 1 × 1 | 38.12 | **1.08** (1.01–1.19) | **1.08** (0.99–1.30) | libevent **1.03** (0.91–1.15) |
//! | echo 64 B, 50 × 1 | 3.44 | **1.00** (0.98–1.03) | **0.95** (0.92–0.96) | libevent **0.61** (0.59–0.63) |
//! | echo 64 B, 1000 × 1 | 3.89 | **1.01** (0.96–1.06) | **0.82** (0.72–0.85) | libevent **0.59** (0.53–0.62) |
//! | echo 64 B, 1 × 16 | 2.55 | **1.07** (1.02–1.15) | **1.05** (1.00–1.15) | libevent **0.98** (0.93–1.06) |
//! | echo 64 B, 50 × 16 | 0.21 | **0.95** (0.94–0.99) | **0.93** (0.90–0.96) | libevent **0.64** (0.63–0.66) |
//! | echo 64 B, 1000 × 16 | 0.27 | **1.07** (0.95–1.07) | **0.83** (0.75–0.88) | libevent **0.56** (0.51–0.59) |
//! | RESP GET, 50 × 1 | 3.64 | **1.03** (1.00–1.07) | **0.96** (0.96–1.03) | redis **0.83** (0.79–0.88) |
//! | RESP SET, 50 × 1 | 3.72 | **1.02** (1.00–1.06) | **0.97** (0.95–1.00) | redis **0.81** (0.79–0.85) |
//! | RESP GET, 50 × 16 | 0.30 | **1.02** (0.94–1.13) | **0.98** (0.82–1.04) | redis **0.56** (0.53–0.57) |
//! | RESP SET, 50 × 16 | 0.29 | **1.07** (1.05–1.12) | **1.01** (0.99–1.02) | redis **0.44** (0.43–0.44) |
//! | RESP GET, 50 × 64 | 0.12 | **1.11** (1.09–1.13) | **1.05** (1.04–1.10) | redis **0.34** (0.34–0.34) |
//! | RESP SET, 50 × 64 | 0.12 | **1.14** (1.12–1.21) | **1.09** (1.08–1.13) | redis **0.26** (0.25–0.27) |
//! | HTTP hello, 50 × 1 | 3.52 | **1.03** (0.99–1.04) | **0.98** (0.94–1.00) | may_minihttp **0.88** (0.87–0.92), nginx **0.76** (0.74–0.77), haproxy **0.60** (0.58–0.62) |
//! | HTTP hello, 50 × 16 | 0.32 | **1.00** (0.96–1.06) | **0.95** (0.91–1.00) | may_minihttp **0.92** (0.90–0.99), nginx **0.09** (0.09–0.09), haproxy **0.08** (0.08–0.09) |
//! | churn, echo | 16.48 | **1.10** (1.07–1.13) | **0.96** (0.90–1.04) | libevent **0.91** (0.86–0.95) |
//! | churn, RESP | 16.51 | **1.07** (1.01–1.11) | **0.92** (0.82–0.96) | redis **0.79** (0.76–0.83) |
//! | churn, HTTP | 15.79 | **1.09** (1.06–1.19) | **0.94** (0.93–1.05) | may_minihttp **0.84** (0.82–0.92), nginx **0.97** (0.94–1.09), haproxy **0.94** (0.93–1.06) |
//!
//! By `redis-benchmark` instead of our own load, `kv` to redis: GET 0.86, 0.65 and 0.40, SET 0.86, 0.57 and 0.33 with 1, 16 and 64 requests
//! under way, and by RESP3 the same within 0.02. Why that client makes the kernel's share larger is said, with figures, in
//! `benches/peers/redis_benchmark.rs`.
//!
//! `cargo bench --features benches --bench peers` draws the same as a chart; the one that was drawn here is
//! `benches/charts/peers.svg`.
//!
//! # With TLS
//!
//! A request's record is opened where it was read, and all answers of a turn are sealed as one, in one buffer of the process,
//! without an allocation. In memory, without a socket, as a ratio: ours divided by that of rustls' buffered API and of openssl 3.0,
//! by the same cipher. No records by ring can take less than its ciphers alone; the last column is these divided by rustls'
//! time. By `cargo bench --features benches,tls --bench tls`, with nothing else on the machine:
//!
//! | 64 B each way | µs | rustls, buffered | openssl | the ciphers, to rustls |
//! |---|---:|---|---|---|
//! | TLS 1.3, AES-128-GCM | 0.19 | **0.61** | **0.21** | 0.56 |
//! | TLS 1.3, AES-256-GCM | 0.20 | **0.61** | **0.21** | 0.59 |
//! | TLS 1.3, CHACHA20-POLY1305 | 0.36 | **0.73** | **0.17** | 0.71 |
//! | TLS 1.2, AES-128-GCM | 0.16 | **0.54** | **0.21** | 0.48 |
//!
//! Over a socket most of a request is the kernel's, with TLS or without. An echo of 64 B, of 50 clients with one
//! request each, all of which ask at once:
//!
//! | each request | plain | with TLS 1.3, AES-128-GCM | counted by |
//! |---|---:|---:|---|
//! | `recvfrom` and `sendto` | 1 and 1 | 1 and 1 | `strace -c`, 20,000 requests |
//! | `epoll_wait` | 0.02 | 0.03 | the same |
//! | instructions in user space | 1,126 | 4,018 | `valgrind --tool=callgrind`, 5,000 requests |
//!
//! Of the 2,900 instructions that TLS adds, some 2,000 are ring's cipher. So the record layer has no large part in what a request
//! costs, here or in any other server, and two that make the same system calls differ by little. It has one where several
//! requests come at once: those of one read are opened together, and what is answered in one turn leaves as one record and
//! by one write, whether 16 requests have come in one record or in 16. CPU of the server, ours divided by theirs, median and range
//! of five rounds; a visit is a connection, a handshake, a request and its answer. By `cargo bench --features benches,tls --bench peers --
//! --only TLS --rounds 5`:
//!
//! | work | µs | tokio-rustls | nginx | haproxy in front of the plain server |
//! |---|---:|---|---|---|
//! | echo 64 B, 50 × 1 | 4.10 | **0.92** (0.88–0.94) | | **0.25** (0.24–0.27) |
//! | echo 64 B, 50 × 16, one record | 0.27 | **0.89** (0.83–0.92) | | **0.25** (0.25–0.27) |
//! | echo 64 B, 50 × 16, a record each | 0.41 | **0.83** (0.78–0.85) | | **0.18** (0.18–0.19) |
//! | HTTP hello, 50 × 1 | 4.06 | **0.90** (0.87–0.93) | **0.53** (0.51–0.54) | **0.25** (0.24–0.26) |
//! | visits, ECDSA P-256 | 196 | **0.99** (0.97–1.07) | **0.46** (0.45–0.47) | **0.29** (0.27–0.31) |
//! | visits, RSA 2048 | 693 | **1.00** (0.94–1.03) | **0.98** (0.95–0.99) | **0.75** (0.72–0.78) |
//! | visits, a ticket | 175 | **1.04** (1.02–1.08) | **0.52** (0.44–0.54) | **0.35** (0.34–0.36) |
//!
//! How far below tokio-rustls anybody could come: the bare loop of epoll, without TLS, took 3.45 µs for a request of the first row in the
//! same hour, which is 0.77 of it. With ring's ciphers and nothing else it would be 0.79 of the third.
//!
//! A plain server that is built with the feature costs what it costs without: 1.00 (0.96–1.10) and 1.00 (0.97–1.07) with 1 and 16
//! requests under way (`--only "echo 64 B, 50" --before`, see `benches/peers/main.rs`).
//!
//! An idle connection takes 973 bytes, 727 more than a plain one (tokio-rustls 14,988). While 10,000 of them move nobody is served for
//! 42.5 ms by fork-exec (38 to 59 in nine restarts; plain ones 30.8), for 26.4 ms by fork (25 to 74; 18.6), where the long ones are the
//! first of a server whose memory had been cold. Measured by `tests/tls_cost.rs`, whose head has the command. The handshakes that it
//! saves would be 10,000 times those of the table.
//!
//! # Memory
//!
//! Of the process for each of 10,000 idle connections that have had one answer, in bytes: echo 247, kv 453,
//! http 373. Beside them nginx 526, haproxy 1,111, libevent 1,021, tokio 8,703, redis 9,846, may_minihttp 20,262;
//! the bare loop, which knows nothing of its connections, 61. Measured by `cargo bench --features benches --bench peers`.
//!
//! # Restarts under load
//!
//! 100 of them, with 2,000 new connections a second, one request each; times in µs. The window is 100 ms from
//! the trigger on. Measured by `cargo bench --features benches --bench peers`.
//!
//! | way | failed | p99 outside the window | p99 in it | the slowest in it |
//! |---|---:|---:|---:|---:|
//! | heirloom, fork | 0 of 101,000 | 397 | **628** | 5,818 |
//! | heirloom, fork-exec | 0 of 101,000 | 304 | **733** | 8,576 |
//! | nginx, USR2 and QUIT | 0 of 101,000 | 227 | 2,322 | 6,870 |
//! | haproxy, reload | 0 of 101,000 | 229 | 6,685 | 13,863 |
//! | the bare loop, std `Command` with `pre_exec` | 0 of 101,000 | 272 | 2,035 | 5,216 |
//!
//! With a restart every 5 s instead (`cargo bench --features benches --bench peers -- --only "restarts, heirloom" --gap 5000`), 0
//! of 1,010,000 requests failed by either engine.
//!
//! # While a new process is made
//!
//! How long the old process's loop stands still meanwhile. By fork-exec 0.20 to 0.25 ms (medians), whatever the
//! heap; by fork what `fork()` takes: 0.29 ms with a heap of 10 MiB, 72 ms with 4 GiB, and 1.6 ms with 4 GiB in
//! huge pages (`GLIBC_TUNABLES=glibc.malloc.hugetlb=1`, which glibc 2.36 heeds only now and then). The sizes in
//! between are in [fork against fork-exec](super::fork_or_exec#what-it-costs), and in a chart:
//! `benches/charts/restart-stall.svg`.
//!
//! Those are forks as they are. A heap of 64 MiB or more is [prepared](super::fork_or_exec#what-it-costs) first: medians
//! of three, the bare `fork()` of the same heap in the same run, on the same machine at a time when ten other
//! processes wanted its two cores. The turns are of a loop that writes to so many places all over the heap in
//! each, p99 in µs, within the callback and then as its client waits; the server, and what prepares for it, have one
//! core together.
//!
//! | heap | places | bare `fork()` | prepared | ratio | it prepared for | CPU | turns before | turns meanwhile |
//! |---|---:|---:|---:|---:|---:|---:|---:|---:|
//! | 256 MiB | 8 | 52.5 ms | 0.39 ms | **0.007** | 1.0 s | 0.35 s | 93; 4,300 | 1; 5,367 |
//! | 256 MiB | 256 | 15.5 ms | 0.39 ms | **0.025** | 1.4 s | 0.59 s | 309; 4,802 | 22; 4,049 |
//! | 1 GiB | 8 | 83.4 ms | 1.07 ms | **0.013** | 6.1 s | 2.4 s | 148; 3,849 | 20; 4,565 |
//! | 1 GiB | 256 | 53.9 ms | 0.92 ms | **0.017** | 9.7 s | 2.5 s | 442; 7,850 | 73; 9,722 |
//! | 4 GiB | 8 | 261.6 ms | 3.30 ms | **0.013** | 17.2 s | 4.8 s | 116; 4,072 | 20; 5,232 |
//! | 4 GiB | 256 | 674.1 ms | 3.09 ms | **0.005** | 30.5 s | 6.2 s | 1,146; 8,184 | 204; 8,303 |
//!
//! It took 0.4 MiB more of memory, since the heap had no holes. A write to a page of 2 MiB splits it while both
//! processes live: of 1 GiB, which is 512 of them, 38 % are left after 512 writes, 13 % after 1,024 and 2 %
//! after 2,048 (`benches/charts/huge-pages.svg`). With 4 GiB each was measured once.
//! Measured by `cargo bench --features benches --bench restart -- --prepared`.
//!
//! The first answer by the new process comes 0.8 ms after the trigger by fork and 2.0 ms by fork-exec (10 MiB,
//! no connections), 4.5 and 5.1 ms with 10,000 connections. Measured by `cargo bench --features benches --bench restart`.
//!
//! For how long nobody serves the connections that move: `cargo bench --features benches --bench handover`.
//!
//! # With state in memory
//!
//! The example `kv` with keys of 10 bytes that hold 100, connections that move, and one client that asks each
//! millisecond: the longest time that it waits through a restart, in ms, median and range of three. Then the same while
//! a second client writes 50,000 keys a second; every key was compared after each restart, and none was wrong. redis
//! saves and is started anew (`SHUTDOWN SAVE`), memcached has its memory in a file (`-e`); its keys are there again, which
//! the restart of a program with another layout does not get by it.
//!
//! | keys | heap | a reload, by fork | with writes | an upgrade, by fork-exec | with writes | redis | memcached |
//! |---:|---:|---|---|---|---|---:|---:|
//! | 100,000 | 24 MiB | **2.9** (2.4–4.2) | 4.1 (3.4–4.9) | **3.2** (3.1–4.6) | 4.8 (3.8–8.6) | 257 | 30 |
//! | 1,000,000 | 233 MiB | **5.1** (4.8–5.4) | 6.6 (4.6–8.7) | **6.9** (6.4–37.0) | 6.6 (6.3–7.5) | 2,318 | 125 |
//! | 3,000,000 | 698 MiB | **7.3** (7.2–9.0) | 14.2 (6.4–47.5) | **9.4** (6.3–12.6) | 7.0 (6.6–8.7) | 8,278 | 483 |
//!
//! Without a restart the same client waits for 1.2 to 6.0 ms now and then (some of what it waits for is the machine: a virtual one,
//! with both its cores in use). Of an upgrade with three million keys the heap was prepared in 3.3 s, a scribe wrote them in 0.8 s,
//! and all connections stood still for 0.3 ms, with writes for 2.3 ms after 2 rounds and 49,987 changes. Old and new
//! process together had 2.00 times the heap at the most. The old one left with 0.7 ms of a core after a fork; after a
//! fork-exec it gives all of its heap back, 1.6 s beside the new one.
//!
//! The chart is `benches/charts/handover-state.svg`. Measured by `cargo bench --features benches --bench handover -- --state --keys
//! 100000,1000000,3000000 --rounds 3`; in another order of rounds, beside the servers alone:
//! `cargo bench --features benches --bench peers -- --only state`.
//!
//! # The picture
//!
//! `benches/charts/restart.svg`, on the README, shows two restarts under load: new clients are answered by the
//! new process at once, those that stay are served to their end. It moves, and all of it was measured:
//! `cargo bench --features benches --bench restart -- --picture`.
//!
//! Next: [coming from nginx, tableflip or tokio](super::coming_from).
