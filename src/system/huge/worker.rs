//! Collapses memory block by block, at a pace that the loop beside it does not feel. All that it needs is in
//! its [`Job`], and all that it tells is in atomics: it runs where nothing may be allocated, and nothing may
//! panic.

use std::{
    ops::Range,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::helper::{Spare, collapse, cpu_time, first_small_page, read_at, sleep};

/// A huge page, in bytes.
pub(super) const BLOCK: usize = 2 << 20;

const PAGE: usize = BLOCK / 512;

/// Of a block's 512 pages so many have to be touched: the others become memory that nobody uses.
const WORTHWHILE: u64 = 256;

/// So often in a row the kernel has no free block before nobody asks any more. It makes some in the meantime,
/// where files have taken most of the memory.
const IN_VAIN: u32 = 50;

/// And it has so much time for it.
const RECOVERY: Duration = Duration::from_millis(20);

/// So often it goes over everything where some blocks may be taken another time.
const PASSES: u32 = 3;

/// What is to be done, and what has been.
#[derive(Debug)]
pub(super) struct Job {
    /// Whole blocks.
    pub ranges: Vec<Range<usize>>,
    /// `/proc/self/pagemap`: which pages are there.
    pub pagemap: OwnedFd,
    pub spare: Spare,
    /// After each block.
    pub pause: Duration,
    /// So many bytes it may take for holes, and for pages that another process has as well.
    pub room: u64,
    pub told: Told,
}

/// What a worker tells, at any time.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Bytes in blocks that were collapsed.
    pub collapsed: AtomicU64,
    /// Bytes of small pages in blocks that were not.
    pub left: AtomicU64,
    /// One of the ends below, or zero while there is none.
    pub end: AtomicU8,
}

pub(super) const THROUGH: u8 = 1;
pub(super) const NO_MEMORY: u8 = 2;
pub(super) const NEAR_LIMIT: u8 = 3;
pub(super) const FORBIDDEN: u8 = 4;
/// The kernel would not take any of it (`PR_SET_THP_DISABLE`).
pub(super) const REFUSED: u8 = 5;

/// A block's pages, by `proc_pid_pagemap(5)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pages {
    touched: u64,
    /// Those of them that another process has as well.
    shared: u64,
}

impl Pages {
    fn of(entries: &[u64; 512]) -> Pages {
        const PRESENT: u64 = 1 << 63;
        const FILE: u64 = 1 << 61;
        const ALONE: u64 = 1 << 56;
        let mut pages = Pages::default();
        for entry in entries {
            let touched = entry & (PRESENT | FILE) == PRESENT;
            pages.touched += u64::from(touched);
            pages.shared += u64::from(touched && entry & ALONE == 0);
        }
        pages
    }

    /// Bytes of the memory that a huge page takes and these do not give back.
    fn growth(self) -> u64 {
        (512 - self.touched + self.shared) * PAGE as u64
    }
}

/// Does it all.
pub(super) fn work(job: &Job) {
    let room = job.room;
    let mut worker = Worker { job, room, in_vain: 0, refused: 0, again: 0, scans: true };
    let mut end = Ok(());
    for _ in 0..PASSES {
        (worker.again, worker.refused) = (0, 0);
        job.told.left.store(0, Relaxed); // and counted anew
        end = job.ranges.iter().try_for_each(|range| worker.pass(range.start, range.end));
        // Where it cannot tell what is huge it would do all of it again.
        if end.is_err() || worker.again == 0 || !worker.scans {
            break;
        }
    }
    let is_refused = worker.refused > 0 && job.told.collapsed.load(Relaxed) == 0;
    let through = if is_refused { REFUSED } else { THROUGH };
    job.told.end.store(end.err().unwrap_or(through), Relaxed);
}

struct Worker<'a> {
    job: &'a Job,
    room: u64,
    /// For want of memory, in a row.
    in_vain: u32,
    /// Blocks that the kernel does not take, and blocks that it may take in another pass.
    refused: u64,
    again: u64,
    /// The kernel says which pages are small.
    scans: bool,
}

impl Worker<'_> {
    fn pass(&mut self, mut at: usize, end: usize) -> Result<(), u8> {
        while at < end {
            // A kernel without such a look has all blocks counted, and collapses what is huge at no cost but
            // the call.
            at = match first_small_page(&self.job.pagemap, at, end) {
                Ok(None) => break,
                Ok(Some(page)) => page & !(BLOCK - 1),
                Err(_) => {
                    self.scans = false;
                    at
                }
            };
            self.take(at)?;
            at = at.wrapping_add(BLOCK);
        }
        Ok(())
    }

    /// Looks at one block, and collapses it if that is worthwhile; an error says why there is no use going on.
    fn take(&mut self, at: usize) -> Result<(), u8> {
        let mut entries = [0; 512];
        let length = read_at(&self.job.pagemap, &mut entries, at / PAGE * size_of::<u64>());
        let pages = Pages::of(&entries);
        if length != size_of_val(&entries) as isize || pages.touched < WORTHWHILE {
            self.leave(pages);
            return Ok(());
        }
        let growth = pages.growth();
        if growth > self.room {
            return Err(NEAR_LIMIT);
        }
        // Most of the rest is a wait for other processors, which holds nobody up.
        let begun = cpu_time();
        self.job.spare.warm();
        let answer = collapse(at, BLOCK);
        let took = Duration::from_nanos(cpu_time().wrapping_sub(begun));
        let known = self.judge(answer, pages, growth);
        let recovery = if self.in_vain > 0 { RECOVERY } else { Duration::ZERO };
        sleep(self.job.pause.max(took).max(recovery));
        known
    }

    fn judge(&mut self, answer: isize, pages: Pages, growth: u64) -> Result<(), u8> {
        if answer == 0 {
            self.in_vain = 0;
            self.room = self.room.wrapping_sub(growth);
            self.job.told.collapsed.fetch_add(BLOCK as u64, Relaxed);
            return Ok(());
        }
        self.leave(pages);
        match answer.wrapping_neg() as i32 {
            libc::EPERM | libc::EACCES | libc::ENOSYS => return Err(FORBIDDEN),
            // No block is free, or the control group has none left.
            libc::ENOMEM | libc::EBUSY => {
                self.in_vain = self.in_vain.wrapping_add(1);
                self.again = self.again.wrapping_add(1);
            }
            libc::EINVAL => self.refused = self.refused.wrapping_add(1),
            // In use by a system call, or on its way to some list: in the next pass.
            libc::EAGAIN => self.again = self.again.wrapping_add(1),
            // The mapping has gone.
            _ => {}
        }
        if self.in_vain < IN_VAIN { Ok(()) } else { Err(NO_MEMORY) }
    }

    fn leave(&self, pages: Pages) {
        // Few beside the range of the type: 512 pages each.
        self.job.told.left.fetch_add(pages.touched.wrapping_mul(PAGE as u64), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESENT: u64 = 1 << 63;
    const FILE: u64 = 1 << 61;
    const ALONE: u64 = 1 << 56;

    #[test]
    fn a_huge_page_costs_its_holes_and_what_is_shared() {
        let mut entries = [0; 512];
        entries[..300].fill(PRESENT | ALONE);
        entries[300..320].fill(PRESENT);
        entries[320..330].fill(PRESENT | FILE | ALONE);
        entries[330..340].fill(1 << 62); // swapped out
        let pages = Pages::of(&entries);
        assert_eq!(pages, Pages { touched: 320, shared: 20 });
        assert_eq!(pages.growth(), (192 + 20) * PAGE as u64);
    }

    /// Memory of this process, in blocks; of each so many pages are touched.
    fn memory(touched: &[usize]) -> (Vec<u8>, Range<usize>) {
        // So much is always a mapping of its own (`M_MMAP_THRESHOLD`, `mallopt(3)`), and nothing of it is there yet.
        let mut memory = vec![0_u8; 40 << 20];
        let begin = memory.as_ptr().align_offset(BLOCK);
        for (block, &pages) in touched.iter().enumerate() {
            let pages = (0..pages).map(|page| begin + block * BLOCK + page * PAGE);
            pages.for_each(|at| memory[at] = 1);
        }
        let start = memory.as_ptr() as usize + begin;
        let range = start..start + touched.len() * BLOCK;
        (memory, range)
    }

    fn job(range: Range<usize>, room: u64) -> Job {
        let pagemap = std::fs::File::open("/proc/self/pagemap").expect("its own").into();
        let (ranges, pause, told) = (vec![range], Duration::ZERO, Told::default());
        let spare = Spare::map(BLOCK).expect("a mapping");
        Job { ranges, pagemap, spare, pause, room, told }
    }

    /// Done by this thread: what it does is the same wherever it runs.
    #[test]
    fn what_is_mostly_touched_becomes_huge() {
        let (memory, range) = memory(&[512, 300, 10, 512]);
        let job = job(range.clone(), 64 << 20);
        let small = first_small_page(&job.pagemap, range.start, range.end);
        work(&job);
        let told = |number: &AtomicU64| number.load(Relaxed);
        let (collapsed, left) = (told(&job.told.collapsed), told(&job.told.left));
        match (collapse(0, 0), super::super::heap::is_eligible(), small) {
            (0, true, Ok(Some(_))) => {
                assert_eq!(job.told.end.load(Relaxed), THROUGH);
                assert_eq!((collapsed, left), (3 * BLOCK as u64, 10 * PAGE as u64));
                let first_two =
                    first_small_page(&job.pagemap, range.start, range.start + 2 * BLOCK);
                assert_eq!(first_two, Ok(None));
            }
            (0, true, Ok(None)) => assert_eq!((collapsed, left), (0, 0), "all of it was huge"),
            (0, true, Err(_)) => assert!(collapsed > 0, "a kernel before 6.7"),
            // No huge pages, an older kernel, or one that does it although nobody wants it.
            _ => assert_eq!(collapsed == 0, job.told.end.load(Relaxed) == REFUSED),
        }
        drop(memory);
    }

    #[test]
    fn it_takes_no_more_memory_than_it_may() {
        let (memory, range) = memory(&[512, 300, 512]);
        let job = job(range.clone(), 0);
        let small = first_small_page(&job.pagemap, range.start, range.end);
        work(&job);
        if let (0, Ok(Some(_))) = (collapse(0, 0), small) {
            assert_eq!(job.told.end.load(Relaxed), NEAR_LIMIT, "212 pages are holes");
            assert!(job.told.collapsed.load(Relaxed) <= BLOCK as u64);
        }
        drop(memory);
    }

    fn judge(worker: &mut Worker<'_>, errno: i32) -> Result<(), u8> {
        let pages = Pages { touched: 512, shared: 0 };
        worker.judge(-(errno as isize), pages, pages.growth())
    }

    #[test]
    fn what_is_in_vain_is_given_up_and_what_is_gone_is_no_error() {
        let pagemap = std::fs::File::open("/dev/null").unwrap().into();
        let (ranges, pause, told) = (Vec::new(), Duration::ZERO, Told::default());
        let spare = Spare::map(BLOCK).expect("a mapping");
        let job = Job { ranges, pagemap, spare, pause, room: 0, told };
        let mut worker =
            Worker { job: &job, room: 0, in_vain: 0, refused: 0, again: 0, scans: true };
        for errno in [libc::EAGAIN, libc::EFAULT, libc::EINVAL, libc::ENOMEM, libc::EBUSY, 0] {
            assert_eq!(judge(&mut worker, errno), Ok(()), "{errno}");
        }
        assert_eq!(worker.in_vain, 0, "what has worked counts anew");
        assert_eq!((worker.again, worker.refused), (3, 1));
        for _ in 1..IN_VAIN {
            assert_eq!(judge(&mut worker, libc::ENOMEM), Ok(()));
        }
        assert_eq!(judge(&mut worker, libc::ENOMEM), Err(NO_MEMORY));
        assert_eq!(judge(&mut worker, libc::EPERM), Err(FORBIDDEN));
        assert_eq!(job.told.collapsed.load(Relaxed), BLOCK as u64);
    }
}
