//! A few descriptors that mean nothing, kept to be closed when there are no others: an operator comes in,
//! and a restart is made, by a process that has as many as it may have.

use std::os::fd::OwnedFd;

use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    resource::{Resource, getrlimit},
};

use crate::limits::{RESERVE_FOR_OPERATORS, RESERVE_FOR_RESTART};

/// Descriptors that hold their places.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    places: Vec<OwnedFd>,
    /// How many there are to be; `None` until it is filled for the first time.
    size: Option<usize>,
}

impl Reserve {
    /// Takes places up to the size of the reserve, as far as there are any. They are all the same empty
    /// file, which costs nothing but the places.
    pub fn fill(&mut self) {
        let size = *self.size.get_or_insert_with(size);
        while self.places.len() < size {
            let place = match self.places.first() {
                Some(first) => first.try_clone(),
                None => memfd_create("heirloom-reserve", MFdFlags::MFD_CLOEXEC).map_err(Into::into),
            };
            let Ok(place) = place else { return };
            self.places.push(place);
        }
    }

    /// Gives all places up.
    pub fn open(&mut self) {
        self.places.clear();
    }

    /// Keeps none from here on, unless it is filled again.
    pub fn give_up(&mut self) {
        *self = Reserve::default();
    }

    /// Does what needs a few descriptors for a while, or for good, and takes back what is left.
    pub fn lend<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let was_filled = self.size.is_some();
        self.open();
        let done = what();
        if was_filled {
            self.fill();
        }
        done
    }

    /// Whether an operator may have a place, so that enough is left for a restart. A reserve that is too
    /// small for both has one all the same: nobody else can ask for the restart, or for the end.
    pub fn has_place_for_operator(&self) -> bool {
        let for_restart = self.size.map_or(0, |size| size.saturating_sub(RESERVE_FOR_OPERATORS));
        self.places.len() > for_restart
    }

    /// Gives up a place for an operator, if there is one.
    pub fn open_for_operator(&mut self) -> bool {
        let has_place = self.has_place_for_operator();
        if has_place {
            self.places.pop();
        }
        has_place
    }
}

/// A third of what this process may have at most: the rest is for clients.
fn size() -> usize {
    let wanted = RESERVE_FOR_RESTART + RESERVE_FOR_OPERATORS;
    getrlimit(Resource::RLIMIT_NOFILE).map_or(wanted, |(soft, _)| wanted.min(soft as usize / 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_leave_enough_for_a_restart() {
        let mut reserve = Reserve::default();
        assert!(!reserve.open_for_operator(), "it is empty");
        reserve.fill();
        let operators = (0..20).take_while(|_| reserve.open_for_operator()).count();
        assert_eq!((operators, reserve.places.len()), (RESERVE_FOR_OPERATORS, RESERVE_FOR_RESTART));
        reserve.fill();
        assert!(reserve.has_place_for_operator());
        reserve.lend(|| assert!(memfd_create("x", MFdFlags::MFD_CLOEXEC).is_ok()));
        assert_eq!(reserve.places.len(), RESERVE_FOR_OPERATORS + RESERVE_FOR_RESTART);
    }

    /// A process that may have few descriptors is asked all the same.
    #[test]
    fn a_small_reserve_has_a_place_for_an_operator() {
        for size in 1..=RESERVE_FOR_RESTART {
            let mut reserve = Reserve { size: Some(size), ..Reserve::default() };
            reserve.fill();
            assert!(reserve.open_for_operator(), "of {size}");
        }
    }
}
