//! Tasks and messages: alarms, jobs in hand, long work, connections that we make, and mail from threads.
//!
//! None of it is a connection, so a restart has to know whose it is. ARCHITECTURE.md has the table for both
//! engines and a roll back ("What is more than a socket"); in short:
//!
//! - [`Net::set_alarm`](crate::Net::set_alarm) and [`set_interval`](crate::Net::set_interval): the newest
//!   generation's. They go on by themselves, by either engine, unless the new process
//!   [cancels](crate::Net::cancel_alarm) them. Each goes off once, and after a roll back they are as the new side
//!   left them.
//! - [`Net::hold("a job")`](crate::Net::hold): this process stays while it drains, until
//!   [`unhold`](crate::Net::unhold) or the limit of [`hold_within`](crate::Net::hold_within); `heirloom status`
//!   shows the names.
//! - [`Net::defer`](crate::Net::defer): one piece of long work per turn, after everybody was answered.
//! - [`Net::dial`](crate::Net::dial) takes an address, and `Net::dial_host` [a name](#a-host-by-its-name);
//!   [`Server::dial_timeout`](crate::Server::dial_timeout),
//!   [`max_per_destination`](crate::Server::max_per_destination) and [`Backoff`](crate::Backoff) bound it.
//! - [`mailbox(capacity)`](crate::mailbox) with [`Server::inbox`](crate::Server::inbox): messages from threads of
//!   your own to [`Mail::on_mail`](crate::Mail::on_mail). While one exists fork is refused by name; use
//!   [`.or_fork_exec()`](crate::Restart::or_fork_exec).
//! - [`Net::tell`](crate::Net::tell): [words between generations](#words-between-generations) that live side by side.
//! - [`Server::signal`](crate::Server::signal): signals, told by [`on_signal`](crate::Service::on_signal) in the process that
//!   they were sent to ([when](super::operating#signals)).
//! - [`Net::watch`](crate::Net::watch): an inotify, a timerfd, a serial line, a pipe to a child, a library's socket, told
//!   by [`on_ready`](crate::Service::on_ready) in the process that watches it
//!   ([and in which](super::what_a_service_holds#descriptors-that-are-watched)).
//!
//! The `jobs` example is a worker for a Redis stream that is built on these: what is in hand at a restart is
//! finished, and nothing is done twice.
//!
//! # An alarm that survives
//!
//! Nothing is to be done: an alarm that was set once goes on in the next process, by either engine, and an interval
//! keeps its beat. Only the first process sets it. A new program that has no use for one finds it among
//! [`Net::alarms`](crate::Net::alarms) in [`on_start`](crate::Service::on_start), and cancels it there:
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service, testing::Harness};
//! use heirloom::{Alarm, Net, Start};
//! use std::time::Duration;
//!
//! const REPORT: Alarm = Alarm(1);
//! const CLEANING: Alarm = Alarm(2); // of older versions
//! # #[derive(Default)]
//! # struct Reporter {
//! #     reports: u32,
//! # }
//! # impl Service for Reporter {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//!
//! fn on_start(&mut self, net: &mut Net, start: Start) {
//!     if start == Start::Fresh {
//!         net.set_interval(REPORT, Duration::from_secs(60));
//!     }
//!     net.cancel_alarm(CLEANING);
//! }
//!
//! fn on_alarm(&mut self, _net: &mut Net, key: Alarm) {
//!     self.reports += u32::from(key == REPORT);
//! }
//! # }
//!
//! let mut harness = Harness::new(Reporter::default());
//! harness.advance(Duration::from_secs(59));
//! assert_eq!(harness.service().reports, 0);
//! harness.advance(Duration::from_secs(61));
//! assert_eq!(harness.service().reports, 2);
//! ```
//!
//! # Words between generations
//!
//! Where connections stay with the process that has accepted them, two generations serve side by side for a while: what
//! their clients share they must tell each other. [`Net::generations`](crate::Net::generations) says who there is, and
//! [`Net::tell`](crate::Net::tell) takes up to 32 KiB for one of them, which has it in [`on_word`](crate::Service::on_word):
//! once, and in the order in which it was told. The links are there already, so it costs no socket.
//!
//! ```
//! # use heirloom::Net;
//! # struct Feed;
//! # impl Feed { fn publish(&mut self, net: &mut Net, line: &[u8]) {} }
//! # impl Feed {
//! /// A client has said something: for those of this process, and of all others.
//! fn say(&mut self, net: &mut Net, line: &[u8]) {
//!     self.publish(net, line);
//!     for other in net.generations() {
//!         if let Err(why) = net.tell(other.number, line) {
//!             eprintln!("{why}"); // it hangs, and as much waits for it as may wait
//!         }
//!     }
//! }
//!
//! // In `Service`:
//! fn on_word(&mut self, net: &mut Net, _from: u64, line: &[u8]) {
//!     self.publish(net, line);
//! }
//! # }
//! ```
//!
//! - A new process knows the others from [`on_start`](crate::Service::on_start) on, which is the place to ask them what it
//!   cannot know; an old one knows the new one from about that moment on, and not in [`on_retire`](crate::Service::on_retire).
//! - What was told to a process that has ended comes back ([`on_undelivered`](crate::Service::on_undelivered)), and so does
//!   what is told among those that are left when the newest, the way between them, has ended.
//! - A word is for a process, and no part of the state: it neither moves nor is copied. In a roll back both sides go on
//!   talking, each in its new place.
//! - A program that is older than this way to speak is not among the generations, and to tell it something is an error.
//! - In a test [`Sides::exchange`](crate::testing::Sides::exchange) carries words between the two sides.
//!
//! The example `chat` joins its rooms in this way (`--no-move`).
//!
//! # A host by its name
//!
//! With the feature `names` a dial takes what stands in most configurations. `Cargo.toml`:
//!
//! ```toml
//! heirloom = { version = "0.1", features = ["names"] }
//! ```
//!
//! And the service:
//!
//! ```
//! # #[cfg(feature = "names")] {
//! use heirloom::{Backoff, Net, Result};
//!
//! struct Database {
//!     host: String, // "db.example:5432"
//!     backoff: Backoff,
//! }
//!
//! impl Database {
//!     /// Of `on_start`, and of the alarm that `on_dial_failed` sets by `backoff`.
//!     fn connect(&self, net: &mut Net) -> Result {
//!         net.dial_host(&self.host, 0)
//!     }
//! }
//! # }
//! ```
//!
//! `/etc/hosts` is looked into, then the name servers of `/etc/resolv.conf` are asked, by sockets of this process in
//! its own loop: nothing blocks and there is no thread, so a fork is as good as ever. Each dial looks the name up
//! anew, in what was learned or at a server, so one that is tried again follows a host that has moved. IPv6 and
//! IPv4 are tried in turns (RFC 8305), and [`on_open`](crate::Service::on_open) comes once, for the address that
//! has connected first. In [`on_dial_failed`](crate::Service::on_dial_failed) the error says which name it was,
//! which server was asked and what that has said; its kind is `NotFound` where there is no such name, or no address of
//! it, and `TimedOut` where nobody has answered in time.
//!
//! Nothing has been sent for a dial that has no connection, so at a restart it is simply begun anew by the new
//! process, if connections move; otherwise it stays with the one that has begun it. Either way it ends once.
//!
//! What is not done: DNSSEC, DNS over TLS, mDNS, and what `nsswitch.conf(5)` may say beside files and DNS. A resolver on
//! this machine (systemd-resolved, unbound) does these, and is asked like any other.
//!
//! Next: [datagrams](super::datagrams).
