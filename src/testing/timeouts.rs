//! How long the peers of a harness may be silent.

use super::Harness;
use crate::{service::Service, timeouts::Timeouts};

impl<S: Service> Harness<S> {
    /// The timeouts of all connections, as of [`Server::timeouts`](crate::Server::timeouts).
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, Timeouts, testing::Harness};
    /// # use std::time::Duration;
    /// # struct Quiet;
    /// # impl Service for Quiet {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// let minute = Duration::from_secs(60);
    /// let mut harness = Harness::new(Quiet).timeouts(Timeouts::new().all_idle(minute));
    /// let peer = harness.connect();
    /// harness.feed(peer, b"hello");
    /// harness.advance(minute);
    /// assert!(harness.is_closed(peer));
    /// ```
    pub fn timeouts(mut self, timeouts: Timeouts) -> Harness<S> {
        self.turn.net.set_timeouts_of_all(timeouts);
        self
    }
}
