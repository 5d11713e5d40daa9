//! Operators who wait for the end of a restart, or of a drain. Whatever that end is made of happens in some turn, so it
//! is looked for once in each, when all is decided that there is to decide. Who is replaced meanwhile answers nobody: the
//! connection ends, and the next generation is asked.

use crate::{
    limits::CONTROL_WAITERS,
    net::{ConnId, Phase as ConnPhase},
    operate::control::{self, Awaited},
    restart::Phase,
    service::Service,
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// Whoever waits has a place that nobody else can have, so not all may wait: who has waited longest makes room, and may
    /// have left long ago.
    pub(super) fn wait_until(&mut self, id: ConnId, awaited: Awaited) {
        self.forget_waiters_that_have_left();
        if self.succession.waiters.len() >= CONTROL_WAITERS {
            let (longest, _) = self.succession.waiters.remove(0);
            self.answer(longest, &control::crowded_out());
        }
        self.succession.waiters.push((id, awaited));
        self.wait_for_answer(id);
    }

    fn forget_waiters_that_have_left(&mut self) {
        let net = &mut self.net;
        self.succession
            .waiters
            .retain(|&(id, _)| net.conn(id).is_some_and(|conn| conn.phase == ConnPhase::Open));
    }

    /// Part of phase 6, behind all decisions: a restart that was asked for in this turn is under way by then.
    pub(in crate::turn) fn answer_waiters(&mut self) {
        if self.succession.waiters.is_empty() {
            return;
        }
        let generation = self.net.generation();
        for (id, awaited) in std::mem::take(&mut self.succession.waiters) {
            match awaited {
                Awaited::Quiet if self.is_quiet() => {
                    let text = format!("ok: generation {generation} serves, and no other is left");
                    self.answer(id, &text);
                }
                Awaited::Generation(number) if self.stays() && generation >= number => {
                    self.answer(id, &format!("ok: generation {generation} serves"));
                }
                _ => self.succession.waiters.push((id, awaited)),
            }
        }
    }

    /// Whether this process serves alone, and nothing is about to change that.
    fn is_quiet(&self) -> bool {
        self.succession.phase == Phase::Serving
            && self.succession.attempt.is_none()
            && !self.succession.waits_to_restart()
            && self.net.requests.is_empty()
            && self.net.standing.lame_duck.is_none()
            && self.succession.older.is_empty()
    }

    /// Whether this process is the one that has committed last.
    fn stays(&self) -> bool {
        let phase = self.succession.phase;
        phase == Phase::Serving || phase.makes_successor() || phase.has_released()
    }
}
