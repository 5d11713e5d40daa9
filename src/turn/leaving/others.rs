//! What generations that drain and the newest one have to say to each other, and the end of one that
//! does not leave.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    error::Result,
    limits::{INVENTORY_WORDS, REPORT_PATIENCE},
    log_target::DRAIN,
    net::{Deadline, Source},
    restart::{
        Phase,
        engine::task::Task,
        link::{LinkError, Message, Report, Talk},
    },
    service::Service,
    turn::{Turn, generation::Asked},
    verdict::{RestartError, Steps},
};

impl<S: Service> Turn<S> {
    /// What the newest generation says to this one, which drains.
    pub(in crate::turn) fn handle_newest(&mut self) -> Result {
        let mut taken = 0;
        loop {
            let Some(newest) = &mut self.succession.newest else { return Ok(()) };
            match newest.receive() {
                Ok(None) => return Ok(()),
                Ok(Some((Message::Dismissed { within, serves: None, after: None }, _))) => {
                    self.told_to_stop(within)?
                }
                Ok(Some((Message::Dismissed { within, serves: Some(_), .. }, _))) => {
                    self.told_to_make_room(within)?
                }
                Ok(Some((Message::Ask, _))) => {
                    let report = self.report();
                    if let Some(newest) = &mut self.succession.newest {
                        let _ = newest.send(&Message::Report(report), Vec::new());
                    }
                }
                Ok(Some((Message::Talk(Talk::Speakers { serves, others }), _))) => {
                    self.hear_speakers(serves, others);
                }
                Ok(Some((Message::Talk(talk), _))) => self.hear_talk(talk),
                Ok(Some((Message::Datagrams { forwarded }, _))) => {
                    if !self.deliver_some(forwarded, &mut taken, Source::Newest) {
                        return Ok(());
                    }
                }
                Ok(Some(_)) | Err(LinkError::Malformed(_)) => {}
                Err(_) => {
                    // Nobody will ask any more. What is left here is served all the same.
                    self.net.deregister(newest);
                    self.succession.newest = None;
                    self.lose_ways();
                    self.await_another();
                }
            }
        }
    }

    /// What the generations that drain say to this one, which is the newest.
    pub(in crate::turn) fn handle_older(&mut self) -> Result {
        let (mut gone, mut dismissed, mut given_up) = (Vec::new(), None, false);
        let (mut talks, mut lame_duck) = (Vec::new(), None);
        for (index, generation) in self.succession.older.iter_mut().enumerate() {
            let _ = generation.link.flush(); // one that is gone may have said something before
            loop {
                match generation.link.receive() {
                    Ok(None) => break,
                    Ok(Some((Message::Report(report), _))) => {
                        (generation.report, generation.asked) = (Some(report), false);
                    }
                    // It was told to drain before it had heard that this one stays.
                    Ok(Some((Message::Dismissed { after: Some(after), .. }, _))) => {
                        lame_duck = Some(after);
                    }
                    // It was told to stop when it had handed back and did not know that it was heard.
                    Ok(Some((Message::Dismissed { within, .. }, _))) => dismissed = Some(within),
                    Ok(Some((Message::Talk(talk), _))) => talks.push(talk),
                    // It has not heard that this one stays.
                    Ok(Some((Message::GivenUp, _))) => given_up = true,
                    Ok(Some(_)) | Err(LinkError::Malformed(_)) => {}
                    Err(_) => {
                        gone.push(index);
                        break;
                    }
                }
            }
        }
        talks.into_iter().for_each(|talk| self.hear_talk(talk));
        let is_news = !gone.is_empty();
        for index in gone.into_iter().rev() {
            let generation = self.succession.older.remove(index);
            self.net.deregister(&generation.link);
            log::info!(
                target: DRAIN,
                "generation {} is gone (pid {})",
                generation.who.generation,
                generation.who.pid
            );
        }
        if is_news {
            self.make_known(false);
        }
        self.answer_status();
        if given_up {
            self.given_up()?;
        }
        lame_duck.map_or(Ok(()), |after| self.told_of_lame_duck(after))?;
        dismissed.map_or(Ok(()), |within| self.dismissed(within))?;
        self.restart_deferred()
    }

    /// A generation that was told to leave by a deadline has not: nothing but force is left.
    pub(in crate::turn) fn older_overdue(&mut self) -> Result {
        self.handle_older()?;
        let now = self.net.heard();
        for generation in &self.succession.older {
            if generation.overdue.is_some_and(|overdue| overdue <= now) {
                // Its end of the link is open, so it lives, and the number is still its own.
                let who = generation.who;
                log::warn!(
                    target: DRAIN,
                    "generation {} does not leave: killed (pid {})",
                    who.generation,
                    who.pid
                );
                let _ = kill(Pid::from_raw(who.pid as i32), Signal::SIGKILL);
            }
        }
        Ok(())
    }

    /// The restart that has waited for a generation to leave.
    fn restart_deferred(&mut self) -> Result {
        if self.succession.phase != Phase::Serving
            || self.succession.living() >= self.succession.max_generations
        {
            return Ok(());
        }
        match self.succession.deferred.take() {
            Some((asked, begun)) => self.restart(asked, begun),
            None => Ok(()),
        }
    }

    pub(super) fn give_up_deferred(&mut self) {
        if let Some((Asked { how, by, cause }, begun)) = self.succession.deferred.take() {
            let generation = self.succession.last_generation + 1;
            let task = Task::new(how, by, cause, generation, begun);
            self.verdict(&task, Steps::default(), Err(RestartError::Stopped));
        }
    }

    /// Asks the other generations how they are; [`answer_status`](Self::answer_status) is called
    /// when they have answered. `false`: there is nobody to ask.
    pub(in crate::turn) fn ask_others(&mut self) -> bool {
        let mut asked = false;
        let supervisor = self.succession.supervisor.as_ref().map(|it| it.pid);
        // A supervisor that has just made this one is no generation.
        let others = self.succession.others_mut().filter(|it| Some(it.who.pid) != supervisor);
        for other in others {
            // The answer to an earlier question is as good; one that hangs is not asked again and again.
            other.asked = other.asked || other.link.send(&Message::Ask, Vec::new()).is_ok();
            asked |= other.asked;
        }
        if asked {
            self.net.set_deadline_in(REPORT_PATIENCE, Deadline::Reports);
        }
        asked
    }

    pub(in crate::turn) fn phase_name(&self) -> &'static str {
        match self.succession.preparation {
            Some(_) => "preparing", // which is serving, with a restart to come
            None if self.is_lame_duck() => "lame-duck",
            None => self.succession.phase.name(),
        }
    }

    /// How this process is.
    pub(in crate::turn) fn report(&mut self) -> Report {
        let inventory = self.inventory();
        let oldest = self.net.clients().map(|conn| conn.opened).min();
        Report {
            phase: self.phase_name().to_owned(),
            age: self.net.now().saturating_duration_since(self.succession.begun),
            connections: self.net.connections() as u64,
            oldest: oldest.map(|opened| self.net.stamp().since(opened)),
            holds: self.net.holds.len() as u64,
            held: self.net.holds.names(),
            unknown: Some(inventory.count() as u64),
            findings: inventory.words(INVENTORY_WORDS),
        }
    }
}
