//! A restart without processes: one service hands over to another.

use super::{Harness, Sides};
use crate::{error::Result, plan::Restart, service::Service};

impl<S: Service> Harness<S> {
    /// Restarts that the service has asked for since the last call; in memory none is made.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Restart, Result, Service, testing::Harness};
    /// # struct Admin;
    /// # impl Service for Admin {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         conn.net.restart(Restart::fork());
    /// #         Ok(input.len())
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Admin); // whose clients may ask for a reload
    /// let peer = harness.connect();
    /// harness.feed(peer, b"reload\n");
    /// assert_eq!(harness.restarts(), [Restart::fork()]);
    /// ```
    pub fn restarts(&mut self) -> Vec<Restart> {
        std::mem::take(&mut self.turn.net.staged.restarts)
    }

    /// What a restart by fork-exec does that [moves connections](Restart::move_connections): `service`
    /// stands for the new program, and may be of another type than the old one's.
    ///
    /// What [`save`](Service::save) and [`export`](Service::export) write is all that `service` gets
    /// to see; ids, timers, partial input and unsent output go along as they do between processes. A
    /// connection that stays behind (see [`Move`](crate::Move), or `export` answers `None`) is cut off,
    /// since there is no old process to serve it.
    ///
    /// # Errors
    /// When `save` or [`load`](Service::load) fails: between processes, the old one would serve on.
    ///
    /// ```
    /// use heirloom::{Connection, Origin, Result, Service, testing::Harness};
    ///
    /// /// Answers each byte with how many there were so far.
    /// struct Count;
    ///
    /// impl Service for Count {
    ///     type Session = u8;
    ///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<u8> {
    ///         Ok(0)
    ///     }
    ///     fn on_data(&mut self, conn: &mut Connection<'_>, count: &mut u8, _: &[u8]) -> Result<usize> {
    ///         *count += 1;
    ///         conn.send(count.to_string().as_bytes());
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
    /// let mut harness = Harness::new(Count);
    /// let peer = harness.connect();
    /// harness.feed(peer, b"xx");
    /// let mut harness = harness.restart(Count)?;
    /// harness.feed(peer, b"x");
    /// assert_eq!(harness.take(peer), b"123");
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn restart<N: Service>(mut self, service: N) -> Result<Harness<N>> {
        let mut turn = self.turn.copy_to(service)?;
        self.turn.release_in_memory();
        turn.serve_in_memory()?;
        turn.commit_in_memory()?;
        self.turn.tell_end();
        let mut harness = Harness { turn, pipes: self.pipes, arrivals: self.arrivals };
        for (pipe, id) in &harness.pipes {
            if harness.turn.net.conn(*id).is_none() {
                let _ = pipe.shutdown(std::net::Shutdown::Both);
            }
        }
        harness.note_arrivals();
        Ok(harness)
    }

    /// A restart like [`restart`](Self::restart) that comes to nothing before the new side serves: it is
    /// given what it would take over, takes it in, and is gone. No client may notice, and the service
    /// hears of it in [`on_restart_ended`](Service::on_restart_ended).
    ///
    /// # Errors
    /// When `save` or [`load`](Service::load) fails, which ends a restart in the same way.
    ///
    /// ```
    /// # use heirloom::{Connection, Origin, Result, Service, Verdict, testing::Harness};
    /// # #[derive(Default)]
    /// # struct Echo { failed: u32 }
    /// # impl Service for Echo {
    /// #     type Session = ();
    /// #     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result { Ok(()) }
    /// #     fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
    /// #         conn.send(input);
    /// #         Ok(input.len())
    /// #     }
    /// #     fn on_restart_ended(&mut self, _net: &mut heirloom::Net, verdict: &Verdict) {
    /// #         self.failed += u32::from(verdict.outcome.is_err());
    /// #     }
    /// # }
    /// let mut harness = Harness::new(Echo::default()); // which counts restarts that failed
    /// let peer = harness.connect();
    /// harness.give_up_restart(Echo::default())?;
    /// harness.feed(peer, b"hello");
    /// assert_eq!((harness.take(peer), harness.service().failed), (b"hello".to_vec(), 1));
    /// # Ok::<(), heirloom::Error>(())
    /// ```
    pub fn give_up_restart<N: Service>(&mut self, service: N) -> Result {
        drop(self.turn.copy_to(service)?);
        self.turn.give_up_in_memory("given up, as the test has asked".to_owned());
        self.settle();
        Ok(())
    }

    /// Begins a restart like [`restart`](Self::restart), up to where the new side serves and the old one
    /// could still take over again: both, beside each other.
    ///
    /// # Errors
    /// When `save` or [`load`](Service::load) fails. To look at the service afterwards, use
    /// [`give_up_restart`](Self::give_up_restart).
    pub fn begin_restart<N: Service>(mut self, service: N) -> Result<Sides<S, N>> {
        let turn = self.turn.copy_to(service)?;
        self.turn.release_in_memory();
        let mut new = Harness { turn, pipes: self.pipes.clone(), arrivals: Vec::new() };
        new.know_of(&self);
        new.turn.serve_in_memory()?;
        new.note_arrivals();
        self.know_of(&new);
        self.settle();
        Ok(Sides { old: self, new })
    }

    /// Says of each connection that has come along what a fresh registration says, which is nothing of
    /// output.
    pub(super) fn note_arrivals(&mut self) {
        for (pipe, id) in &self.pipes {
            if self.turn.net.conn(*id).is_some() {
                self.turn.net.note_stream(*id, true, false, pipe.is_client_finished());
            }
        }
        self.settle();
    }
}
