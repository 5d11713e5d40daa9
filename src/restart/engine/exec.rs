//! The fork-exec engine: how the program is started again. How it then finds its link is in `passed`.
#![allow(unsafe_code)] // posix_spawn

use std::{
    env,
    ffi::{CString, OsStr, OsString},
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, RawFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::PathBuf,
    ptr,
};

use nix::unistd::{AccessFlags, Pid, access};

use super::{passed, program_file};
use crate::{
    system::{
        descriptors, disposition::Found, regular_file::FileId, signal::held_back,
        signal_set::SignalSet,
    },
    verdict::{Program, RestartError},
};

/// How this program was started, and so how it is started again.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    args: Vec<OsString>,
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// What it was started with, which all its successors have as well.
    passed: Vec<RawFd>,
    /// What it was started with of signals.
    pub signals: Found,
    /// Signals that this server hears, which wait for a successor until that hears them.
    pub held: SignalSet,
}

impl Launch {
    /// Remembers how this process was started. Call it before the program changes any of it.
    pub fn remember() -> Launch {
        Launch {
            args: env::args_os().collect(),
            directory: directory(),
            environment: env::vars_os()
                .filter(|(name, _)| !passed::is_for_us_alone(name))
                .collect(),
            passed: descriptors::passed(),
            signals: Found::default(),
            held: SignalSet::EMPTY,
        }
    }

    /// Descriptors that this program was started with, by number.
    pub fn passed(&self) -> &[RawFd] {
        &self.passed
    }

    /// The program's path, as started: looked up anew each time, so that a file that was put in
    /// its place by rename is what runs next. `/proc/self/exe` would name the old one.
    pub fn program(&self) -> PathBuf {
        let name = self.args.first().map_or(OsStr::new(""), OsString::as_os_str);
        if name.as_bytes().contains(&b'/') {
            return self.directory.join(name);
        }
        let path = self.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(OsStr::new(""), |(_, path)| path.as_os_str());
        env::split_paths(path)
            .map(|directory| self.directory.join(directory).join(name))
            .find(|candidate| access(candidate, AccessFlags::X_OK).is_ok() && candidate.is_file())
            .unwrap_or_else(|| self.directory.join(name))
    }

    /// Starts the program with `link` as its one inherited descriptor and `stderr` as its stderr, by
    /// `posix_spawn(3)`, whose cost does not grow with the heap. `flag` goes behind its arguments.
    pub fn spawn(
        &self,
        link: Option<BorrowedFd<'_>>,
        stderr: BorrowedFd<'_>,
        flag: Option<&str>,
    ) -> io::Result<Pid> {
        let program = c_string(self.program().into_os_string())?;
        let args = self.args.iter().cloned().chain(flag.map(OsString::from));
        let args = args.map(c_string).collect::<io::Result<Vec<_>>>()?;
        let mut environment = Vec::with_capacity(self.environment.len() + 1);
        for (name, value) in &self.environment {
            let mut entry = name.clone();
            entry.push("=");
            entry.push(value);
            environment.push(c_string(entry)?);
        }
        let directory = c_string(self.directory.clone().into_os_string())?;
        let moved = env::current_dir().ok().as_deref() != Some(&self.directory);
        if moved && !self.directory.is_dir() {
            let why = format!("its working directory {} is gone", self.directory.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }

        let Launch { signals, held, .. } = self;
        let mut setup =
            SpawnSetup::new(signals.blocked.and(held_back()).and(*held), signals.ignored)?;
        // stderr first: should it have the number that the link is to get, it is copied before.
        setup.dup2(stderr, libc::STDERR_FILENO)?;
        if let Some(link) = link {
            let number = passed::free_number();
            environment.push(c_string(format!("{}={number}", passed::LINK_VARIABLE).into())?);
            setup.dup2(link, number)?;
            let held = held.without(held_back()).without(signals.blocked);
            if !held.is_empty() {
                environment.push(c_string(format!("{}={held}", passed::HELD_VARIABLE).into())?);
            }
        }
        if moved {
            setup.chdir(&directory)?;
        }
        setup.spawn(&program, &args, &environment)
    }

    /// Looks at the file before it is run, for a reason that says more than `ENOEXEC` would.
    pub fn preflight(&self) -> std::result::Result<(), RestartError> {
        let path = self.program();
        program_file::check(&path).map_err(|source| self.failed(source))
    }

    /// Which file would be started now.
    ///
    /// # Errors
    /// When there is none.
    pub fn identify(&self) -> io::Result<Program> {
        program_file::identify(&self.program())
    }

    /// It could not be started.
    pub fn failed(&self, source: io::Error) -> RestartError {
        RestartError::Spawn { program: self.program().display().to_string(), source }
    }
}

/// The directory in which the program was started, by the name that its starter has used: in
/// `cd current && ./server` that is a link which a deployment turns. The name is `$PWD`, where that is
/// this very directory (`pwd(1)`, `-L`).
fn directory() -> PathBuf {
    let here = fs::metadata(".").map(|it| FileId::from(&it)).ok();
    let is_here = |named: &PathBuf| {
        let there = fs::metadata(named).map(|it| FileId::from(&it)).ok();
        named.is_absolute() && there.is_some() && there == here
    };
    let named = env::var_os("PWD").map(PathBuf::from).filter(is_here);
    named.or_else(|| env::current_dir().ok()).unwrap_or_else(|| PathBuf::from("/"))
}

fn c_string(text: OsString) -> io::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

/// What `posix_spawn` is to do in the new process: freed when it goes.
struct SpawnSetup {
    actions: libc::posix_spawn_file_actions_t,
    attributes: libc::posix_spawnattr_t,
}

/// These functions answer an error number instead of setting `errno`.
fn check(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

impl SpawnSetup {
    /// Every signal as a program expects it, but those that this server hears are `blocked` until the
    /// new program's server takes them over: none can kill it on the way. What was `ignored` stays so.
    fn new(blocked: SignalSet, ignored: SignalSet) -> io::Result<SpawnSetup> {
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let (mask, defaults) = (blocked.as_mask(), SignalSet::all().without(ignored).as_mask());
        // SAFETY: both structures are plain memory that the init calls fill in; they do not move
        // their contents elsewhere, so `Self` may be moved (glibc and musl keep no self-references).
        unsafe {
            let mut setup =
                SpawnSetup { actions: std::mem::zeroed(), attributes: std::mem::zeroed() };
            check(libc::posix_spawn_file_actions_init(&mut setup.actions))?;
            check(libc::posix_spawnattr_init(&mut setup.attributes))?;
            check(libc::posix_spawnattr_setflags(&mut setup.attributes, flags as libc::c_short))?;
            check(libc::posix_spawnattr_setsigmask(&mut setup.attributes, mask.as_ref()))?;
            let default = defaults.as_ref();
            check(libc::posix_spawnattr_setsigdefault(&mut setup.attributes, default))?;
            Ok(setup)
        }
    }

    /// In the new process `number` is a copy of `fd`, without close-on-exec; also when they are equal.
    fn dup2(&mut self, fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
        // SAFETY: `actions` was initialised by `new`.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&mut self.actions, fd.as_raw_fd(), number)
        })
    }

    fn chdir(&mut self, directory: &CString) -> io::Result<()> {
        // SAFETY: `actions` was initialised by `new`; the path is copied by the call.
        check(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&mut self.actions, directory.as_ptr())
        })
    }

    fn spawn(
        self,
        program: &CString,
        args: &[CString],
        environment: &[CString],
    ) -> io::Result<Pid> {
        let pointers = |strings: &[CString]| {
            let all = strings.iter().map(|s| s.as_ptr().cast_mut());
            all.chain([ptr::null_mut()]).collect::<Vec<_>>()
        };
        let (argv, envp) = (pointers(args), pointers(environment));
        let mut pid = 0;
        // SAFETY: all pointers lead to strings and null-terminated lists that live until the call
        // has returned, and it copies what it needs.
        check(unsafe {
            libc::posix_spawn(
                &mut pid,
                program.as_ptr(),
                &self.actions,
                &self.attributes,
                argv.as_ptr(),
                envp.as_ptr(),
            )
        })?;
        Ok(Pid::from_raw(pid))
    }
}

impl Drop for SpawnSetup {
    fn drop(&mut self) {
        // SAFETY: both were initialised by `new`.
        unsafe {
            libc::posix_spawn_file_actions_destroy(&mut self.actions);
            libc::posix_spawnattr_destroy(&mut self.attributes);
        }
    }
}

/// How many bytes wait in a pipe, at either end of it (`FIONREAD`).
pub(super) fn unread(pipe: BorrowedFd<'_>) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one `int` to where it is told, and nothing else.
    match unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) } {
        0 => usize::try_from(count).unwrap_or(0),
        _ => 0,
    }
}
