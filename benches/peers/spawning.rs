//! A restart as libraries after the model of tableflip do it in Rust: std's `Command` with a `pre_exec`
//! hook that keeps the listener open, and a pipe by which the new process says that it is ready.
//!
//! std can no longer use `posix_spawn` then, so it forks: the cost grows with the heap.

use std::{
    env, fs,
    io::{self, PipeReader, PipeWriter, Read, Write},
    net::TcpListener,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use crate::{bare, protocol::Protocol};

/// Where a new process finds its inheritance: the listener's number and the pipe's.
const INHERITED: &str = "SPAWNING_FDS";

/// Serves HTTP on `address`, or on what was inherited, and writes its pid to `pid_file`.
pub fn serve(address: &str, pid_file: &str) -> io::Result<()> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGHUP);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let (listener, ready) = match env::var(INHERITED) {
        Ok(numbers) => inherit(&numbers)?,
        Err(_) => (TcpListener::bind(address)?, None),
    };
    fs::write(pid_file, std::process::id().to_string())?;
    if let Some(mut ready) = ready {
        ready.write_all(b"!")?;
    }
    let shared = listener.as_raw_fd();
    let mut succeed = || spawn(shared).inspect_err(|e| eprintln!("spawn: {e}")).is_ok();
    bare::serve(listener, Protocol::Http, Some((signals.as_raw_fd(), &mut succeed)))
}

fn inherit(numbers: &str) -> io::Result<(TcpListener, Option<PipeWriter>)> {
    let wrong = || io::Error::other("two numbers are expected");
    let (listener, pipe) = numbers.split_once(' ').ok_or_else(wrong)?;
    let owned = |text: &str| -> io::Result<OwnedFd> {
        let number: RawFd = text.parse().map_err(|_| wrong())?;
        // SAFETY: the parent has kept these numbers open for this process, and nobody else has them.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    };
    Ok((owned(listener)?.into(), Some(owned(pipe)?.into())))
}

/// Makes the new process and waits until it is ready.
fn spawn(listener: RawFd) -> io::Result<()> {
    let (mut reader, writer): (PipeReader, PipeWriter) = io::pipe()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    command.env(INHERITED, format!("{listener} {}", writer.as_raw_fd()));
    let kept = [listener, writer.as_raw_fd()];
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            for fd in kept {
                if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command.spawn()?; // nobody waits for it: it outlives this process
    drop(writer);
    reader.read_exact(&mut [0])
}
