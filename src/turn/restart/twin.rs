//! A fork without processes, for the harness. A fork makes two processes with the same memory. Where nothing is left to
//! chance, so does doing the same twice: the child is a twin, to which all has happened that has happened to the
//! parent. Nothing need be copied, and no two have a part of the heap in common.

use super::in_memory::CHILD;
use crate::{
    error::Result,
    plan::Restart,
    restart::{Phase, link::WayBack, transfer::record},
    service::Service,
    turn::{
        Turn,
        generation::{Handback, Succession},
    },
};

impl<S: Service> Turn<S> {
    /// Up to where `twin` is ready, as [`copy_to`](Self::copy_to) is for a new program.
    ///
    /// # Errors
    /// When there is to be no fork, or the child cannot take over. This side has gone on by then.
    pub fn fork_to(&mut self, twin: &mut Turn<S>, how: &Restart) -> Result {
        self.net.staged.how = Some(how.clone());
        self.before_fork()?;
        twin.before_fork()?; // what it has closed is closed in the copy
        self.succession.phase = Phase::Handed;
        self.succession.heap.forked(CHILD);
        let forked = self.try_fork_to(twin, how);
        if let Err(why) = &forked {
            self.give_up_in_memory(why.to_string());
        }
        forked
    }

    fn try_fork_to(&mut self, twin: &mut Turn<S>, how: &Restart) -> Result {
        if how.moves {
            self.freeze()?;
            twin.freeze()?;
        }
        self.net.shared = true;
        self.net.alarms.suspend_all();
        self.after_fork_in_parent();
        twin.become_child(self.net.generation() + 1, how)
    }

    fn become_child(&mut self, generation: u64, how: &Restart) -> Result {
        self.succession = Succession {
            handback: Some(Handback::new(WayBack::of(how, record::VERSION))),
            ..Succession::forked_in_memory(self.net.clock.now())
        };
        self.part_from_parent(generation, || Ok(None))?;
        self.after_fork_in_child()
    }
}
