//! The cores that this process may use.

use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};

/// Their numbers (`sched_getaffinity(2)`).
///
/// # Errors
/// When the machine has more than fit into a set.
pub(crate) fn usable() -> nix::Result<Vec<usize>> {
    let all = sched_getaffinity(Pid::this())?;
    Ok((0..CpuSet::count()).filter(|&core| all.is_set(core).unwrap_or(false)).collect())
}

/// The one of a process that has this number among several: from the first on, and then from the beginning again.
///
/// # Errors
/// As above.
pub(crate) fn of(number: usize) -> nix::Result<CpuSet> {
    let usable = usable()?;
    let mut one = CpuSet::new();
    if let Some(&core) = usable.get(number % usable.len().max(1)) {
        one.set(core)?;
    }
    Ok(one)
}
