//! From echo to chat to restart: a server that grows by one idea at a time.
//!
//! Each step is a whole program that was compiled and run when this page was made; lines that a step
//! has from the one before are left out here. The peers are in memory
//! ([`testing::Harness`](crate::testing::Harness)), so a step can be tried without a network, and time
//! passes when it is told to.
//!
//! # 1. Echo
//!
//! A [`Service`](crate::Service) has two methods that must be written: what to remember about a new
//! connection, and what to do with bytes. Echo remembers nothing and sends back whatever comes.
//!
//! ```
//! use heirloom::{Connection, Origin, Result, Service, testing::Harness};
//!
//! struct Echo;
//!
//! impl Service for Echo {
//!     type Session = ();
//!
//!     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!         Ok(())
//!     }
//!
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!         conn.send(input);
//!         Ok(input.len()) // all of it was taken
//!     }
//! }
//!
//! let mut harness = Harness::new(Echo);
//! let peer = harness.connect();
//! harness.feed(peer, b"hello");
//! assert_eq!(harness.take(peer), b"hello");
//! ```
//!
//! # 2. Lines
//!
//! TCP carries bytes and knows no messages: a line may come in three pieces, or three lines in one. So
//! `on_data` takes at most one message and answers how many bytes that was. Zero means that it is not
//! complete; the reactor keeps the bytes and comes back with more. [`codec::line`](crate::codec::line)
//! finds the end of a line, and refuses one that never ends.
//!
//! [`every_split`](crate::testing::every_split) is the test that every protocol deserves: the same
//! bytes whole, cut in two at every place, and one by one must have the same answer.
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service, codec, testing};
//! # struct Shout;
//! # impl Service for Shout {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
//! #         Ok(())
//! #     }
//! fn on_data(&mut self, conn: &mut Connection<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
//!     let Some((line, taken)) = codec::line(input, 512)? else {
//!         return Ok(0); // call me again when more has come
//!     };
//!     conn.send(&line.to_ascii_uppercase());
//!     conn.send(b"\n");
//!     Ok(taken)
//! }
//! # }
//! testing::every_split(|| Shout, b"hello\nworld\n", b"HELLO\nWORLD\n");
//! ```
//!
//! The `?` is the whole of the error handling: an `Err` closes this connection, and no other.
//!
//! # 3. A session
//!
//! What one conversation must remember is its `Session`: plain data that `on_open` makes and every
//! other method of that connection is lent. Here it is a name, once we know it.
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service, codec, testing::Harness};
//! # struct Greeter;
//! # impl Service for Greeter {
//! type Session = Option<String>;
//!
//! fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Option<String>> {
//!     conn.send(b"What is your name?\n");
//!     Ok(None)
//! }
//!
//! fn on_data(
//!     &mut self,
//!     conn: &mut Connection<'_>,
//!     name: &mut Option<String>,
//!     input: &[u8],
//! ) -> Result<usize> {
//!     let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!     let line = String::from_utf8_lossy(line);
//!     match name {
//!         Some(name) => conn.send(format!("{name} says {line}\n").as_bytes()),
//!         None => conn.send(format!("Welcome, {}\n", name.insert(line.into_owned())).as_bytes()),
//!     }
//!     Ok(taken)
//! }
//! # }
//! let mut harness = Harness::new(Greeter);
//! let ann = harness.connect();
//! harness.feed(ann, b"Ann\nhello\n");
//! assert_eq!(harness.take(ann), b"What is your name?\nWelcome, Ann\nAnn says hello\n");
//! ```
//!
//! # 4. A room
//!
//! Now the guests hear each other. The room is shared by all, so it is a field of the service: there is
//! one thread, and `&mut self` is all the locking there is. It holds connections by their names,
//! [`ConnId`](crate::ConnId)s, which are copied freely and never used again;
//! [`Net::get`](crate::Net::get) leads from the name to the connection, if it is still there.
//!
//! ```
//! # use heirloom::{ConnId, Connection, Net, Origin, Result, Service, codec, testing::Harness};
//! # use std::collections::BTreeSet;
//! /// Everybody who has given a name.
//! #[derive(Default)]
//! struct Chat(BTreeSet<ConnId>);
//!
//! impl Chat {
//!     fn tell_others(&self, net: &mut Net, speaker: ConnId, text: &str) {
//!         for &id in self.0.iter().filter(|&&id| id != speaker) {
//!             if let Some(mut guest) = net.get(id) {
//!                 guest.send(text.as_bytes());
//!             }
//!         }
//!     }
//! }
//!
//! # impl Service for Chat {
//! #     type Session = Option<String>;
//! #     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Option<String>> {
//! #         conn.send(b"What is your name?\n");
//! #         Ok(None)
//! #     }
//! fn on_data(
//!     &mut self,
//!     conn: &mut Connection<'_>,
//!     name: &mut Option<String>,
//!     input: &[u8],
//! ) -> Result<usize> {
//!     let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!     let line = String::from_utf8_lossy(line);
//!     let text = match name {
//!         Some(name) => format!("{name}: {line}\n"),
//!         None => format!("* {} is here\n", name.insert(line.into_owned())),
//!     };
//!     let speaker = conn.id();
//!     self.0.insert(speaker);
//!     self.tell_others(conn.net, speaker, &text);
//!     Ok(taken)
//! }
//! # }
//! let mut harness = Harness::new(Chat::default());
//! let (ann, bob) = (harness.connect(), harness.connect());
//! harness.feed(ann, b"Ann\n");
//! harness.feed(bob, b"Bob\nhello\n");
//! assert_eq!(harness.take(ann), b"What is your name?\n* Bob is here\nBob: hello\n");
//! assert_eq!(harness.take(bob), b"What is your name?\n"); // nobody hears himself
//! ```
//!
//! # 5. Goodbye
//!
//! [`on_close`](crate::Service::on_close) is called exactly once for each session, whatever has ended
//! it. It owns the session by then. What it sends to others still leaves in the same turn.
//!
//! ```
//! # use heirloom::{ConnId, Connection, Net, Origin, Reason, Result, Service, codec, testing::Harness};
//! # use std::collections::BTreeSet;
//! # #[derive(Default)]
//! # struct Chat(BTreeSet<ConnId>);
//! # impl Chat {
//! #     fn tell_others(&self, net: &mut Net, speaker: ConnId, text: &str) {
//! #         for &id in self.0.iter().filter(|&&id| id != speaker) {
//! #             if let Some(mut guest) = net.get(id) {
//! #                 guest.send(text.as_bytes());
//! #             }
//! #         }
//! #     }
//! # }
//! # impl Service for Chat {
//! #     type Session = Option<String>;
//! #     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Option<String>> {
//! #         Ok(None)
//! #     }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, name: &mut Option<String>, input: &[u8]) -> Result<usize> {
//! #         let Some((line, taken)) = codec::line(input, 512)? else { return Ok(0) };
//! #         *name = Some(String::from_utf8_lossy(line).into_owned());
//! #         self.0.insert(conn.id());
//! #         Ok(taken)
//! #     }
//! fn on_close(&mut self, net: &mut Net, id: ConnId, name: Option<String>, _why: Reason) {
//!     if self.0.remove(&id) {
//!         self.tell_others(net, id, &format!("* {} left\n", name.unwrap_or_default()));
//!     }
//! }
//! # }
//! # let mut harness = Harness::new(Chat::default());
//! # let (ann, bob) = (harness.connect(), harness.connect());
//! # harness.feed(ann, b"Ann\n");
//! # harness.feed(bob, b"Bob\n");
//! harness.finish(bob); // he closes his end
//! assert_eq!(harness.take(ann), b"* Bob left\n");
//! assert!(harness.is_closed(bob));
//! ```
//!
//! # 6. Guests who say nothing, and guests who do not listen
//!
//! A timer is a key, not a closure, so that it can be written down and go along with a restart. Left
//! alone, one that runs out closes its connection. The limits that every server needs are there
//! already: a peer that does not send its first message within 10 s, or takes no output for 30 s, is closed, and
//! so is one with more unsent output than 16 MiB ([`limits`](crate::limits)). How long one may be
//! [silent](super::limits_and_defaults#silence) is yours to say.
//!
//! ```
//! # use heirloom::{Connection, Origin, Result, Service, Timer, testing::Harness};
//! # use std::time::Duration;
//! const LOGIN: Timer = Timer(0);
//!
//! # struct Chat;
//! # impl Service for Chat {
//! #     type Session = ();
//! fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!     conn.send(b"What is your name?\n");
//!     conn.set_timer(LOGIN, Duration::from_secs(5));
//!     Ok(())
//! }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//! #         conn.cancel_timer(LOGIN);
//! #         conn.send(&vec![b'x'; 100_000]);
//! #         Ok(input.len())
//! #     }
//! # }
//!
//! let mut harness = Harness::new(Chat);
//! let (ann, bob) = (harness.connect(), harness.connect());
//! harness.feed(ann, b"Ann\n"); // which disarms the timer
//! harness.advance(Duration::from_secs(6));
//! assert!(harness.is_closed(bob) && !harness.is_closed(ann));
//!
//! // Ann reads slowly: what does not fit waits here, and her input waits too, until she has caught up.
//! harness.take(ann);
//! harness.set_window(ann, 1_000);
//! harness.feed(ann, b"more, please\n");
//! let id = harness.id(ann);
//! assert!(harness.net().get(id).is_some_and(|conn| conn.is_congested()));
//! assert_eq!(harness.take(ann).len(), 100_000);
//! assert!(!harness.net().get(id).is_some_and(|conn| conn.is_congested()));
//! ```
//!
//! # 7. Restart by fork
//!
//! `kill -HUP` makes a new generation out of this process, by `fork(2)`: the same code, and a copy of
//! `self` with everything that is in it. New clients come to the new process, and the old one serves
//! its own until they leave. There is one thing to do. The copy of the room holds guests who have
//! stayed behind, and they have to go out of it:
//!
//! ```
//! # use heirloom::{ConnId, Connection, Net, Origin, Result, Service, Start, testing::Harness};
//! # use std::collections::BTreeSet;
//! # #[derive(Default)]
//! # struct Chat(BTreeSet<ConnId>);
//! # impl Service for Chat {
//! #     type Session = ();
//! #     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
//! #         self.0.insert(conn.id());
//! #         Ok(())
//! #     }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//! #         Ok(input.len())
//! #     }
//! fn on_start(&mut self, net: &mut Net, start: Start) {
//!     for id in start.elsewhere() {
//!         self.0.remove(id);
//!     }
//! }
//! # }
//!
//! // What a forked child is told.
//! let mut harness = Harness::new(Chat::default());
//! let guest = harness.connect();
//! let stayed = vec![harness.id(guest)];
//! let mut room = std::mem::take(harness.service());
//! room.on_start(harness.net(), Start::Forked { moved: 0, stayed });
//! assert!(room.0.is_empty());
//! ```
//!
//! [`Start`](crate::Start) says it of each way to begin: [`Start::Forked`](crate::Start::Forked) which have stayed,
//! and [`Start::Resumed`](crate::Start::Resumed), where a new process has died, which are gone with it. By the same
//! restart those who have stayed hear of it in [`on_drain`](crate::Service::on_drain), which says whether others may
//! call again, or whether this is the end, and how long they have.
//!
//! Then there are two rooms for a while, the old guests' and the new guests'. Where that will not do,
//! the connections move: with [`Restart::move_connections`](crate::Restart::move_connections) all
//! guests are in the new process, under the same names, and their clients see nothing of it. The method
//! above is right for both.
//!
//! # 8. Restart by fork-exec
//!
//! `kill -USR2` starts the program that is at its path now: new code, and an empty heap. Listeners go
//! there in any case. A connection can move too if its session can be written down, by
//! [`export`](crate::Service::export), and read again, by [`import`](crate::Service::import). Bytes
//! that were on the way, timers and the name go along without your doing.
//!
//! ```
//! # use heirloom::{ConnId, Connection, Origin, Result, Service, testing::Harness};
//! # use std::collections::BTreeSet;
//! # #[derive(Default)]
//! # struct Chat(BTreeSet<ConnId>);
//! # impl Service for Chat {
//! #     type Session = Option<String>;
//! #     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<Option<String>> {
//! #         Ok(None)
//! #     }
//! #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut Option<String>, input: &[u8]) -> Result<usize> {
//! #         Ok(input.len())
//! #     }
//! fn export(&self, name: &Option<String>) -> Option<Vec<u8>> {
//!     name.clone().map(String::into_bytes) // who has no name yet stays in the old process
//! }
//!
//! fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Option<String>> {
//!     self.0.insert(conn.id());
//!     Ok(Some(String::from_utf8_lossy(saved).into_owned()))
//! }
//! # }
//!
//! // What one program has written, the next one reads.
//! let saved = Chat::default().export(&Some("Ann".to_owned())).expect("she has a name");
//! let mut harness = Harness::new(Chat::default());
//! let ann = harness.connect();
//! let (id, mut next) = (harness.id(ann), Chat::default());
//! let mut conn = harness.net().get(id).expect("she is here");
//! assert_eq!(next.import(&mut conn, &saved)?.as_deref(), Some("Ann"));
//! assert!(next.0.contains(&id));
//! # Ok::<(), heirloom::Error>(())
//! ```
//!
//! What the service itself knows (a topic, a counter) goes along by [`save`](crate::Service::save) and
//! [`load`](crate::Service::load).
//!
//! # 9. The program
//!
//! ```no_run
//! # use heirloom::{Connection, Origin, Restart, Result, Server, Service};
//! # #[derive(Default)]
//! # struct Chat;
//! # impl Service for Chat {
//! #     type Session = ();
//! #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
//! #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
//! # }
//! fn main() -> Result {
//!     Server::new(Chat::default())?
//!         .listen("127.0.0.1:7778")?
//!         .pid_file("/tmp/chat.pid")?
//!         .restart_on(libc::SIGHUP, Restart::fork().move_connections())
//!         .restart_on(libc::SIGUSR2, Restart::fork_exec().move_connections())
//!         .run() // returns once this process has drained
//! }
//! ```
//!
//! The example `chat` is this server. Without moving there are two rooms, and there it goes one step further: they
//! [tell each other](super::tasks_and_messages#words-between-generations) what is said, and a name is one guest's in both.
//!
//! ```sh
//! cargo run --release --example chat -- --no-move --pid-file /tmp/chat.pid
//! nc 127.0.0.1 7778                  # in two more terminals: Ann and Amy, who hear each other
//! kill -HUP $(cat /tmp/chat.pid)     # in a fourth: a new generation; both stay where they are
//! nc 127.0.0.1 7778                  # in two more: Bob and Ben, in the new room, who hear Ann all the same
//! kill -TERM $(cat /tmp/chat.pid)    # no new guests; ends within 30 s, or when all have left
//! ```
//!
//! Next: [a server of your own](super::your_own), or [fork against fork-exec](super::fork_or_exec). What
//! the reactor had to get right for this is told, trap by trap and with real processes, by
//! `cargo run --example lessons`.
