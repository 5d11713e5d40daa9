//! The memory of several processes that share some of it, and of what is on its way between them, at its peak.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::common::process::rollup;

/// Between two looks. A look itself takes milliseconds: the kernel goes through all pages.
const STEP: Duration = Duration::from_millis(2);

/// Blocks of `stat(2)`.
const BLOCK: u64 = 512;

/// Looks at processes until it is stopped.
pub struct Peak {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Peak {
    /// Of the processes that `pids` finds at each look, in ascending order.
    pub fn start(pids: impl Fn() -> Vec<u32> + Send + 'static) -> Peak {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut peak = 0;
                while !stop.load(Ordering::Relaxed) {
                    peak = peak.max(look(&pids).unwrap_or(0));
                    thread::sleep(STEP);
                }
                peak
            }
        });
        Peak { stop, thread }
    }

    /// In bytes.
    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

/// Each page once, as its owners' shares add up, and files in memory that are not mapped. What lies in pipes and
/// sockets is not in it: a pipe takes 1 MiB at most.
///
/// `None` where a process has ended meanwhile: its share would have been counted, and those of the others when
/// they had got it.
pub fn look(pids: impl Fn() -> Vec<u32>) -> Option<u64> {
    let before = pids();
    let shares: u64 = before.iter().map(|&pid| rollup(pid, "Pss_Anon:")).sum();
    let files: BTreeMap<u64, u64> = before.iter().copied().flat_map(memory_files).collect();
    let after = pids();
    let all_live = before.iter().all(|pid| after.contains(pid));
    all_live.then(|| shares + files.values().sum::<u64>())
}

/// The `memfd_create(2)` files that a process has open: inode, and bytes that they have.
fn memory_files(pid: u32) -> Vec<(u64, u64)> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let is_memory = |link: &std::path::Path| {
        fs::read_link(link).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:"))
    };
    fds.map(|fd| fd.path())
        .filter(|link| is_memory(link))
        .filter_map(|link| fs::metadata(link).ok())
        .map(|file| (file.ino(), file.blocks() * BLOCK))
        .collect()
}
