//! The old side makes its successor: whether it may, by which engine, and what the new process is given.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use super::moving::Hitch;
use crate::{
    error::Result,
    limits::LEAVE_GRACE,
    log_target::RESTART,
    logging::Escaped,
    metrics::Metrics,
    net::{Deadline, Source},
    plan::{Engine, Restart},
    restart::{
        Event, Phase,
        engine::{
            attempt::{Attempt, Side},
            offer::{Offer, introduced},
            task::{Task, choose_engine},
        },
        fault::{self, Step},
        link::{Message, WayBack},
        transfer::record,
    },
    service::Service,
    turn::{
        Turn,
        generation::{Asked, AtMax, Generation},
    },
    verdict::{RestartError, Steps},
};

impl<S: Service> Turn<S> {
    /// Begins a restart that was asked for at `begun`, or refuses it.
    pub(in crate::turn) fn restart(&mut self, asked: Asked, begun: Instant) -> Result {
        let Asked { how, by, cause } = asked;
        let generation = self.succession.last_generation.max(self.net.generation()) + 1;
        self.tell_restarting();
        self.begin_restart(Task::new(how, by, cause, generation, begun))
    }

    /// Begins it, once nothing is to be waited for.
    pub(super) fn begin_restart(&mut self, task: Task) -> Result {
        let generation = task.generation;
        match self.with_reserve(|turn| turn.make_successor(task.clone())) {
            Ok(Some(attempt)) => {
                log::info!(
                    target: RESTART,
                    "restart: generation {generation} by {} is pid {}",
                    attempt.task.engine,
                    attempt.child.pid
                );
                self.attend(attempt)
            }
            Ok(None) => Ok(()), // we are the successor, or the restart has to wait
            Err(why) => {
                self.verdict(&task, Steps::default(), Err(why));
                Ok(())
            }
        }
    }

    /// Whether this process may make another at all.
    pub(in crate::turn) fn may_restart(&self) -> std::result::Result<(), RestartError> {
        match self.succession.phase {
            Phase::Serving if !self.succession.waits_to_restart() => {}
            phase if phase.drains() => return Err(RestartError::Draining),
            _ => return Err(RestartError::InProgress),
        }
        if self.net.standing.lame_duck.is_some() {
            return Err(RestartError::Draining);
        }
        if std::process::id() == 1 {
            return Err(RestartError::FirstProcess);
        }
        Ok(())
    }

    fn make_successor(&mut self, task: Task) -> std::result::Result<Option<Attempt>, RestartError> {
        self.may_restart()?;
        if self.succession.living() >= self.succession.max_generations {
            return self.make_room_for(task).map(|()| None);
        }
        let engine = choose_engine(&task.how, self.inboxes.count())?;
        let task = Task { engine, ..task };
        let Some(task) = self.prepare(task) else { return Ok(None) };
        self.mend_paths();
        match task.engine {
            Engine::ForkExec => self.start_program(task),
            Engine::Fork => match self.before_fork() {
                Ok(()) => self.fork_if_shared(task),
                Err(reason) if task.how.or_fork_exec => {
                    log::info!(target: RESTART, "before_fork: {}: fork-exec instead", Escaped(reason));
                    self.start_program(Task { engine: Engine::ForkExec, ..task })
                }
                Err(reason) => Err(RestartError::BeforeFork { reason }),
            },
        }
    }

    /// What the service holds by now, after it has closed what must not be shared, may yet forbid the fork.
    fn fork_if_shared(&mut self, task: Task) -> std::result::Result<Option<Attempt>, RestartError> {
        match self.choose(&task.how) {
            Ok((Engine::Fork, inventory)) => self.fork(Task { inventory, ..task }),
            Ok((engine, inventory)) => {
                self.after_fork_in_parent();
                self.start_program(Task { engine, inventory, ..task })
            }
            Err(why) => {
                self.after_fork_in_parent();
                Err(why)
            }
        }
    }

    fn start_program(&self, task: Task) -> std::result::Result<Option<Attempt>, RestartError> {
        self.succession.launch.preflight()?;
        match task.how.check.clone() {
            Some(flag) => Attempt::check(task, &self.succession.launch, &flag).map(Some),
            None => self.exec(task).map(Some),
        }
    }

    fn fork(&mut self, task: Task) -> std::result::Result<Option<Attempt>, RestartError> {
        let this = self.succession.identity(&self.net);
        let Restart { probation, ready_within, .. } = task.how;
        let (generation, way_back) = (task.generation, WayBack::of(&task.how, record::VERSION));
        if task.how.moves
            && let Err(reason) = self.freeze()
        {
            self.net.thaw();
            self.after_fork_in_parent();
            return Err(RestartError::Failed { reason, stderr: String::new() });
        }
        let forked = Attempt::fork(task);
        if forked.is_err() {
            if self.net.frozen {
                self.net.thaw();
            }
            self.after_fork_in_parent();
        }
        match forked? {
            Side::Old(mut attempt) => {
                self.succession.heap.forked(attempt.child.id());
                self.net.shared = true; // until the child has closed its copies
                self.net.alarms.suspend_all();
                if self.net.frozen {
                    attempt.hurry(self.net.frozen_at);
                }
                self.after_fork_in_parent(); // what it sets and ends from here on is this side's own
                Ok(Some(*attempt))
            }
            Side::New(link, old) => {
                self.succession.probation = probation;
                self.succession.ready_within = ready_within;
                let old = Generation::with_process(this, link, old);
                self.become_successor(old, generation, way_back);
                Ok(None)
            }
        }
    }

    /// What cannot be found any more is not passed on, but bound anew: the new side begins with paths that
    /// lead to it, and if it does not last, this one has them.
    pub(in crate::turn) fn mend_paths(&mut self) {
        if self.net.mend_paths() {
            self.tell_main(); // the supervisor holds the same sockets
        }
    }

    fn exec(&self, task: Task) -> std::result::Result<Attempt, RestartError> {
        let this = self.succession.identity(&self.net);
        let attempt = Attempt::exec(task, &self.succession.launch, this)?;
        if let Some(program) = &attempt.task.program {
            log::info!(target: RESTART, "restart: the program is {program}");
            if program.runs_already {
                log::warn!(
                    target: RESTART,
                    "restart: {} is the very file that already runs: no other version is started",
                    program.path.display()
                );
            }
        }
        Ok(attempt)
    }

    /// The new program is up, as process `pid`: it gets what it needs before its `main` goes on.
    pub(in crate::turn) fn offer_to_new(
        &mut self,
        pid: u32,
        fds: Vec<OwnedFd>,
    ) -> std::result::Result<(), String> {
        let Some(mut attempt) = self.succession.attempt.take() else { return Ok(()) };
        attempt.link.iter().for_each(|link| self.net.deregister(link));
        let older = self.succession.older.iter();
        let offer = Offer {
            listeners: introduced(self.net.passed_on()),
            older: older.map(|generation| (generation.who, generation.link.as_fd())).collect(),
            supervisor: self.succession.supervisor.as_ref().map(|s| (s.pid, s.as_fd())),
            numbers: self.net.metrics.as_ref().map(Metrics::as_fd),
            worker: self.net.worker,
        };
        let mut made = attempt.offer(pid, fds, offer);
        if let (Ok(()), Some(link)) = (&made, &mut attempt.link) {
            fault::point(Step::OldOffered, Some(link));
            made = self.net.register(link, Source::Link).map_err(|e| e.to_string());
        }
        self.succession.attempt = Some(attempt);
        made
    }

    /// Whether there may be one more generation, or will be when the oldest has left.
    pub(in crate::turn) fn may_be_one_more(&self) -> std::result::Result<(), RestartError> {
        let living = self.succession.living();
        let oldest = self.succession.older.first();
        match (self.succession.at_max, oldest) {
            _ if living < self.succession.max_generations => Ok(()),
            (AtMax::DismissOldest(_), Some(_)) => Ok(()),
            _ => {
                let this = self.succession.identity(&self.net);
                let who = oldest.map_or(this, |oldest| oldest.who);
                Err(RestartError::TooMany { living, oldest: (who.generation, who.pid) })
            }
        }
    }

    /// There are as many generations as there may be: the oldest is told to leave, if that is the rule.
    fn make_room_for(&mut self, task: Task) -> std::result::Result<(), RestartError> {
        self.may_be_one_more()?;
        let oldest = self.succession.older.first_mut();
        let (AtMax::DismissOldest(within), Some(oldest)) = (self.succession.at_max, oldest) else {
            return Ok(());
        };
        log::info!(
            target: RESTART,
            "restart: waits for generation {} to leave within {within:?}",
            oldest.who.generation
        );
        let serves = Some(self.net.generation());
        let word = Message::Dismissed { within: Some(within), serves, after: None };
        let _ = oldest.link.send(&word, Vec::new());
        let overdue = self.net.set_deadline_in(within + LEAVE_GRACE, Deadline::OlderOverdue);
        oldest.overdue = Some(overdue);
        self.succession.deferred =
            Some((Asked { how: task.how, by: task.by, cause: task.cause }, task.begun));
        Ok(())
    }

    /// Watches over a new side, or a check, that was just made.
    fn attend(&mut self, mut attempt: Attempt) -> Result {
        attempt.deaf = self.net.deaf();
        attempt.link.iter_mut().for_each(|link| fault::point(Step::OldMade, Some(link)));
        let watched = self.watch_new(&attempt);
        self.net.set_deadline(attempt.overdue, Deadline::NewOverdue);
        let begun = match attempt.task.engine {
            Engine::Fork => Event::Forked,
            Engine::ForkExec => Event::Begun,
        };
        self.succession.attempt = Some(attempt);
        self.advance(begun)?;
        self.give_up_unless(watched.map_err(Hitch::from))
    }

    fn watch_new(&self, attempt: &Attempt) -> Result {
        if let Some(link) = &attempt.link {
            self.net.register(link, Source::Link)?;
        }
        if let Some(stderr) = &attempt.stderr {
            self.net.register(stderr, Source::Stderr)?;
        }
        self.net.register(&attempt.child, Source::Child)
    }

    /// The program says that it would serve: so it is started.
    pub(in crate::turn) fn go_on_after_check(&mut self) -> Result {
        let Some(Attempt { task, .. }) = self.detach() else { return Ok(()) };
        match self.with_reserve(|turn| turn.exec(task.clone())) {
            Ok(attempt) => self.attend(attempt),
            Err(why) => {
                self.advance(Event::NewGone)?;
                self.verdict(&task, Steps::default(), Err(why));
                Ok(())
            }
        }
    }
}
