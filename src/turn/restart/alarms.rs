//! Who has the alarms in a restart. They go with the state of the service: from the old side to the new
//! one when that is copied, and back if the new one does not last.
//!
//! ```text
//!  old                                    new
//!   |  fork: a copy of the heap         -> | set, standing still
//!   |  exec: Alarms, State              -> | kept until it serves
//!  standing still                          |
//!   |  Released                         -> | go on
//!   |                                   <- | Alarms: what went off, what was set, what was cleared
//!   |                                   <- | Committed: the old side forgets them
//!  go on, as they stand by now             | or it is gone, or TakeBack: standing still
//! ```
//!
//! Were they left to the old side until it releases, what goes off in between would be missing in the
//! copy's memory, or be done twice. While they stand still their clock goes on: what comes due meanwhile
//! goes off afterwards. The old side reads all that was said before it takes a dead new side's place, so
//! they are never live in both. If the old side dies after the copy the new one has them; before it, there
//! is no new side, and they are lost like everything in its memory.

use std::time::Duration;

use crate::{
    limits::ALARMS_PER_MESSAGE,
    restart::{
        Phase,
        engine::attempt::Attempt,
        link::{AlarmWord, Message, Rollback},
    },
    service::Service,
    tasks::{Alarm, AlarmChange},
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// An alarm goes off. That it did is told at once: were it told before, one that ends the process
    /// would be lost; were it told later, more of them would be repeated.
    pub(in crate::turn) fn fire_alarm(&mut self, key: Alarm) {
        let service = &mut self.service;
        guard_process(&mut self.net, "on_alarm", |net| service.on_alarm(net, key));
        self.tell_alarms();
    }

    /// On a new side that serves: tells the old one what is new about the alarms, if it may yet get them
    /// back. One that hangs is told when it reads again how they stand by then, and not all that was.
    pub(in crate::turn) fn tell_alarms(&mut self) {
        let old = self.succession.old.as_ref();
        if old.is_none_or(|old| !old.link.has_unsent()) {
            self.tell_alarms_at_last();
        }
    }

    /// The same, before a word that rests on it.
    pub(in crate::turn) fn tell_alarms_at_last(&mut self) {
        if !self.net.alarms.has_changes() {
            return;
        }
        let news = self.net.alarms.take_changes(self.net.clock.now());
        if self.net.poll.is_none() && self.succession.old.is_none() {
            return self.net.staged.alarms.push((self.net.now(), news)); // in a test
        }
        if let Some(old) = &mut self.succession.old {
            for message in messages(&news) {
                // A failure means that the old side is gone; the link will say so.
                let _ = old.link.send(&message, Vec::new());
            }
        }
    }

    /// On an old side, whose state was just saved: the alarms for the new program.
    pub(in crate::turn) fn hand_over_alarms(&mut self) -> Vec<Message> {
        self.net.alarms.suspend_all();
        messages(&self.net.alarms.suspended(self.net.clock.now())).collect()
    }

    /// On an old side that has released: the new one's word about the alarms.
    pub(in crate::turn) fn handle_alarms(&mut self, words: Vec<AlarmWord>) {
        if matches!(self.succession.phase, Phase::Released | Phase::TakingBack) {
            self.net.alarms.apply_changes(news(words), self.net.clock.now());
        }
    }

    /// The same of one that has ended, and what else it had said and nobody has heard.
    pub(in crate::turn) fn drain_link(&mut self, attempt: &mut Attempt) -> Unheard {
        let mut unheard = Unheard::default();
        for (message, fds) in attempt.unheard() {
            match message {
                Message::Rollback(Rollback::State { .. }) | Message::Connections { .. } => {
                    self.receive_back(message, fds)
                }
                Message::Rollback(Rollback::Kept) => self.forget_taken_back(),
                Message::TakenOver => unheard.taken_over = true,
                Message::Alarms(words) => self.handle_alarms(words),
                Message::Talk(talk) => self.hear_talk(talk),
                Message::Dismissed { after: Some(after), .. } => unheard.lame_duck = Some(after),
                Message::Dismissed { within, .. } => unheard.dismissed = Some(within),
                _ => {}
            }
        }
        unheard
    }

    /// On a new program that does not serve yet.
    pub(in crate::turn) fn inherit_alarms(&mut self, words: Vec<AlarmWord>) {
        if self.succession.phase == Phase::Waiting {
            self.net.alarms.inherit(news(words), self.net.clock.now());
        }
    }
}

/// What a new side had said before it ended.
#[derive(Default)]
pub(in crate::turn) struct Unheard {
    /// It had taken over the connections.
    pub taken_over: bool,
    /// It had been told to stop, within this time.
    pub dismissed: Option<Option<Duration>>,
    /// It had been told to drain, after this time.
    pub lame_duck: Option<Duration>,
}

fn news(words: Vec<AlarmWord>) -> Vec<AlarmChange> {
    words.into_iter().map(|AlarmWord { key, times }| (Alarm(key), times)).collect()
}

fn messages(news: &[AlarmChange]) -> impl Iterator<Item = Message> {
    let word = |&(Alarm(key), times): &AlarmChange| AlarmWord { key, times };
    news.chunks(ALARMS_PER_MESSAGE)
        .map(move |part| Message::Alarms(part.iter().map(word).collect()))
}
