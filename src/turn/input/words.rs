//! Words between generations that live side by side: how they find their way, and when the service is told.
//!
//! *The ways* are the links that there are. The newest generation has one to each older one, so what an older one
//! tells another goes through the newest, which passes it on (`Relay`) and does not look into it. In a restart:
//!
//! | | the old side | the new side | older ones |
//! |---|---|---|---|
//! | up to `Released` | to each on its own link; of the new side it knows nothing | nobody is known | through the old side |
//! | until it commits | all through the new side, which has said that it can be told something | to each on its own link | through the new side |
//! | and is frozen | words wait in the process that they are for; what is passed on goes on | as well | |
//! | new side committed | as an older one | as the newest | through the new side |
//! | new side gone | as before; what was told to the new one comes back | | through the old side |
//! | rolled back | as the newest; the new side is an older one | through the old side, as an older one | through the old side |
//!
//! *Nothing is lost on the way.* Who tells keeps a word until it hears that it was taken, by the service (`Heard`).
//! The generation in between may die, or may not be the newest any more, with words of others: whoever is the newest from
//! then on says so to all (`Speakers`), and they say again what nobody has taken. Numbers see to it that a word is
//! taken once and none is taken before one that was told earlier.
//!
//! *A restart needs no step for this.* No side waits for a word, none decides by one, and a word that is under way when the
//! processes change places comes all the same. So the table and its model know nothing of words, and a side
//! that hangs or a link that is full holds up words and nothing else. Nor is a word a part of what moves: it stays in
//! the process that has told it, and goes to the process that it was told to, whoever serves by then.
//!
//! *What comes back* (`on_undelivered`) is what was told to a process that has ended, or that nobody can reach any more: the
//! newest is gone, and with it the ways between those that it has replaced. One that has died within the turn in
//! which it took a word has told nobody, so that word comes back although it was taken.

use crate::{
    limits::WORD_BUDGET,
    net::Net,
    restart::link::{Identity, Link, Message, Talk},
    service::Service,
    tasks::{OtherGeneration, Words},
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// Part of phase 2: what other generations have told this one, and what comes back, up to the budget. While
    /// connections are frozen it waits, like mail.
    pub(in crate::turn) fn receive_words(&mut self) {
        for _ in 0..WORD_BUDGET {
            if !self.may_be_told() || !self.tell_word() {
                return;
            }
        }
    }

    /// `false`: nothing is left.
    fn tell_word(&mut self) -> bool {
        let service = &mut self.service;
        if let Some((to, word)) = self.net.words.take_lost() {
            guard_process(&mut self.net, "on_undelivered", |net| {
                service.on_undelivered(net, to, word);
            });
        } else if let Some((from, number, word)) = self.net.words.take() {
            guard_process(&mut self.net, "on_word", |net| service.on_word(net, from, &word));
            self.net.words.taken(from, number);
        } else {
            return false;
        }
        true
    }

    /// After the last turn: nothing that has come is lost, and what has not left comes back.
    pub(in crate::turn) fn tell_last_words(&mut self) {
        while self.tell_word() {}
        self.send_words();
        self.net.words.end();
        while self.tell_word() {}
    }

    /// Sends what the links take now, each on its way.
    pub(in crate::turn) fn send_words(&mut self) {
        let Turn { succession, net, .. } = self;
        if succession.phase.has_released() {
            if let Some(attempt) = &mut succession.attempt
                && net.words.knows(attempt.task.generation)
                && let Some(link) = &mut attempt.link
            {
                say(net, link, |_| true);
            }
        } else if let Some(newest) = &mut succession.newest {
            say(net, newest, |_| true);
        } else {
            for other in succession.others_mut() {
                if other.relay.send(&mut other.link) {
                    say(net, &mut other.link, |to| to == other.who.generation);
                }
            }
        }
    }

    /// A word, or the answer to one: for this process, or to be passed on. Where nobody is left whom it is
    /// for, who has said it will be told so.
    pub(in crate::turn) fn hear_talk(&mut self, talk: Talk) {
        match talk {
            Talk::Words(batch) if batch.to == self.net.generation() => {
                self.net.words.receive(batch);
            }
            Talk::Heard(heard) if heard.to == self.net.generation() => {
                self.net.words.heard(heard.by, heard.number);
            }
            talk => {
                let mut others = self.succession.others_mut();
                let other = others.find(|other| talk.to() == Some(other.who.generation));
                other.into_iter().for_each(|other| other.relay.push(talk.clone()));
            }
        }
    }

    /// The newest generation says who there is.
    pub(in crate::turn) fn hear_speakers(&mut self, serves: u64, speakers: Vec<u64>) {
        let own = self.net.generation();
        let deaf = Some(serves).filter(|it| *it != own && !speakers.contains(it));
        let others = speakers.into_iter().filter(|&number| number != own);
        let known = others.map(|number| OtherGeneration { number, serves: number == serves });
        self.net.words.know(known.collect(), deaf.into_iter().collect());
        self.net.words.send_again();
    }

    /// On the newest: who there is, as far as it knows, and has the others know. `anew`: it was another one that was
    /// the newest, and may have died with words on their way.
    pub(in crate::turn) fn make_known(&mut self, anew: bool) {
        if self.net.poll.is_none() {
            return; // in a test, which says it itself
        }
        let is_generation = |who: &Identity| !self.is_supervisor(*who);
        let others = self.succession.old.iter().chain(&self.succession.older);
        let others = others.map(|other| other.who).filter(is_generation);
        let (able, deaf): (Vec<_>, Vec<_>) = others.partition(|who| who.words);
        // One that hands back is no older generation yet.
        let newcomer = self.succession.attempt.as_ref().map(|it| it.task.generation);
        let newcomer = newcomer.filter(|&number| self.net.words.knows(number));
        let numbers = able.iter().map(|who| who.generation).chain(newcomer);
        let mut speakers: Vec<_> = numbers.collect();
        speakers.sort_unstable();
        let known = speakers.iter().map(|&number| OtherGeneration { number, serves: false });
        let deaf = deaf.iter().map(|who| who.generation).collect();
        let is_news = self.net.words.know(known.collect(), deaf);
        if anew {
            self.net.words.send_again();
        }
        if anew || is_news {
            let serves = self.net.generation();
            speakers.push(serves);
            let speak = Talk::Speakers { serves, others: speakers };
            for other in self.succession.others_mut().filter(|other| other.who.words) {
                other.relay.push(speak.clone());
            }
        }
        self.send_words();
    }

    /// The new side serves. It has said before whether it can be told something, if its program knows of that.
    pub(in crate::turn) fn note_whether_deaf(&mut self) {
        let words = &mut self.net.words;
        let newcomer = self.succession.attempt.as_ref().map(|attempt| attempt.task.generation);
        if let Some(number) = newcomer.filter(|&number| !words.knows(number)) {
            words.know(words.known().to_vec(), vec![number]);
        }
    }

    /// This process is an older one from now on, and `newest` the way to all others. If its program knows no words, there
    /// is none, and those who do not talk with this process any more hear so from it.
    pub(in crate::turn) fn follow(&mut self, newest: u64) {
        let words = &mut self.net.words;
        words.send_again();
        if words.knows(newest) {
            return;
        }
        words.know(Vec::new(), vec![newest]);
        let speak = Message::Talk(Talk::Speakers { serves: newest, others: Vec::new() });
        for other in self.succession.older.iter_mut().filter(|other| other.who.words) {
            let _ = other.link.send(&speak, Vec::new()); // one that is gone need not know
        }
    }

    /// Nobody can be reached any more.
    pub(in crate::turn) fn lose_ways(&mut self) {
        self.net.words.know(Vec::new(), Vec::new());
    }
}

/// Says what there is for those that `leads` a way to, as far as the link takes it now.
fn say(net: &mut Net, link: &mut Link, leads: impl Fn(u64) -> bool) {
    let own = net.generation();
    let words: &mut Words = &mut net.words;
    if link.has_unsent() && link.flush().is_err() {
        return; // it will say so itself
    }
    while let Some(heard) = words.next_heard(own, &leads) {
        if !link.send_now(&Message::Talk(Talk::Heard(heard))) {
            return;
        }
        words.acknowledged(heard.to);
    }
    while let Some(batch) = words.next_batch(own, &leads) {
        let (to, count) = (batch.to, batch.words.len());
        if !link.send_now(&Message::Talk(Talk::Words(batch))) {
            return;
        }
        words.sent(to, count);
    }
}
