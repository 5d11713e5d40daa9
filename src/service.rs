//! What an author writes: one trait, two required methods. Says when each is called; calls nothing.

use std::io;

pub use crate::net::{Origin, Reason};
use crate::{
    error::Result,
    net::{Alarm, ConnId, Deferred, Io, Net, Timer},
    verdict::Verdict,
};

/// From when on this process serves, and what it found. Told to [`Service::on_start`].
///
/// ```
/// use heirloom::{ConnId, Net, Start};
///
/// fn on_start(guests: &mut Vec<ConnId>, net: &mut Net, start: Start) {
///     if start == Start::Forked {
///         guests.retain(|&guest| net.to(guest).is_some()); // some have stayed with the old process
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// The program was started by hand, or by its supervisor, at first or after a crash: there is nobody
    /// to take anything over from.
    Fresh,
    /// This process is the child of the old one and has its whole heap. `self` is as it was at the
    /// fork. Connections that did not move are not here, so ids of them that `self` holds lead nowhere
    /// now; [`Net::to`](crate::Net::to) tells.
    Forked,
    /// A new program, with the old one's listeners, and what was saved and imported.
    Execed,
    /// The new side died after this process had stopped accepting: it serves again.
    Resumed,
}

/// Whether a connection goes along with a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// It goes to the new process.
    Yes,
    /// It stays in the old one until it ends.
    Stay,
}

/// A server's behaviour: what it does with bytes that arrive.
///
/// `self` is what all connections share, a [`Session`](Self::Session) is what one of them must
/// remember, [`Io`] is the connection itself. A callback has all three and `&mut`, so shared state
/// is a field, not an `Rc<RefCell>`.
///
/// Five rules:
///
/// 1. You write the loop's body; the reactor owns the loop.
/// 2. An `Err` closes this connection (what was queued is sent first), never the server.
/// 3. Nothing is freed during a callback.
/// 4. The reactor stores no closures: everything it stores can be written down, and that is why it
///    can restart.
/// 5. Between callbacks every session stands at a boundary that you chose, since partial bytes stay
///    with the reactor: the end of any turn is a safe moment to fork.
///
/// ```
/// use heirloom::{Io, Origin, Result, Service};
///
/// struct Echo;
///
/// impl Service for Echo {
///     type Session = ();
///
///     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result<()> {
///         Ok(())
///     }
///
///     fn on_data(&mut self, io: &mut Io<'_>, _session: &mut (), input: &[u8]) -> Result<usize> {
///         io.send(input);
///         Ok(input.len())
///     }
/// }
/// ```
#[allow(unused_variables)] // the defaults ignore most of what they are given
pub trait Service: Sized {
    /// What one conversation must remember: plain data.
    type Session;

    /// A connection is there: accepted or dialed. Answers what to remember about it.
    ///
    /// # Errors
    /// An `Err` closes the connection; [`on_close`](Self::on_close) is not called for it, since
    /// there never was a session.
    fn on_open(&mut self, io: &mut Io<'_>, origin: Origin) -> Result<Self::Session>;

    /// Handles at most one message and answers the bytes it took. Zero: it is not complete yet;
    /// the call comes again, with the same bytes and more. It is called as long as bytes
    /// are taken and bytes are left; `input` is never empty, and how much one turn reads is limited
    /// ([`limits::READ_BUDGET`](crate::limits::READ_BUDGET)).
    ///
    /// # Errors
    /// An `Err` closes this connection with [`Reason::Failed`]. So does an answer of more bytes than
    /// `input` has.
    ///
    /// ```
    /// # use heirloom::{Io, Origin, Result, Service, codec};
    /// # struct Shout;
    /// # impl Service for Shout {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _io: &mut Io<'_>, _origin: Origin) -> Result { Ok(()) }
    /// fn on_data(&mut self, io: &mut Io<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    ///     let Some((line, taken)) = codec::line(input, 1024)? else { return Ok(0) };
    ///     io.send(&line.to_ascii_uppercase());
    ///     io.send(b"\n");
    ///     Ok(taken)
    /// }
    /// # }
    /// # heirloom::testing::every_split(|| Shout, b"one\ntwo\n", b"ONE\nTWO\n");
    /// ```
    fn on_data(
        &mut self,
        io: &mut Io<'_>,
        session: &mut Self::Session,
        input: &[u8],
    ) -> Result<usize>;

    /// The peer will send no more, and all it sent was offered. Default: send what is queued and close.
    ///
    /// A service that has more to say (a half-close, see `shutdown(2)`) answers `Ok` without closing,
    /// and closes when it is done.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_eof(&mut self, io: &mut Io<'_>, session: &mut Self::Session) -> Result {
        io.close();
        Ok(())
    }

    /// Output was above the high mark and has fallen to the low one. Default: nothing.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_writable(&mut self, io: &mut Io<'_>, session: &mut Self::Session) -> Result {
        Ok(())
    }

    /// A timer of this connection ran out. Default: close.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_timer(&mut self, io: &mut Io<'_>, session: &mut Self::Session, timer: Timer) -> Result {
        io.close();
        Ok(())
    }

    /// This process is leaving; called once for each connection. Default: nothing, it is served to
    /// its end. The place to say goodbye where a protocol has a word for it.
    ///
    /// # Errors
    /// An `Err` closes this connection.
    fn on_drain(&mut self, io: &mut Io<'_>, session: &mut Self::Session) -> Result {
        Ok(())
    }

    /// The connection is gone; `id` leads nowhere any more. Called exactly once per session, in the
    /// process that served it last: neither does a forked child hear of the connections that its parent
    /// has kept, nor the old process of those that have moved. What is sent to others from here still leaves in this turn.
    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Self::Session, why: Reason) {}

    /// What [`Net::dial`] was asked for did not come about.
    fn on_dial_failed(&mut self, net: &mut Net, tag: u64, why: io::Error) {}

    /// An alarm of the service went off: see [`Net::set_alarm`] for which process it does that in.
    fn on_alarm(&mut self, net: &mut Net, key: Alarm) {}

    /// The next piece of work that was cut into pieces: see [`Net::defer`].
    fn on_deferred(&mut self, net: &mut Net, key: Deferred) {}

    /// This process serves from now on: the place to set alarms, to begin to consume messages,
    /// after [`Start::Forked`] to let go of ids that lead nowhere, and after [`Start::Execed`] to resume
    /// the [alarms of the old program](Net::inherited_alarms).
    fn on_start(&mut self, net: &mut Net, start: Start) {}

    /// This process serves only what it has from now on: the place to stop consuming messages.
    /// [`Net::hold`] keeps the process until the work in hand is done. Alarms have gone to the new process by
    /// now; what is set here is this one's own.
    fn on_retire(&mut self, net: &mut Net) {}

    /// Whether a connection goes along in a restart that
    /// [moves connections](crate::Restart::move_connections). Default: yes.
    fn on_move(&self, session: &Self::Session) -> Move {
        Move::Yes
    }

    /// Writes down what the service knows, for the next program. Called in the old process at a restart
    /// by fork-exec, when nothing more will change if connections move along. Default: nothing.
    ///
    /// # Errors
    /// An `Err` ends the restart; this process serves on.
    fn save(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Reads what the old program's service has [saved](Self::save); called in the new process before
    /// anything else. Default: refuses, unless nothing was saved.
    ///
    /// # Errors
    /// An `Err` ends this process and the restart; the old process serves on.
    fn load(&mut self, saved: &[u8]) -> Result {
        match saved {
            [] => Ok(()),
            _ => Err("this program has no use for the old one's state".into()),
        }
    }

    /// Writes a session down for the next program. `None`, the default, lets the connection stay in this
    /// process until it ends.
    fn export(&self, session: &Self::Session) -> Option<Vec<u8>> {
        None
    }

    /// Reads what [`export`](Self::export) has written. The connection has its id, its peer, its timers and
    /// all bytes that were on the way; what is sent here goes behind them.
    ///
    /// # Errors
    /// An `Err` closes the connection.
    fn import(&mut self, io: &mut Io<'_>, saved: &[u8]) -> Result<Self::Session> {
        Err("this program does not take over connections".into())
    }

    /// A restart that this process began is decided, well or badly. After a good one this process has
    /// been retired since the new one was ready; after a bad one it serves on.
    fn on_restart_ended(&mut self, net: &mut Net, verdict: &Verdict) {}
}

/// A service that is told something by another thread, through a [mailbox](crate::mailbox()).
///
/// A trait of its own, so that a service names the types that it understands, each with its method, and a
/// service without threads has nothing to do with it.
pub trait Mail<M>: Service {
    /// What another thread has posted. Letters come in the order in which they were posted, each once, in
    /// the process that they were posted in: also while it drains.
    fn on_mail(&mut self, net: &mut Net, mail: M);
}
