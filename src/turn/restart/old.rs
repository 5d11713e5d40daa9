//! The old side of a restart that has begun: hears the new process, and takes back what it gave if
//! that one does not last.

use std::os::fd::OwnedFd;

use super::{
    heard::{complaint, is_step},
    moving::Hitch,
};
use crate::{
    error::Result,
    limits::SERIALS_APART,
    net::{Deadline, Source},
    restart::{
        Event, Phase,
        engine::attempt::{Attempt, check_speaker},
        fault::{self, Step},
        link::{Identity, LinkError, Message, Relay, Rollback, Talk},
        step,
    },
    service::{Service, Start},
    turn::{Turn, generation::Generation},
    verdict::RestartError,
};

impl<S: Service> Turn<S> {
    /// What the new side says to this one.
    pub(in crate::turn) fn handle_new(&mut self) -> Result {
        let mut taken = 0;
        loop {
            let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
            let Some(link) = &mut attempt.link else { return Ok(()) };
            let mut receive = || (link.flush().ok(), link.receive()).1; // who is gone may have spoken
            // One that has just been started comes with a descriptor of its own.
            let received = if attempt.offered { receive() } else { self.net.reserve.lend(receive) };
            let event = match received {
                Ok(None) => return Ok(()),
                Ok(Some((Message::Ready { pid }, _)))
                    if check_speaker(&attempt.child, pid).is_ok() =>
                {
                    Event::Ready
                }
                // A side that has died since is none to retire for.
                Ok(Some((Message::Committed, _))) if link.is_cut() => {
                    self.succession.heap.stays(attempt.child.id()); // what it has forked lives on
                    continue;
                }
                Ok(Some((Message::Committed, _))) => Event::Committed,
                Ok(Some((Message::Rollback(Rollback::TakeBack { reason, number }), _))) => {
                    attempt.handed_back = Some(reason);
                    self.succession.returned.number = number;
                    Event::TakeBack
                }
                Ok(Some((Message::Rollback(Rollback::HandedBack), _))) => Event::HandedBack,
                Err(why @ LinkError::NoRoom) if self.succession.phase == Phase::Released => {
                    self.miss_back(&why);
                    continue;
                }
                Ok(Some((Message::Datagrams { forwarded }, _))) => {
                    if !self.deliver_some(forwarded, &mut taken, Source::Link) {
                        return Ok(());
                    }
                    continue;
                }
                Ok(Some((word, fds))) if !is_step(&word) => {
                    self.heed_new(word, fds)?;
                    continue;
                }
                // While this side accepts, there is time to hear how the new one ends.
                Err(LinkError::Closed) if self.succession.phase.accepts() => {
                    self.await_end();
                    return Ok(());
                }
                Err(LinkError::Closed) => {
                    self.give_up(Attempt::died)?;
                    continue;
                }
                other => {
                    let why = complaint(other);
                    self.handle_scribe()?; // a stream that is cut off is its doing
                    self.give_up(|attempt| attempt.failed(why))?;
                    continue;
                }
            };
            self.take_step(event)?;
        }
    }

    /// Whether it changes anything: a word that does not is one out of turn.
    fn is_in_turn(&self, event: Event) -> bool {
        step(self.succession.phase, event).0 != self.succession.phase
    }

    /// The new side has said something that the state machine decides about.
    fn take_step(&mut self, event: Event) -> Result {
        if !self.is_in_turn(event) {
            return self
                .give_up(|attempt| attempt.failed(format!("it said {event:?} out of turn")));
        }
        self.advance(event)
    }

    /// What a new program asks for, each in its turn.
    fn give_to_new(&mut self, word: Message, fds: Vec<OwnedFd>) -> std::result::Result<(), Hitch> {
        let is_applying = self.copying(|copying| copying.rounds.is_under_way()) == Some(true);
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        match word {
            Message::Connect { pid } if !attempt.offered => {
                Ok(self.with_reserve(|turn| turn.offer_to_new(pid, fds))?)
            }
            Message::Claim { pid, unwanted, records } if attempt.offered => {
                check_speaker(&attempt.child, pid)?;
                attempt.shipment.records = records;
                attempt.unwanted = unwanted.into_iter().map(|place| place as usize).collect();
                Ok(())
            }
            Message::Applied { took } if is_applying => {
                self.applied(took);
                Ok(())
            }
            Message::Taken if attempt.shipment.in_flight > 0 => {
                attempt.shipment.in_flight -= 1;
                self.send_connections()
            }
            other => Err(format!("it said {other:?} out of turn").into()),
        }
    }

    /// What the new side says beside the steps of the restart.
    fn heed_new(&mut self, word: Message, fds: Vec<OwnedFd>) -> Result {
        match word {
            Message::Claim { .. } if self.is_in_turn(Event::Claimed) => {
                return match self.give_to_new(word, fds) {
                    Ok(()) => self.advance(Event::Claimed),
                    refused => self.give_up_unless(refused),
                };
            }
            Message::Connect { .. } | Message::Applied { .. } | Message::Taken => {
                let given = self.give_to_new(word, fds);
                return self.give_up_unless(given);
            }
            Message::Loaded { bytes } => {
                fault::point(Step::OldLoaded, self.succession.link_to_new());
                self.copying(|copying| copying.bytes += bytes);
                return self.take_step(Event::Loaded);
            }
            Message::Rollback(Rollback::State { .. }) | Message::Connections { .. } => {
                self.receive_back(word, fds)
            }
            Message::Rollback(Rollback::Kept) => return self.kept(),
            Message::TakenOver => self.taken_over(),
            Message::Serving { after } => self.new_side_serves(after),
            Message::Alarms(words) => self.handle_alarms(words),
            Message::Talk(talk) if self.succession.phase.has_released() => match talk {
                Talk::Speakers { serves, others } => self.hear_speakers(serves, others),
                talk => self.hear_talk(talk),
            },
            Message::Talk(_) => {
                let why = "it told something before it serves";
                return self.give_up(|attempt| attempt.failed(why.to_owned()));
            }
            Message::TicketKeys => self.inherit_tickets(fds),
            Message::Dismissed { after: Some(after), .. } => return self.told_of_lame_duck(after),
            // It was told to stop, and so the service was: also if it has left by now.
            Message::Dismissed { within, .. } => return self.dismissed(within),
            Message::Claim { .. } => return self.take_step(Event::Claimed),
            _ => {
                let report = self.report();
                self.tell_new(&Message::Report(report));
            }
        }
        Ok(())
    }

    pub(super) fn tell_new(&mut self, message: &Message) {
        // A link that does not take it is closed; it will say so itself.
        if let Some(link) = self.succession.link_to_new() {
            let _ = link.send(message, Vec::new());
        }
    }

    /// Processes that this one has made and that have ended.
    pub(in crate::turn) fn handle_children(&mut self) -> Result {
        self.handle_new()?; // it may have said why before it died
        self.reap_children();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        if !attempt.child.has_ended() {
            return self.handle_scribe();
        }
        match (attempt.is_check(), attempt.child.has_succeeded()) {
            (true, true) => self.go_on_after_check(),
            (true, false) => self.give_up(Attempt::unfit),
            (false, _) => self.give_up(Attempt::died),
        }
    }

    /// Ends the attempt, in the way that `end` ends the new side, and goes on without it.
    pub(in crate::turn) fn give_up(
        &mut self,
        end: impl FnOnce(&mut Attempt) -> RestartError,
    ) -> Result {
        let Some(mut attempt) = self.detach() else { return Ok(()) };
        let why = end(&mut attempt);
        self.succession.heap.ended(attempt.child.id());
        self.clear_up_after(attempt.child.id());
        let unheard = self.drain_link(&mut attempt);
        self.take_back_what_has_come();
        if unheard.taken_over {
            self.let_go();
        }
        self.advance(Event::NewGone)?;
        self.verdict(&attempt.task, attempt.steps, Err(why));
        unheard.lame_duck.map_or(Ok(()), |after| self.told_of_lame_duck(after))?;
        unheard.dismissed.map_or(Ok(()), |within| self.dismissed(within))
    }

    pub(in crate::turn) fn give_up_unless(
        &mut self,
        done: std::result::Result<(), Hitch>,
    ) -> Result {
        let now = self.net.clock.now();
        match done {
            Ok(()) => Ok(()),
            Err(Hitch::Failed(why)) => self.give_up(|attempt| attempt.failed(why)),
            Err(Hitch::Overrun(saving)) => self.give_up(|attempt| attempt.overrun(now, saving)),
        }
    }

    /// Takes the attempt out of everything.
    pub(in crate::turn) fn detach(&mut self) -> Option<Attempt> {
        let attempt = self.succession.attempt.take()?;
        if let Some(link) = &attempt.link {
            self.net.deregister(link);
        }
        if let Some(stderr) = &attempt.stderr {
            self.net.deregister(stderr);
        }
        self.net.deregister(&attempt.child);
        self.net.cancel_deadline(attempt.overdue, Deadline::NewOverdue);
        self.net.shared = false;
        Some(attempt)
    }

    /// The new side is ready: this one stops accepting where that one does, and keeps its listeners in case it
    /// dies.
    pub(in crate::turn) fn release(&mut self) -> Result {
        self.net.shared &= self.net.frozen; // the child is past closing its copies of what stays
        let now = self.net.clock.now();
        let Some(attempt) = &mut self.succession.attempt else { return Ok(()) };
        fault::point(Step::OldReady, attempt.link.as_mut());
        attempt.steps.ready = Some(now.saturating_duration_since(attempt.task.begun));
        self.succession.last_generation = attempt.task.generation;
        let unwanted = attempt.unwanted.clone();
        self.succession.returned = Default::default();
        self.net.part(self.net.conns.end());
        self.net.last_serial += SERIALS_APART; // the new side's may come here with their names
        self.net.stop_accepting(&unwanted);
        self.net.stop_reading(&unwanted);
        self.tell_new(&Message::Retiring);
        fault::point(Step::OldRetiring, self.succession.link_to_new());
        // From here on the new side talks with them.
        for generation in &self.succession.older {
            self.net.deregister(&generation.link);
        }
        self.answer_status_now(); // what they say from here on is not heard here
        self.discard_forwarded();
        self.succession.older.iter_mut().for_each(|it| it.relay = Relay::default());
        self.tell_retired();
        self.reschedule(Attempt::prove);
        if self.net.frozen {
            self.reschedule(Attempt::hurry);
        }
        self.tell_new(&Message::Released);
        fault::point(Step::OldReleased, self.succession.link_to_new());
        Ok(())
    }

    /// The new side has the connections. Until it said so, they were still this one's if it died.
    fn taken_over(&mut self) {
        if !self.net.frozen {
            return;
        }
        self.let_go();
        self.reschedule(Attempt::prove);
    }

    /// The new side is gone, or does not want to serve: this one accepts again.
    pub(in crate::turn) fn resume(&mut self) -> Result {
        for generation in &mut self.succession.older {
            generation.asked = false; // the new side may have heard the answer
            self.net.register(&generation.link, Source::Older)?;
        }
        self.make_known(true);
        self.net.alarms.resume_all();
        self.net.be_alone();
        let mut gone = std::mem::take(&mut self.succession.moved);
        gone.retain(|&id| self.net.conn(id).is_none());
        self.start_serving(Start::Resumed { gone })?;
        if self.net.frozen {
            self.net.thaw();
        }
        if let Some(mut attempt) = self.detach() {
            let why = attempt.rolled_back();
            let (task, steps) = (attempt.task.clone(), attempt.steps);
            self.let_live(attempt)?;
            self.verdict(&task, steps, Err(why));
        }
        Ok(())
    }

    /// A new side that lives on, to serve what it has.
    fn let_live(&mut self, mut attempt: Attempt) -> Result {
        self.go_on_hearing(&mut attempt)?;
        let who = attempt.identity();
        let who = Identity { words: self.net.words.knows(who.generation), ..who };
        if let Some(link) = attempt.link {
            self.net.register(&link, Source::Older)?;
            self.succession.older.push(Generation::new(who, link));
        }
        self.look_after(who.generation, attempt.child);
        Ok(())
    }

    pub(in crate::turn) fn say_resumed(&mut self) {
        if let Some(newcomer) = self.succession.older.last_mut() {
            let _ = newcomer.link.send(&Message::Resumed, Vec::new());
            fault::point(Step::OldResumed, Some(&mut newcomer.link));
        }
        self.make_known(true); // now that it knows whom it follows
    }

    /// This side has to go, so the new one is not wanted.
    pub(in crate::turn) fn abandon(&mut self) {
        if let Some(mut attempt) = self.detach() {
            let why = attempt.abandoned();
            self.succession.heap.ended(attempt.child.id());
            self.clear_up_after(attempt.child.id());
            self.go_on();
            self.verdict(&attempt.task, attempt.steps, Err(why));
        }
    }

    /// What stood still for the new side is this one's.
    pub(in crate::turn) fn go_on(&mut self) {
        if self.net.frozen {
            self.net.thaw();
        }
        self.net.alarms.resume_all();
    }

    /// This side was told to end the service, of which the new side is a part by now. It is told so with
    /// the others.
    pub(in crate::turn) fn dismiss_new(&mut self) -> Result {
        self.let_go(); // it was released, and takes them over before it leaves
        self.forget_taken_back();
        let Some(attempt) = self.detach() else { return Ok(()) };
        self.succession.heap.stays(attempt.child.id()); // it may have committed meanwhile
        self.verdict(&attempt.task, attempt.steps, Err(RestartError::Stopped));
        self.let_live(attempt)
    }
}
