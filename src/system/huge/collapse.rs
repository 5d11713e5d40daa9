//! The memory of this process is being brought into huge pages: started, watched, ended.

use std::{
    fmt,
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::atomic::Ordering::Relaxed,
};

use super::{
    heap,
    helper::{self, Helper, Spare},
    worker::{self, Job, Told},
};
use crate::prepare::{Prepare, Prepared, Unprepared};

/// A process that collapses this one's memory. It is readable from the moment in which that is over
/// (`pidfd_open(2)`); this process goes on meanwhile. Dropped, it is ended and reaped.
///
/// Whoever forks does so after it: nothing of it may be left then, or the child has a copy of its descriptors.
pub(crate) struct Collapse {
    helper: Helper<Job>,
    time_is_up: bool,
}

impl Collapse {
    /// Begins, as `how` says.
    ///
    /// # Errors
    /// Why there is no use in it, or no way.
    pub fn begin(how: &Prepare) -> Result<Collapse, Unprepared> {
        let from = how.from.ok_or(Unprepared::Off)? as u64;
        let heap = heap::size();
        if heap < from {
            return Err(Unprepared::Small { heap });
        }
        if !helper::IS_SUPPORTED {
            return Err(Unprepared::NotSupported);
        }
        if !heap::is_eligible() {
            return Err(Unprepared::NoHugePages);
        }
        // Nothing is asked for, so that only a kernel that does not know the advice refuses it.
        match -helper::collapse(0, 0) as i32 {
            0 => {}
            libc::EINVAL => return Err(Unprepared::NotSupported),
            _ => return Err(Unprepared::Forbidden),
        }
        let (room, no_process) = (heap::room()?, |e: std::io::Error| Unprepared::NoProcess {
            errno: e.raw_os_error().unwrap_or(libc::EIO),
        });
        let pagemap = File::open("/proc/self/pagemap").map_err(no_process)?.into();
        let (ranges, pause, told) = (heap::ranges(), how.pause, Told::default());
        let spare = Spare::map(worker::BLOCK).map_err(no_process)?;
        let job = Job { ranges, pagemap, spare, pause, room, told };
        let helper = Helper::start(job, worker::work).map_err(no_process)?;
        Ok(Collapse { helper, time_is_up: false })
    }

    /// Ends it before it is through. It is readable soon after.
    pub fn stop(&mut self) {
        self.time_is_up = true;
        self.helper.kill();
    }

    /// What came of it, if it has ended. `took` is for the one with a clock to fill in.
    pub fn outcome(&mut self) -> Option<Prepared> {
        if !self.helper.has_ended() {
            return None;
        }
        let Job { room, told, .. } = self.helper.job();
        let stopped = match told.end.load(Relaxed) {
            worker::THROUGH => None,
            worker::NO_MEMORY => Some(Unprepared::NoMemory),
            worker::NEAR_LIMIT => Some(Unprepared::NearLimit { room: *room }),
            worker::FORBIDDEN => Some(Unprepared::Forbidden),
            worker::REFUSED => Some(Unprepared::NoHugePages),
            _ if self.time_is_up => Some(Unprepared::TimeUp),
            _ => Some(Unprepared::Died),
        };
        let (collapsed, left) = (told.collapsed.load(Relaxed), told.left.load(Relaxed));
        Some(Prepared { collapsed, left, stopped, ..Prepared::default() })
    }
}

impl fmt::Debug for Collapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collapse").field("job", self.helper.job()).finish_non_exhaustive()
    }
}

impl AsFd for Collapse {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.helper.as_fd()
    }
}

impl AsRawFd for Collapse {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
