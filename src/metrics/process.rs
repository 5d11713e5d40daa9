//! What the kernel knows of a process, by its number: of this one, or of another generation.

use std::{
    collections::BTreeMap,
    fs, io,
    time::{Duration, Instant},
};

/// How much memory is shared and how much is not costs a walk over all pages: 17 ms of CPU for a GiB in pages of 4 KiB (measured on a
/// virtual machine). So of larger processes than this it is not asked, and of others so seldom that it takes a thousandth of the time.
const WALKED: u64 = 256 << 20;
const SELDOM: u32 = 1000;

/// A page, as `/proc/pid/statm` counts them.
fn page() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// What a process uses at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes of memory that are there, whoever else has them.
    pub resident: u64,
    /// What of it is private and what others have as well, such as the other side of a fork, when somebody looked last.
    pub split: Option<Split>,
    pub descriptors: u64,
}

/// Bytes that a process shares with nobody, and those that it shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub private: u64,
    pub shared: u64,
}

/// When somebody has looked last at each process, and how long that took.
#[derive(Debug, Default)]
pub(crate) struct Usages(BTreeMap<u32, (Split, Instant)>);

impl Usages {
    /// What a process uses `now`.
    ///
    /// # Errors
    /// When it is gone, or another user's.
    pub fn of(&mut self, pid: u32, now: impl Fn() -> Instant) -> io::Result<Usage> {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        let resident = pages.unwrap_or(0) * page();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        if resident > WALKED {
            self.0.remove(&pid);
        } else {
            self.look(pid, now)?;
        }
        let split = self.0.get(&pid).map(|(split, _)| *split);
        Ok(Usage { resident, split, descriptors })
    }

    /// Walks over the pages, if it is time (`proc_pid_smaps(5)`).
    fn look(&mut self, pid: u32, now: impl Fn() -> Instant) -> io::Result<()> {
        let begun = now();
        if self.0.get(&pid).is_none_or(|(_, again)| *again <= begun) {
            let split = Split::of_rollup(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?);
            let took = now().saturating_duration_since(begun);
            self.0.insert(pid, (split, begun + took.min(Duration::from_secs(60)) * SELDOM));
        }
        Ok(())
    }

    /// Forgets all but these.
    pub fn keep(&mut self, pids: &[u32]) {
        self.0.retain(|pid, _| pids.contains(pid));
    }
}

impl Split {
    fn of_rollup(rollup: &str) -> Split {
        let sum = |prefix: &str| {
            let lines = rollup.lines().filter(|line| line.starts_with(prefix));
            let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
            kib.sum::<u64>() * 1024
        };
        Split { private: sum("Private_"), shared: sum("Shared_") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_private_or_shared() {
        let rollup = "55d-7ff ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nShared_Clean:  16 kB\n\
                      Shared_Dirty:  4 kB\nPrivate_Clean:  8 kB\nPrivate_Dirty:  100 kB\nPrivate_Hugetlb: 0 kB\n";
        let Split { private, shared } = Split::of_rollup(rollup);
        assert_eq!((private, shared), (108 * 1024, 20 * 1024));
    }

    #[test]
    fn a_process_is_looked_at_seldom() {
        let (pid, start) = (std::process::id(), Instant::now());
        let mut usages = Usages::default();
        let own = usages.of(pid, || start).unwrap();
        assert!(own.resident > 0 && own.split.is_some() && own.descriptors > 0, "{own:?}");
        let stale = Split { private: 1, shared: 2 };
        usages.0.insert(pid, (stale, start + Duration::from_secs(1)));
        assert_eq!(usages.of(pid, || start).unwrap().split, Some(stale));
        let later = start + Duration::from_secs(1);
        assert_ne!(usages.of(pid, || later).unwrap().split, Some(stale));
        usages.keep(&[]);
        assert!(usages.0.is_empty());
        assert!(usages.of(u32::MAX, || start).is_err());
    }
}
