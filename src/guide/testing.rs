//! Testing a service: without sockets, at every byte, and through every restart.
//!
//! A [`Service`](crate::Service) is plain code that is called, so nothing of its tests needs a network, a process or time
//! that passes. [`testing`](crate::testing) turns the very loop that a server turns, with peers in memory:
//!
//! | to test | with | who says what happens |
//! |---|---|---|
//! | one thing, looked at from within | [`Harness`](crate::testing::Harness) | the test, call by call |
//! | a codec: each cut of one peer's bytes | [`every_split`](crate::testing::every_split), [`every_split_restarted`](crate::testing::every_split_restarted) | one input, one output |
//! | two sides of a restart, beside each other | [`Harness::begin_restart`](crate::testing::Harness::begin_restart), [`Sides`](crate::testing::Sides) | the test, call by call |
//! | what several clients see, whatever happens when | [`Conversation`](crate::testing::Conversation) | a script, played in hundreds of ways |
//! | the program, its sockets and signals | `tests/` over the binary | processes, see `CONTRIBUTING.md` |
//!
//! # A conversation
//!
//! Most faults of a server that is restarted show at one byte of one message only: half a line that `export` leaves out, a
//! room that `import` forgets to enter, an answer that goes out again after a roll back. Nobody writes a test for
//! each of these places. So a script says once what the peers say and hear:
//!
//! ```
//! use heirloom::{ConnId, Connection, Net, Origin, Reason, Result, Service, Start, codec};
//! use heirloom::testing::Conversation;
//! use std::collections::BTreeSet;
//!
//! /// A room: each line goes to all others.
//! #[derive(Default)]
//! struct Room(BTreeSet<ConnId>);
//!
//! impl Service for Room {
//!     type Session = ();
//!     fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
//!         self.0.insert(conn.id());
//!         Ok(())
//!     }
//!     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
//!         let Some((_, taken)) = codec::line(input, 512)? else { return Ok(0) };
//!         let speaker = conn.id();
//!         for &id in self.0.iter().filter(|&&id| id != speaker) {
//!             conn.net.get(id).into_iter().for_each(|mut guest| guest.send(&input[..taken]));
//!         }
//!         Ok(taken)
//!     }
//!     fn on_close(&mut self, _net: &mut Net, id: ConnId, _: (), _why: Reason) {
//!         self.0.remove(&id);
//!     }
//!     fn on_start(&mut self, _net: &mut Net, start: Start) {
//!         for id in start.elsewhere() {
//!             self.0.remove(id);
//!         }
//!     }
//!     fn export(&self, _: &()) -> Option<Vec<u8>> {
//!         Some(Vec::new())
//!     }
//!     fn import(&mut self, conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
//!         self.0.insert(conn.id()); // without this line: see below
//!         Ok(())
//!     }
//! }
//!
//! let talk = Conversation::new()
//!     .connects("ann")
//!     .says("bob", "hello\nis anybody here?\n")
//!     .hears("ann", "hello\nis anybody here?\n")
//!     .says("ann", "I am\n")
//!     .hears("bob", "I am\n");
//! let runs = talk.check(Room::default);
//! assert!(runs > 300);
//! ```
//!
//! That is played as it stands, twice in a row, cut at every byte and at pairs of them, byte by byte, and with a restart
//! between any two bytes and steps: by fork-exec and by fork, committed, committed two steps later with both sides beside each other until
//! then, rolled back, and with the old or the new side dead at each step of it. In each run every peer is to hear the same, byte
//! for byte. Without the line in `import` the first run that goes wrong is told like this:
//!
//! ```text
//! the conversation does not go as it should: step 4: ann does not hear "hello\nis anybody here?\n"
//! in the run `fork-exec moving after 3:1, commits`; to play it alone: `.only("fork-exec moving after 3:1, commits", ...)`
//!   1 ann connects
//!   2 bob connects
//!   3 bob says "hello\nis anybody here?\n"
//!     - fork-exec moving after 3:1, commits
//! ```
//!
//! and `talk.only("fork-exec moving after 3:1, commits", Room::default)` is what a debugger is for.
//!
//! # What a run may differ in
//!
//! - Where **a side dies** that has connections, those are gone: a peer has heard the beginning of what it was to hear, and its
//!   other steps are left out. Others may miss what it would have said, piece by piece, and hear instead what
//!   [`or_hears`](crate::testing::Conversation::or_hears) and [`may_hear`](crate::testing::Conversation::may_hear) allow, but nothing
//!   twice, in another order, or in part. What was acknowledged stays:
//!   [`promises`](crate::testing::Conversation::promises) and [`keeps`](crate::testing::Conversation::keeps).
//! - **Connections that stay**: [`staying`](crate::testing::Conversation::staying) also plays restarts in which none moves, where old
//!   and new clients meet different sides; for services whose clients do not depend on each other. Where
//!   [`on_move`](crate::Service::on_move) has a connection stay, it is played on the old side in any case.
//! - **Order**: [`hears_in_any_order`](crate::testing::Conversation::hears_in_any_order). **A date or an id**:
//!   [`normalised`](crate::testing::Conversation::normalised).
//!
//! # What it costs, and what it cannot find
//!
//! [`runs`](crate::testing::Conversation::runs) says how many there are: 32 for each step that does something, seven for each byte, and a hundred
//! pairs of cuts; [`at_most`](crate::testing::Conversation::at_most) bounds them. There is no process and no sleep in it: the 643 runs
//! of the store in `tests/conversations.rs` took 0.9 s of one core in a debug build.
//!
//! A fork is played by a twin of the service that has lived through the same, so a service that leaves something to chance
//! is told so. All of it is one process: what is in a `static` and is set to the same by each run is not missed by
//! the new side, and descriptors are not passed on. That is what tests over the binary are for.
