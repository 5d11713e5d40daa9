//! Numbers to begin a sequence with that no other process has. Pure but for the process's id.

use std::{
    hash::{BuildHasher, RandomState},
    process,
};

/// A number to seed a generator with: each call answers another one, and so does the same call in a forked
/// child and in its parent.
///
/// `fork(2)` copies the state of every generator, the keys of `RandomState` included, so parent and child go on
/// with the same numbers. For those that take a seed, in
/// [`after_fork_in_child`](crate::Service::after_fork_in_child):
///
/// ```
/// # use heirloom::{Net, Result};
/// fn after_fork_in_child(_net: &mut Net) -> Result {
///     fastrand::seed(heirloom::fresh_seed());
///     Ok(())
/// }
/// ```
///
/// It has the 64 bits of a hash under a key that nobody outside knows ([`RandomState`]): good for jitter, samples
/// and hash keys, and no secret to build a cipher on.
pub fn fresh_seed() -> u64 {
    // The keys are another pair at each call, and the same ones in a forked child: the id tells these apart.
    RandomState::new().hash_one(process::id())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_is_another_one() {
        let seeds: BTreeSet<_> = (0..1000).map(|_| fresh_seed()).collect();
        assert_eq!(seeds.len(), 1000);
    }
}
