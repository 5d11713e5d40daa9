//! What a restart would come to, for an operator who asks before there is one.

use crate::{
    limits::INVENTORY_FINDINGS,
    net::ConnId,
    operate::check::{Check, Prospect},
    plan::{Engine, Restart},
    service::Service,
    system::look::threads,
    turn::{Turn, report::inventory::weigh},
};

impl<S: Service> Turn<S> {
    /// Looks, and begins nothing.
    pub(in crate::turn) fn answer_check(&mut self, id: ConnId) {
        let text = self.check().to_string();
        self.answer(id, &text);
    }

    fn check(&mut self) -> Check {
        let mailboxes = self.inboxes.count();
        let refused = self.may_restart().and_then(|()| self.may_be_one_more()).err();
        let refused = refused.map(|why| Prospect::Refused(why.to_string()));
        let launch = &self.succession.launch;
        let ready = launch.preflight().err().map(|why| Prospect::Refused(why.to_string()));
        let program = launch.identify().ok();
        let inventory = self.inventory();
        let fork = refused.clone().unwrap_or_else(|| {
            let how = self.template(Some(Engine::Fork));
            let strict = Restart { or_fork_exec: false, ..how.clone() };
            match weigh(&strict, mailboxes, || inventory.clone()) {
                Ok((Engine::Fork, _)) => Prospect::Possible,
                Ok((Engine::ForkExec, _)) => {
                    Prospect::Instead(format!("a fork would share {inventory}"))
                }
                Err(why) if how.or_fork_exec => Prospect::Instead(why.to_string()),
                Err(why) => Prospect::Refused(why.to_string()),
            }
        });
        let (named, thread_count) = threads(INVENTORY_FINDINGS);
        Check {
            fork,
            fork_exec: refused.or(ready).unwrap_or(Prospect::Possible),
            first: self.template(None).engine,
            program: self.succession.launch.program().display().to_string(),
            runs_already: program.is_some_and(|program| program.runs_already),
            threads: named,
            thread_count,
            mailboxes,
            inventory,
        }
    }
}
