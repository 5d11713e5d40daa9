//! Which file a new program was started from.

use std::{fmt, path::PathBuf, time::Duration};

/// The file that a new program was started from.
///
/// ```
/// use heirloom::Verdict;
///
/// /// For the one who has deployed.
/// fn what_runs(verdict: &Verdict) -> String {
///     match &verdict.program {
///         Some(file) if file.runs_already => format!("no other version: {}", file.path.display()),
///         Some(file) => format!("now from {}", file.path.display()),
///         None => "the same program".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// Where it is, with all symbolic links resolved.
    pub path: PathBuf,
    /// The device that it is on, as `stat(2)` has it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When it was written last: seconds since 1970, as `stat(2)` has it.
    pub modified: Duration,
    /// What its linker has written into it, so that one build is told from another (`--build-id` of `ld(1)`), in
    /// hexadecimal digits; `None` where it has not, and of a script.
    pub build_id: Option<String>,
    /// It is the very file that the old process runs, so there is no new version in it.
    pub runs_already: bool,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (inode {})", self.path.display(), self.inode)
    }
}
