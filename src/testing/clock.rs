//! Time in the hand of a test: it passes within a callback, and something may arrive meanwhile.

use std::time::{Duration, Instant};

use super::{Arrival, Harness, Peer};
use crate::{clock, service::Service};

/// The clock of a [`Harness`], for a service under test that takes its time: clones are the same clock, so
/// one can be a field of the service.
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, testing::{Clock, Harness}};
/// use std::time::Duration;
///
/// /// Echo, whose disk is slow.
/// #[derive(Default)]
/// struct Slow { clock: Option<Clock> }
///
/// impl Service for Slow {
///     type Session = ();
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
///         Ok(())
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
///         self.clock.iter().for_each(|clock| clock.advance(Duration::from_secs(100)));
///         conn.send(input);
///         Ok(input.len())
///     }
/// }
///
/// let mut harness = Harness::new(Slow::default());
/// harness.service().clock = Some(harness.clock());
/// let [first, second] = [harness.connect(), harness.connect()];
/// harness.feed_in(second, Duration::from_secs(50), b"too late?"); // while `first` is served
/// harness.feed(first, b"hello");
/// assert_eq!(harness.take(second), b"too late?"); // it has spoken within the idle timeout of a minute
/// assert!(!harness.is_closed(first) && !harness.is_closed(second));
/// ```
#[derive(Clone, Debug)]
pub struct Clock(clock::Clock);

impl Clock {
    /// What time it is. In a callback it may be later than [`Net::now`](crate::Net::now), which is the time
    /// at which the turn began.
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Lets time pass in which the service does nothing else: in a callback, this is how long it takes.
    /// What a test does between two events is [`Harness::advance`].
    ///
    /// # Panics
    /// When the clock would go past what an [`Instant`] can hold.
    pub fn advance(&self, time: Duration) {
        self.0.set(self.0.now() + time);
    }
}

impl<S: Service> Harness<S> {
    /// The clock, to be moved by the service. [`Clock`] has an example.
    pub fn clock(&self) -> Clock {
        Clock(self.turn.net.clock.clone())
    }

    /// The peer sends `bytes` when `after` has passed, be it by [`advance`](Self::advance) or in the middle of
    /// a callback. [`Clock`] has an example.
    ///
    /// # Panics
    /// As [`Clock::advance`] does.
    pub fn feed_in(&mut self, peer: Peer, after: Duration, bytes: &[u8]) {
        let at = self.turn.net.clock.now() + after;
        self.arrivals.push(Arrival { at, peer, bytes: bytes.to_vec() });
        self.settle();
    }
}
