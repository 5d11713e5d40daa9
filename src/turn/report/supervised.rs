//! What a generation tells its supervisor, if it has one.

use crate::{
    metrics::Metrics,
    net::{Deadline, Source},
    restart::{Phase, engine::child::Child, link::Identity},
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// This process serves.
    pub(in crate::turn) fn tell_main(&mut self) {
        let who = self.succession.identity(&self.net);
        let maker = self.succession.old.as_ref().map(|old| old.who.pid);
        if let Some(supervisor) = &mut self.succession.supervisor {
            self.net.reserve.open();
            let numbers = self.net.metrics.as_ref().map(Metrics::as_fd);
            supervisor.say_main(who, maker, numbers, self.net.passed_on());
            self.net.fill_reserve();
        }
        if self.succession.manager.begins_to_turn() {
            self.tell_turns();
        }
    }

    /// The loop turns: the supervisor sends the manager's watchdog its pings, as long as that is so.
    pub(in crate::turn) fn tell_turns(&mut self) {
        if let (Some(every), Some(supervisor)) =
            (self.succession.manager.turn_every(), &mut self.succession.supervisor)
            && !self.net.draining
        {
            supervisor.say_turns();
            self.net.set_deadline_in(every, Deadline::Watchdog);
        }
    }

    /// Another generation serves.
    pub(in crate::turn) fn tell_retirement(&mut self) {
        self.succession.supervisor.iter_mut().for_each(|supervisor| supervisor.say_retired());
    }

    /// The service is to end, in a while.
    pub(in crate::turn) fn tell_lame_duck(&mut self) {
        self.succession.supervisor.iter_mut().for_each(|supervisor| supervisor.say_lame_duck());
    }

    /// The service is to end.
    pub(in crate::turn) fn tell_leaving(&mut self) {
        self.succession.supervisor.iter_mut().for_each(|supervisor| supervisor.say_leaving());
    }

    /// A process that this one has made and that is to live on is reaped when it ends: at once, where it
    /// has been quicker than this one.
    pub(in crate::turn) fn look_after(&mut self, generation: u64, child: Child) {
        if self.net.register(&child, Source::Child).is_ok() {
            self.succession.children.push((generation, child));
            self.reap_children();
        }
    }

    /// Reaps those that this process has made. The supervisor cannot, while this one lives; but it writes the journal.
    pub(in crate::turn) fn reap_children(&mut self) {
        self.succession.helpers.retain_mut(|helper| !helper.has_ended());
        let ended: Vec<_> =
            self.succession.children.extract_if(.., |(_, child)| child.has_ended()).collect();
        for (generation, child) in ended {
            let pid = child.id();
            self.succession.heap.ended(pid);
            match (&mut self.succession.supervisor, child.code()) {
                (Some(supervisor), Some(code)) => supervisor.say_ended(pid, code),
                (None, Some(code)) => self.note_death(generation, pid, code),
                (_, None) => {}
            }
        }
    }

    /// The newest generation is gone. If it has crashed, the supervisor makes another, which shall find
    /// this one.
    pub(in crate::turn) fn await_another(&mut self) {
        let who = self.succession.identity(&self.net);
        if self.succession.phase == Phase::Retired
            && let Some(supervisor) = &mut self.succession.supervisor
            && let Some(link) = supervisor.offer_link(who)
            && self.net.register(&link, Source::Newest).is_ok()
        {
            self.succession.newest = Some(link);
        }
    }

    /// Whether `who` is the supervisor, which is no generation and has nothing to drain.
    pub(in crate::turn) fn is_supervisor(&self, who: Identity) -> bool {
        self.succession.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == who.pid)
    }
}
