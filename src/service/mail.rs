//! What a service does with mail from other threads.

use super::Service;
use crate::net::Net;

/// A service that is told something by another thread, through a [mailbox](crate::mailbox()).
///
/// A trait of its own, so that a service names the types that it understands, each with its method, and a
/// service without threads has nothing to do with it.
///
/// ```
/// # use heirloom::{Connection, Mail, Net, Origin, Result, Service, testing::Harness};
/// #[derive(Default)]
/// struct Sum(u64);
///
/// impl Mail<u64> for Sum {
///     fn on_mail(&mut self, _net: &mut Net, mail: u64) {
///         self.0 += mail;
///     }
/// }
/// # impl Service for Sum {
/// #     type Session = ();
/// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
/// #     fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> { Ok(input.len()) }
/// # }
///
/// let (mailbox, inbox) = heirloom::mailbox(8);
/// mailbox.try_send(40)?;
/// mailbox.try_send(2)?;
/// let mut harness = Harness::new(Sum::default()).inbox(inbox); // in a server: `Server::inbox`
/// assert_eq!(harness.service().0, 42);
/// # Ok::<(), heirloom::TrySendError<u64>>(())
/// ```
pub trait Mail<M>: Service {
    /// What another thread has posted. Messages come in the order in which they were posted, each once, in
    /// the process that they were posted in: also while it drains.
    fn on_mail(&mut self, net: &mut Net, mail: M);
}
