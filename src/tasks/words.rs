//! What this process has told other generations and what they have told it, as queues. Knows no link.
//!
//! Words from one process to another are numbered. Who is told keeps the order and takes each number once; who has
//! told keeps a word until it hears that it was taken. So a way may be lost with words on it (the generation between
//! two others, in a restart): they are [sent again](Words::send_again) on the next way, from the oldest that nobody
//! has taken. Where the other process ends before, they come back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use crate::{
    error::Error,
    limits::{WORD_MAX, WORDS_BATCH, WORDS_BYTES, WORDS_COUNT},
};

/// Another generation that can be told something: one of [`Net::generations`](crate::Net::generations).
///
/// Whether it is older or newer, its number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherGeneration {
    /// Its [number](crate::Net::generation).
    pub number: u64,
    /// It is the one that accepts new clients; the others serve those that they have.
    pub serves: bool,
}

/// Why a word was not taken by [`Net::tell`](crate::Net::tell). It is still the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// No other generation that lives has this number, as far as this process knows.
    Unknown {
        /// The number.
        to: u64,
    },
    /// That generation's program is older than this way to speak.
    Deaf {
        /// Its number.
        to: u64,
    },
    /// The word is longer than [`limits::WORD_MAX`](crate::limits::WORD_MAX).
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// That generation has not taken what it was told before: as many words, or bytes, as may wait for one.
    Full {
        /// Its number.
        to: u64,
        /// Words that wait.
        words: usize,
        /// Their bytes.
        bytes: usize,
    },
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TellError::Unknown { to } => write!(f, "tell generation {to}: there is none"),
            TellError::Deaf { to } => {
                write!(f, "tell generation {to}: its program knows no words between generations")
            }
            TellError::TooLong { bytes } => {
                write!(f, "tell a generation: {bytes} bytes are more than {WORD_MAX}")
            }
            TellError::Full { to, words, bytes } => {
                write!(f, "tell generation {to}: {words} words ({bytes} bytes) wait for it already")
            }
        }
    }
}

impl std::error::Error for TellError {}

impl From<TellError> for Error {
    fn from(why: TellError) -> Error {
        Error::other(why)
    }
}

/// Words in a row, on their way from one process to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub from: u64,
    pub to: u64,
    /// The oldest that is neither taken nor given up.
    pub oldest: u64,
    /// Of the first one here.
    pub number: u64,
    pub words: Vec<Vec<u8>>,
}

/// The process `by` has taken what `to` has told it, up to this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub by: u64,
    pub to: u64,
    pub number: u64,
}

/// What is told to one other process.
#[derive(Debug)]
struct Outgoing {
    /// All that it has not taken.
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The number of the first of them.
    oldest: u64,
    /// How many of them are on their way.
    sent: usize,
}

/// What one other process has told.
#[derive(Debug, Default)]
struct Incoming {
    /// The last one that has come.
    came: u64,
    /// The last one that the service was told.
    taken: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Words {
    known: Vec<OtherGeneration>,
    /// Those that are known, and know no words.
    deaf: Vec<u64>,
    outgoing: BTreeMap<u64, Outgoing>,
    incoming: BTreeMap<u64, Incoming>,
    /// What has come and the service was not told yet: from whom, and its number.
    inbox: VecDeque<(u64, u64, Vec<u8>)>,
    /// Whose words were taken, and who does not know that yet.
    owed: BTreeSet<u64>,
    /// What comes back.
    lost: VecDeque<(u64, Vec<u8>)>,
}

impl Words {
    /// Keeps a word for another process.
    pub fn tell(&mut self, to: u64, word: &[u8]) -> Result<(), TellError> {
        if self.deaf.contains(&to) {
            return Err(TellError::Deaf { to });
        }
        if !self.knows(to) {
            return Err(TellError::Unknown { to });
        }
        if word.len() > WORD_MAX {
            return Err(TellError::TooLong { bytes: word.len() });
        }
        let empty = || Outgoing { waiting: VecDeque::new(), bytes: 0, oldest: 1, sent: 0 };
        let outgoing = self.outgoing.entry(to).or_insert_with(empty);
        let (words, bytes) = (outgoing.waiting.len(), outgoing.bytes);
        if words >= WORDS_COUNT || bytes + word.len() > WORDS_BYTES {
            return Err(TellError::Full { to, words, bytes });
        }
        outgoing.bytes += word.len();
        outgoing.waiting.push_back(word.to_vec());
        Ok(())
    }

    pub fn known(&self) -> &[OtherGeneration] {
        &self.known
    }

    pub fn knows(&self, number: u64) -> bool {
        self.known.iter().any(|other| other.number == number)
    }

    /// These are the others that live and know words, and those that live and do not. What was told to one that is
    /// not there any more comes back. Answers whether that is news.
    pub fn know(&mut self, known: Vec<OtherGeneration>, deaf: Vec<u64>) -> bool {
        let is_news = (&self.known, &self.deaf) != (&known, &deaf);
        (self.known, self.deaf) = (known, deaf);
        let known = &self.known;
        for (&to, gone) in &mut self.outgoing {
            if !known.iter().any(|other| other.number == to) {
                self.lost.extend(gone.give_up(0).map(|word| (to, word)));
            }
        }
        self.owed.retain(|&to| known.iter().any(|other| other.number == to));
        is_news
    }

    /// The way to the others may be another one by now.
    pub fn send_again(&mut self) {
        self.outgoing.values_mut().for_each(|outgoing| outgoing.sent = 0);
    }

    /// What is to be sent next to one of those that `leads` a way to, from this process, whose number is `own`.
    pub fn next_batch(&self, own: u64, leads: impl Fn(u64) -> bool) -> Option<Batch> {
        let mut unsent = self.outgoing.iter().filter(|(_, it)| it.sent < it.waiting.len());
        let (&to, outgoing) = unsent.find(|&(&to, _)| leads(to))?;
        let mut size = 0;
        let fits = |word: &&Vec<u8>| {
            let fits = size < WORDS_BATCH;
            size += word.len() + size_of::<Vec<u8>>();
            fits
        };
        let words = outgoing.waiting.iter().skip(outgoing.sent).take_while(fits).cloned();
        Some(Batch {
            from: own,
            to,
            oldest: outgoing.oldest,
            number: outgoing.oldest + outgoing.sent as u64,
            words: words.collect(),
        })
    }

    /// It is on its way.
    pub fn sent(&mut self, to: u64, count: usize) {
        self.outgoing.entry(to).and_modify(|outgoing| outgoing.sent += count);
    }

    /// What is to be acknowledged next.
    pub fn next_heard(&self, own: u64, leads: impl Fn(u64) -> bool) -> Option<Heard> {
        let &to = self.owed.iter().find(|&&to| leads(to))?;
        let number = self.incoming.get(&to).map_or(0, |incoming| incoming.taken);
        Some(Heard { by: own, to, number })
    }

    /// It is on its way.
    pub fn acknowledged(&mut self, to: u64) {
        self.owed.remove(&to);
    }

    /// Another process has taken what this one has told it.
    pub fn heard(&mut self, by: u64, number: u64) {
        let Some(outgoing) = self.outgoing.get_mut(&by) else { return };
        while outgoing.oldest <= number
            && let Some(word) = outgoing.waiting.pop_front()
        {
            outgoing.bytes -= word.len();
            outgoing.oldest += 1;
            outgoing.sent = outgoing.sent.saturating_sub(1);
        }
    }

    /// Words have come. One that has come before is not taken again; nor is one before which another is missing,
    /// which will come with it.
    pub fn receive(&mut self, batch: Batch) {
        let Batch { from, oldest, number, words, .. } = batch;
        let incoming = self.incoming.entry(from).or_default();
        for (number, word) in (number..).zip(words) {
            if number <= incoming.taken {
                self.owed.insert(from); // it does not know that
            }
            if number == incoming.came + 1 || (number == oldest && number > incoming.came) {
                incoming.came = number;
                self.inbox.push_back((from, number, word));
            }
        }
    }

    /// The next one for the service, which takes it now.
    pub fn take(&mut self) -> Option<(u64, u64, Vec<u8>)> {
        self.inbox.pop_front()
    }

    /// The service has taken it.
    pub fn taken(&mut self, from: u64, number: u64) {
        self.incoming.entry(from).or_default().taken = number;
        self.owed.insert(from);
    }

    /// The next one that nobody has taken, and for whom it was.
    pub fn take_lost(&mut self) -> Option<(u64, Vec<u8>)> {
        self.lost.pop_front()
    }

    /// This process ends: nobody is known any more, and what is not on its way comes back.
    pub fn end(&mut self) {
        (self.known, self.deaf) = (Vec::new(), Vec::new());
        for (&to, outgoing) in &mut self.outgoing {
            self.lost.extend(outgoing.give_up(outgoing.sent).map(|word| (to, word)));
        }
    }

    /// Whether the service is to be told something.
    pub fn has_news(&self) -> bool {
        !self.inbox.is_empty() || !self.lost.is_empty()
    }

    /// Whether nothing is on its way, neither here nor to others.
    pub fn is_idle(&self) -> bool {
        !self.has_news()
            && self.owed.is_empty()
            && self.outgoing.values().all(|outgoing| outgoing.waiting.is_empty())
    }
}

impl Outgoing {
    /// What is behind the first `kept` of them, which nobody will have.
    fn give_up(&mut self, kept: usize) -> impl Iterator<Item = Vec<u8>> {
        let given_up = self.waiting.split_off(kept.min(self.waiting.len()));
        if self.waiting.is_empty() {
            self.oldest += given_up.len() as u64;
        }
        self.bytes = self.waiting.iter().map(Vec::len).sum();
        self.sent = self.sent.min(self.waiting.len());
        given_up.into_iter()
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
