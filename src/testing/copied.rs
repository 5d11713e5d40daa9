//! The first half of a restart, step by step: the new side is there and does not serve yet, and either may be lost.

use std::time::Duration;

use super::Harness;
use crate::{
    error::Result,
    net::{ConnId, stream::memory::Pipe},
    plan::Restart,
    service::Service,
};

/// Both sides of a restart whose new one has everything that it is to have, and serves nothing of it yet.
pub(super) struct Copied<S: Service, N: Service> {
    old: Harness<S>,
    new: Harness<N>,
}

/// What cannot fail in memory.
pub(super) const IN_MEMORY: &str = "in memory no system call can fail";

impl<S: Service> Harness<S> {
    /// A restart by fork-exec: `service` stands for the new program.
    ///
    /// # Errors
    /// When the state is not taken over.
    pub(super) fn copy_to<N: Service>(mut self, service: N, how: &Restart) -> Result<Copied<S, N>> {
        let turn = self.turn.copy_to(service, how)?;
        let new = Harness { turn, pipes: self.pipes.clone(), arrivals: Vec::new() };
        Ok(Copied { old: self, new })
    }

    /// A restart by fork: `twin` stands for the child. The same must have happened to it as to this one.
    ///
    /// # Errors
    /// When a hook around the fork refuses.
    pub(super) fn fork_to(mut self, mut twin: Harness<S>, how: &Restart) -> Result<Copied<S, S>> {
        twin.turn.net.clock = self.turn.net.clock.clone(); // which shows the same
        self.turn.fork_to(&mut twin.turn, how)?;
        Ok(Copied { old: self, new: twin })
    }

    /// Time passes for both, once: they may have one clock.
    pub(super) fn advance_beside<N: Service>(&mut self, other: &mut Harness<N>, time: Duration) {
        let now = other.turn.net.clock.now();
        self.advance(time);
        other.turn.net.clock.set(now);
        other.advance(time);
    }

    /// The process dies, and those of its connections with it that the survivor has not.
    pub(super) fn die<N: Service>(mut self, survivor: &mut Harness<N>) {
        for (pipe, id) in &self.pipes {
            if self.turn.net.conn(*id).is_some() && survivor.turn.net.conn(*id).is_none() {
                let _ = pipe.shutdown(std::net::Shutdown::Both);
            }
        }
    }

    /// The ends of those connections that have come here, which were `others` before.
    pub(super) fn adopt(&mut self, others: &[(Pipe, ConnId)]) {
        for (pipe, id) in others {
            match self.pipes.iter_mut().find(|(_, known)| known == id) {
                Some(known) if self.turn.net.conn(*id).is_some() => known.0 = pipe.clone(),
                Some(_) => {}
                None => self.pipes.push((pipe.clone(), *id)),
            }
        }
    }
}

impl<S: Service, N: Service> Copied<S, N> {
    /// The new side is ready, so the old one stops accepting.
    pub fn release(&mut self) {
        self.old.turn.release_in_memory();
    }

    /// The new side takes over and serves.
    ///
    /// # Errors
    /// None in memory.
    pub fn serve(mut self) -> Result<(Harness<S>, Harness<N>)> {
        self.old.turn.taken_over_in_memory();
        self.new.know_of(&self.old);
        self.new.turn.serve_in_memory()?;
        self.new.note_arrivals();
        self.old.know_of(&self.new);
        self.old.settle();
        Ok((self.old, self.new))
    }

    /// The new side serves and stays, and nothing happens in between.
    ///
    /// # Errors
    /// None in memory.
    pub fn stay(mut self) -> Result<Harness<N>> {
        self.old.turn.taken_over_in_memory();
        self.new.turn.serve_in_memory()?;
        self.new.turn.commit_in_memory()?;
        self.old.turn.tell_end();
        self.old.die(&mut self.new);
        self.new.note_arrivals();
        Ok(self.new)
    }

    /// The new side dies. It has touched nothing.
    pub fn lose_new(self) -> Harness<S> {
        let Copied { mut old, mut new } = self;
        old.turn.lose_new_in_memory(&mut new.turn).expect(IN_MEMORY);
        old.note_arrivals();
        old
    }

    /// The old side dies, and what was to stay with it.
    pub fn lose_old(self) -> Harness<N> {
        let Copied { old, mut new } = self;
        old.die(&mut new);
        new.turn.lose_old_in_memory().expect(IN_MEMORY);
        new.note_arrivals();
        new
    }
}
