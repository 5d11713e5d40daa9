//! How many processes serve, and which of them this one is. Plain values.

use std::time::Duration;

use crate::system::cores;

/// A worker that was asked by its supervisor, and says nothing for this long, hangs: it is not waited for.
pub(crate) const WORKER_SILENCE: Duration = Duration::from_secs(10);

/// So long a restart of all workers waits for one that has crashed: twice the longest time after which it is made anew.
pub(crate) const WORKER_ABSENCE: Duration = Duration::from_secs(60);

/// How many processes serve at the same time, each with one thread, and how they share what they listen on; for
/// [`Server::workers`](crate::Server::workers). A number alone is good, too.
///
/// ```
/// use heirloom::Workers;
///
/// /// One for each core, which stays there.
/// fn all() -> Workers {
///     Workers::one_per_core().pinned()
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    pub(crate) count: u32,
    pub(crate) shared: bool,
    pub(crate) pinned: bool,
}

impl Workers {
    /// So many, one at least.
    pub fn new(count: u32) -> Workers {
        Workers { count: count.max(1), shared: false, pinned: false }
    }

    /// As many as this process may use cores (`sched_getaffinity(2)`). In a container that may have the time of fewer (`cpu.max`,
    /// `docker run --cpus`), say their number.
    pub fn one_per_core() -> Workers {
        let cores = cores::usable().map_or(1, |cores| cores.len());
        Workers::new(cores as u32) // a set has room for a thousand
    }

    /// All accept from one queue, in place of one for each. Whoever is awake first takes what is there, so a client never waits for a
    /// worker that is busy or gone; but which worker has how many connections is up to chance, and a burst may go to one alone: the
    /// [guide](crate::guide::more_than_one_core) has figures.
    pub fn shared(mut self) -> Workers {
        self.shared = true;
        self
    }

    /// Each stays on a core of its own (`sched_setaffinity(2)`): worker 0 on the first that this process may use, and so on, from
    /// the beginning again if there are more of them than cores. A new generation stays where the one before was.
    pub fn pinned(mut self) -> Workers {
        self.pinned = true;
        self
    }
}

impl From<u32> for Workers {
    fn from(count: u32) -> Workers {
        Workers::new(count)
    }
}

/// Which of the [workers](crate::Server::workers) a process is: see [`Net::worker`](crate::Net::worker).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Worker {
    /// From 0 on.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}
