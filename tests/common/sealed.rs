//! By which nonces the processes of a server have sealed, as builds with debug assertions write it down on request.

use std::{
    collections::{HashMap, HashSet},
    fs,
};

use super::{Dir, Setup};

/// A file that a server and all its generations write to.
pub struct Sealed(Dir);

impl Sealed {
    pub fn new() -> Sealed {
        Sealed(Dir::new())
    }

    pub fn adjust(&self, setup: Setup) -> Setup {
        setup.env("HEIRLOOM_SEALED", self.0.path("sealed").display())
    }

    /// Nobody has sealed by a key and a nonce that were used before, be it the same process or another. Answers the most
    /// processes that have sealed by one key: a test of one has looked at nothing.
    #[track_caller]
    pub fn check(&self) -> usize {
        let text = fs::read_to_string(self.0.path("sealed")).unwrap_or_default();
        let (mut used, mut sealers) = (HashMap::new(), HashMap::<_, HashSet<_>>::new());
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [key, nonce, pid] = words[..] else { panic!("{line:?} is half a line") };
            if let Some(first) = used.insert((key, nonce), pid) {
                panic!("{pid} has sealed by key {key} and nonce {nonce}, as {first} had before");
            }
            sealers.entry(key).or_default().insert(pid);
        }
        sealers.values().map(HashSet::len).max().unwrap_or(0)
    }

    /// The same, and at least so many processes have sealed by one key. Only a build with debug assertions tells.
    #[track_caller]
    pub fn check_by(&self, processes: usize) {
        let most = self.check();
        assert!(
            most >= processes || cfg!(not(debug_assertions)),
            "only {most} have sealed by one key"
        );
    }
}
