//! A conversation as its author writes it down.

use std::time::Duration;

use super::{
    run::{Place, Way},
    step::{Hearing, Normalise, Step},
};
use crate::{plan::Engine, timeouts::Timeouts};

/// Pairs of cuts, unless a script asks for more.
const PAIRS: usize = 100;

/// Runs, unless a script asks for more: a few seconds.
const MOST: usize = 5_000;

/// What several peers say and are to hear, written down once, and played in every way in which it may go:
/// with each input cut at each byte, with the service restarted at each of these places, by fork and by fork-exec,
/// for good or undone, and with either side of the restart lost at each step of it. No client may notice, but where
/// its connection dies with a side.
///
/// A peer connects when it is named first, or at [`connects`](Self::connects). The steps happen in their order, and after each of
/// them the service does all that it can. What a peer hears is looked at where it is to hear something, and in the end.
///
/// [`check`](Self::check) plays all [`runs`](Self::runs), [`only`](Self::only) one. What cannot be found in one
/// process: state in a `static` that each run sets to the same (else `twice` finds it), and whatever concerns
/// descriptors.
///
/// ```
/// use heirloom::{Connection, Origin, Result, Service, codec, testing::Conversation};
///
/// /// Numbers the lines of each client.
/// struct Number;
///
/// impl Service for Number {
///     type Session = u8;
///     fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<u8> {
///         Ok(0)
///     }
///     fn on_data(&mut self, conn: &mut Connection<'_>, lines: &mut u8, input: &[u8]) -> Result<usize> {
///         let Some((line, taken)) = codec::line(input, 100)? else { return Ok(0) };
///         *lines += 1;
///         conn.send(format!("{lines} {}\n", String::from_utf8_lossy(line)).as_bytes());
///         Ok(taken)
///     }
///     fn export(&self, lines: &u8) -> Option<Vec<u8>> {
///         Some(vec![*lines])
///     }
///     fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<u8> {
///         saved.first().copied().ok_or("not a number".into())
///     }
/// }
///
/// let talk = Conversation::new()
///     .says("ann", "one\ntwo\n")
///     .hears("ann", "1 one\n2 two\n")
///     .says("bob", "uno\n")
///     .hears("bob", "1 uno\n")
///     .says("ann", "three\n")
///     .hears("ann", "3 three\n");
/// let runs = talk.check(|| Number);
/// assert_eq!(runs, talk.runs().len());
/// ```
#[derive(Clone, Debug)]
pub struct Conversation {
    pub(super) names: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) extras: Vec<(usize, Vec<u8>)>,
    pub(super) normalise: Option<Normalise>,
    pub(super) timeouts: Option<Timeouts>,
    pub(super) engines: Vec<Engine>,
    pub(super) stays: bool,
    pub(super) pairs: usize,
    pub(super) most: usize,
    pub(super) seed: u64,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation::new()
    }
}

impl Conversation {
    /// In which nothing happens yet.
    pub fn new() -> Conversation {
        Conversation {
            names: Vec::new(),
            steps: Vec::new(),
            extras: Vec::new(),
            normalise: None,
            timeouts: None,
            engines: vec![Engine::ForkExec, Engine::Fork],
            stays: false,
            pairs: PAIRS,
            most: MOST,
            seed: 0,
        }
    }

    // What happens.

    /// A peer connects and says nothing yet.
    pub fn connects(mut self, peer: &str) -> Conversation {
        self.peer(peer);
        self
    }

    /// A peer sends these bytes. Some runs cut them.
    pub fn says(mut self, peer: &str, bytes: impl AsRef<[u8]>) -> Conversation {
        let peer = self.peer(peer);
        self.then(Step::Says(peer, bytes.as_ref().to_vec()))
    }

    /// By now a peer has heard these bytes, and if the next steps do not say more, nothing else.
    pub fn hears(self, peer: &str, bytes: impl AsRef<[u8]>) -> Conversation {
        self.hears_in_any_order(peer, [bytes])
    }

    /// By now a peer has heard all of these, in whatever order, each in one piece: what others have said may come
    /// between.
    ///
    /// ```
    /// # use heirloom::testing::Conversation;
    /// let talk = Conversation::new().hears_in_any_order("ann", ["bob: hello\n", "ben: hello\n"]);
    /// ```
    pub fn hears_in_any_order(
        mut self,
        peer: &str,
        pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Conversation {
        let peer = self.peer(peer);
        let pieces = pieces.into_iter().map(|piece| piece.as_ref().to_vec()).collect();
        self.then(Step::Hears(peer, Hearing { pieces, ..Hearing::default() }))
    }

    /// A peer sends its FIN, and hears on.
    pub fn finishes(mut self, peer: &str) -> Conversation {
        let peer = self.peer(peer);
        self.then(Step::Finishes(peer))
    }

    /// A peer closes. What it is sent from here on is not looked at.
    pub fn leaves(mut self, peer: &str) -> Conversation {
        let peer = self.peer(peer);
        self.then(Step::Leaves(peer))
    }

    /// A peer resets its connection.
    pub fn resets(mut self, peer: &str) -> Conversation {
        let peer = self.peer(peer);
        self.then(Step::Resets(peer))
    }

    /// By now the server has closed a peer's connection.
    pub fn is_closed(mut self, peer: &str) -> Conversation {
        let peer = self.peer(peer);
        self.then(Step::Ends(peer))
    }

    /// Time passes: timers run out, alarms go off.
    pub fn passes(self, time: Duration) -> Conversation {
        self.then(Step::Passes(time))
    }

    /// By now the service has [dialed](crate::Net::dial) `address`, and a peer answers there.
    ///
    /// # Panics
    /// When the peer is there already.
    pub fn answers(mut self, peer: &str, address: &str) -> Conversation {
        assert!(!self.names.iter().any(|name| name == peer), "{peer} is there already");
        self.names.push(peer.to_owned());
        let peer = self.names.len() - 1;
        self.then(Step::Dialed(peer, address.to_owned()))
    }

    /// By now the service has [dialed](crate::Net::dial) `address`, where nobody answers.
    pub fn refuses(self, address: &str) -> Conversation {
        self.then(Step::Refused(address.to_owned()))
    }

    // What may happen where a side of a restart is lost.

    /// Where a side is lost and something with it, a peer whose connection is not may hear these bytes instead of what it
    /// was to hear last, or nothing.
    ///
    /// # Panics
    /// When the last step was not that a peer hears something.
    pub fn or_hears(mut self, bytes: impl AsRef<[u8]>) -> Conversation {
        self.last_hearing().instead.push(bytes.as_ref().to_vec());
        self
    }

    /// What was to be heard last is a promise: [`keeps`](Self::keeps) relies on it.
    ///
    /// # Panics
    /// When the last step was not that a peer hears something.
    pub fn promises(mut self, what: &str) -> Conversation {
        self.last_hearing().promises = Some(what.to_owned());
        self
    }

    /// What was to be heard last keeps a [promise](Self::promises): if that was heard, so is this, whichever side is lost.
    /// But a new side that dies takes with it what it has promised after it began to serve.
    ///
    /// ```
    /// # use heirloom::testing::Conversation;
    /// let talk = Conversation::new()
    ///     .says("ann", "set x 1\n").hears("ann", "ok\n").promises("x is set")
    ///     .says("bob", "get x\n").hears("bob", "1\n").keeps("x is set").or_hears("nothing\n");
    /// ```
    ///
    /// # Panics
    /// When the last step was not that a peer hears something.
    pub fn keeps(mut self, what: &str) -> Conversation {
        self.last_hearing().keeps = Some(what.to_owned());
        self
    }

    /// What a peer may hear besides, any number of times: where another one has lost its connection with a side,
    /// or where its own stays on a side that is to leave.
    pub fn may_hear(mut self, peer: &str, bytes: impl AsRef<[u8]>) -> Conversation {
        let peer = self.peer(peer);
        self.extras.push((peer, bytes.as_ref().to_vec()));
        self
    }

    // How it is played.

    /// What is different each time is made equal before it is compared: what was heard, and what was to be.
    ///
    /// ```
    /// # use heirloom::testing::Conversation;
    /// fn without_digits(bytes: &[u8]) -> Vec<u8> {
    ///     bytes.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
    /// }
    /// let talk = Conversation::new().hears("ann", "it is 12:00\n").normalised(without_digits);
    /// ```
    pub fn normalised(mut self, normalise: fn(&[u8]) -> Vec<u8>) -> Conversation {
        self.normalise = Some(normalise);
        self
    }

    /// As of [`Server::timeouts`](crate::Server::timeouts).
    pub fn timeouts(mut self, timeouts: Timeouts) -> Conversation {
        self.timeouts = Some(timeouts);
        self
    }

    /// Also with restarts in which connections stay: who is there is served by the old side, who comes by the new one.
    /// For services whose connections have nothing to do with each other.
    pub fn staying(mut self) -> Conversation {
        self.stays = true;
        self
    }

    /// Restarts by one engine alone.
    pub fn by(mut self, engine: Engine) -> Conversation {
        self.engines = vec![engine];
        self
    }

    /// So many pairs of cuts, spread over all that there are. Default: 100.
    pub fn pairs(mut self, count: usize) -> Conversation {
        self.pairs = count;
        self
    }

    /// Where to begin with the pairs: another number has others played.
    pub fn seed(mut self, seed: u64) -> Conversation {
        self.seed = seed;
        self
    }

    /// At most so many runs, evenly chosen from all. Default: 5,000.
    pub fn at_most(mut self, runs: usize) -> Conversation {
        self.most = runs;
        self
    }

    /// What there is no place for in this script, of a run that was perhaps written down for another one.
    pub(super) fn misses(&self, way: &Way) -> Option<Place> {
        let is_here = |place: &Place| match place.step.checked_sub(1).map(|at| self.steps.get(at)) {
            None => place.byte == 0,
            Some(step) => {
                let step = step.filter(|step| !step.observes());
                step.is_some_and(|step| place.byte == 0 || place.byte < step.bytes())
            }
        };
        match way {
            Way::Plain | Way::Twice | Way::ByteByByte => None,
            Way::Cuts(cuts) => cuts.iter().find(|place| !is_here(place)).copied(),
            Way::Restart(restarting) => Some(restarting.at).filter(|place| !is_here(place)),
        }
    }

    fn peer(&mut self, name: &str) -> usize {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known;
        }
        self.names.push(name.to_owned());
        self.steps.push(Step::Connects(self.names.len() - 1));
        self.names.len() - 1
    }

    fn then(mut self, step: Step) -> Conversation {
        self.steps.push(step);
        self
    }

    fn last_hearing(&mut self) -> &mut Hearing {
        match self.steps.last_mut() {
            Some(Step::Hears(_, hearing)) => hearing,
            _ => panic!("the last step is not that a peer hears something"),
        }
    }
}
