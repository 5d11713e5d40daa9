//! What the kernel says of a process by its number.

use std::fs;

/// What it is called, cut to 15 bytes by the kernel (`proc_pid_comm(5)`). `None` if it is gone, or not seen from here.
pub(crate) fn name_of(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
}

/// When it was made, in ticks since the machine began (`proc_pid_stat(5)`): with its number, the name of one process and of no
/// other that gets the number later. `None` if there is none, or only its exit status is left.
pub(crate) fn made_at(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, behind_name) = stat.rsplit_once(") ")?;
    let mut words = behind_name.split(' ');
    let state = words.next()?;
    words.nth(18)?.parse().ok().filter(|_| !matches!(state, "Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_another_is_not() {
        let own = std::process::id();
        assert!(name_of(own).is_some_and(|name| !name.is_empty() && !name.contains('\n')));
        assert!(made_at(own).is_some_and(|ticks| ticks > 0));
        assert_eq!(made_at(own), made_at(own));
        assert_eq!((name_of(u32::MAX), made_at(u32::MAX)), (None, None));
    }
}
