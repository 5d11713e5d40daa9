//! A process that is ended with everything that came of it when nobody needs it any more; and free ports.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::DEADLINE;

/// It leads a group of its own, in which its generations and workers are.
pub struct Process(Child);

impl Process {
    pub fn start(mut command: Command) -> io::Result<Process> {
        let program = command.get_program().display().to_string();
        command.stdin(Stdio::null()).process_group(0);
        let child =
            command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        Ok(Process(child))
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.0.id() as i32), signal)?)
    }

    /// Ends all of the group at once.
    pub fn kill(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For what has no event of its own.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> io::Result<()> {
    let until = Instant::now() + DEADLINE;
    while !done() {
        if Instant::now() > until {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("waited for {what} in vain"),
            ));
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Waits until somebody listens there.
pub fn wait_open(address: SocketAddr) -> io::Result<()> {
    wait_for(&format!("somebody to listen at {address}"), || TcpStream::connect(address).is_ok())
}

/// Nobody else is given it again soon.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
