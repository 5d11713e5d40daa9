//! Threads that are older than the server: they hold no signals back, so one that is to be heard ends the program
//! instead.

use std::fs;

use super::signal_set::SignalSet;
use crate::log_target::SYSTEM;

/// Says so if there are any. Each thread has a mask of its own, which it has from the one that has started it.
pub(crate) fn warn_of_deaf_ones(held: SignalSet) {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    let statuses =
        threads.flatten().filter_map(|it| fs::read_to_string(it.path().join("status")).ok());
    let count = statuses.filter(|status| !holds_back(status, held)).count();
    if count > 0 {
        log::error!(
            target: SYSTEM,
            "{count} of this program's threads are older than its server and hold no signals back: while one lives, \
             HUP, TERM and the like end the program at once. Call Server::new before what starts them, which \
             a client may do that looks up the name of its host"
        );
    }
}

/// Whether a thread of this `status` (`proc_pid_status(5)`) has blocked all of them that would not be ignored.
fn holds_back(status: &str, held: SignalSet) -> bool {
    let mask = |name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(mask.trim(), 16).ok().map(SignalSet::of_kernel)
    };
    let (Some(blocked), Some(ignored)) = (mask("SigBlk:"), mask("SigIgn:")) else { return true };
    held.without(ignored).without(blocked).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::signal::held_back;

    #[test]
    fn a_thread_that_has_blocked_none_or_too_few_is_found_out() {
        let status = |mask: &str| {
            format!(
                "Name:\tso\nSigPnd:\t0000000000000000\nSigBlk:\t{mask}\nSigIgn:\t0000000000001000\n"
            )
        };
        let all = 1 | 1 << 1 | 1 << 2 | 1 << 9 | 1 << 11 | 1 << 14; // HUP, INT, QUIT, USR1, USR2, TERM
        assert!(holds_back(&status(&format!("{all:016x}")), held_back()));
        assert!(holds_back(&status("ffffffffffffffff"), held_back()));
        assert!(!holds_back(&status("0000000000000000"), held_back()));
        assert!(!holds_back(&status(&format!("{:016x}", all & !(1 << 14))), held_back()));
        let ignored = format!("SigBlk:\t{:016x}\nSigIgn:\t0000000000000004\n", all & !(1 << 2));
        assert!(holds_back(&ignored, held_back()), "QUIT is ignored, as in a shell's background");
        assert!(holds_back("Name:\tso\n", held_back()), "a kernel that does not say");
    }
}
