//! An old and a new side beside each other, in the probation of the new one.

use super::Harness;
use crate::{error::Result, service::Service};

/// Both sides of a [restart that has begun](Harness::begin_restart): `new` serves and has the connections
/// that move, `old` has the others and accepts nobody. What becomes of it is one of the calls below.
///
/// A [`Peer`](super::Peer) is to be fed on the side that [has](Harness::has) its connection. Each side has
/// a clock of its own.
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, testing::Harness};
///
/// /// Answers with its version; a session is how many bytes came.
/// struct Version(u8);
///
/// impl Service for Version {
///     type Session = u8;
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<u8> {
///         Ok(0)
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, count: &mut u8, _: &[u8]) -> Result<usize> {
///         *count += 1;
///         conn.send(format!("v{} {count}\n", self.0).as_bytes());
///         Ok(1)
///     }
///     fn export(&self, count: &u8) -> Option<Vec<u8>> {
///         Some(vec![*count])
///     }
///     fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<u8> {
///         saved.first().copied().ok_or("not a count".into())
///     }
/// }
///
/// let mut harness = Harness::new(Version(1));
/// let peer = harness.connect();
/// harness.feed(peer, b"x");
/// let mut sides = harness.begin_restart(Version(2))?;
/// assert!(sides.new.has(peer) && !sides.old.has(peer));
/// sides.new.feed(peer, b"x");
/// let late = sides.new.connect();
/// let (mut old, _) = sides.roll_back("version 2 is too slow")?;
///
/// old.feed(peer, b"x"); // both are back, with their sessions
/// assert_eq!(old.take(peer), b"v1 1\nv2 2\nv1 3\n");
/// old.feed(late, b"x");
/// assert_eq!(old.take(late), b"v1 1\n");
/// # Ok::<(), heirloom::Error>(())
/// ```
#[derive(Debug)]
pub struct Sides<S: Service, N: Service> {
    /// It has stopped accepting, and serves the connections that stay.
    pub old: Harness<S>,
    /// It accepts, and serves the connections that have moved.
    pub new: Harness<N>,
}

/// What cannot fail in memory.
const IN_MEMORY: &str = "in memory no system call can fail";

impl<S: Service, N: Service> Sides<S, N> {
    /// Why the new service has asked for a [roll back](crate::Net::roll_back), if it has.
    pub fn asked_to_roll_back(&self) -> Option<String> {
        self.new.turn.hands_back()
    }

    /// Carries what the two services have [told](crate::Net::tell) each other, until nothing is left on the way: see
    /// [`Harness::exchange`].
    pub fn exchange(&mut self) {
        self.old.exchange(&mut self.new);
    }

    /// The probation is over: the new side stays, and the old one drains.
    pub fn commit(self) -> (Harness<S>, Harness<N>) {
        let Sides { mut old, mut new } = self;
        new.turn.commit_in_memory().expect(IN_MEMORY);
        old.turn.retire_in_memory().expect(IN_MEMORY);
        new.know_of(&old);
        old.know_of(&new);
        new.settle();
        old.settle();
        (old, new)
    }

    /// The new side is not wanted: the old one accepts again, with everything that the new one hands back; the
    /// new one drains with what has not gone back. The reason is the new service's own, if it has asked for this.
    ///
    /// # Errors
    /// When the old side cannot take it back: its [`load`](Service::load) or
    /// [`load_changes`](Service::load_changes) fails, or the new one's `save`. Between processes, the new one
    /// would go on.
    pub fn roll_back(self, reason: &str) -> Result<(Harness<S>, Harness<N>)> {
        let Sides { mut old, mut new } = self;
        let reason = new.turn.hand_back_in_memory(&mut old.turn, reason)?;
        old.turn.resume_in_memory(&mut new.turn, Some(reason))?;
        new.turn.drain_in_memory()?;
        new.know_of(&old);
        old.know_of(&new);
        // Those that have come to the new side.
        old.pipes.extend_from_slice(new.pipes.get(old.pipes.len()..).unwrap_or_default());
        old.note_arrivals();
        new.settle();
        Ok((old, new))
    }

    /// The new side dies, and the connections that it had with it. The old one accepts again.
    pub fn lose_new(self) -> Harness<S> {
        let Sides { mut old, mut new } = self;
        for (pipe, id) in &new.pipes {
            if new.turn.net.conn(*id).is_some() {
                let _ = pipe.shutdown(std::net::Shutdown::Both);
            }
        }
        old.forget(&new);
        old.turn.resume_in_memory(&mut new.turn, None).expect(IN_MEMORY);
        old.settle();
        old
    }
}
